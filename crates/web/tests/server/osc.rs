//! Control by OSC packets.

use std::net::{Ipv4Addr, UdpSocket};

use laterna_control::Controls;
use laterna_web::Options;

use super::support::{Random, Rig, rig_with};

fn listening() -> (Rig, UdpSocket) {
    let osc = Some((Ipv4Addr::LOCALHOST, 0).into());
    let rig = rig_with(Options { osc, ..Options::default() });
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    sender.connect(rig.server.osc_address().unwrap()).unwrap();
    (rig, sender)
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize((text.len() + 1).next_multiple_of(4), 0);
    bytes
}

fn float(address: &str, value: f32) -> Vec<u8> {
    [text(address), text(",f"), value.to_be_bytes().to_vec()].concat()
}

#[test]
fn a_fader_ends_where_it_was_left() {
    let (rig, sender) = listening();
    // As many as a system surely keeps until they are read.
    for step in 0..100u16 {
        sender.send(&float("/laterna/strength", f32::from(step) / 400.0)).unwrap();
    }
    rig.until("the last value holds", |app| app.controls().strength == 99.0 / 400.0);
}

#[test]
fn words_and_buttons_do_what_they_say() {
    let (rig, sender) = listening();
    sender.send(&[text("/laterna/prompt"), text(",s"), text("ink on silk")].concat()).unwrap();
    rig.until("the prompt", |app| app.controls().prompts[0].text == "ink on silk");
    sender.send(&float("/laterna/snapshot", 1.0)).unwrap();
    sender.send(&float("/laterna/snapshot", 0.0)).unwrap();
    sender.send(&float("/laterna/feedback", 0.25)).unwrap();
    rig.until("what came last", |app| app.controls().feedback == 0.25);
    assert_eq!(rig.app.snapshots(), 1);
    sender.send(&float("/laterna/strength", 7.0)).unwrap();
    sender.send(&float("/laterna/camera", 0.75)).unwrap();
    rig.until("the good value after a bad one", |app| app.controls().camera == 0.75);
    assert!(rig.app.controls().strength <= 1.0);
}

#[test]
fn broken_packets_harm_nothing() {
    let (rig, sender) = listening();
    let mut random = Random::new(11);
    let whole = [
        float("/laterna/smoothing", 0.5),
        [text("#bundle"), vec![0; 8], vec![0, 0, 0, 28], float("/laterna/camera", 0.5)].concat(),
        [text("/laterna/prompt/2"), text(",s"), text("gold")].concat(),
        [text("/laterna/size"), text(",ii"), vec![0, 0, 1, 0, 0, 0, 1, 0]].concat(),
    ];
    for round in 0..10_000 {
        let mut packet = whole[random.below(whole.len())].clone();
        random.mutate(&mut packet);
        sender.send(&packet).unwrap();
        if round % 20 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    // What the system could not keep it dropped, and this may be dropped too.
    rig.until("it still listens", |app| {
        sender.send(&float("/laterna/strength", 0.125)).unwrap();
        app.controls().strength == 0.125
    });
    let metrics = rig.get("/metrics");
    let malformed = metrics.text().lines().find_map(|line| {
        line.strip_prefix("laterna_server_total{what=\"malformed_messages\"} ")?.parse().ok()
    });
    assert!(malformed > Some(1000), "{malformed:?} packets were looked at");
    assert_eq!(Controls::check(&rig.app.controls()), Ok(()));
}
