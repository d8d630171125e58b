//! What goes over the socket.

use std::time::{Duration, Instant};

use laterna_web::{App, Limits};
use serde_json::json;
use tungstenite::Message;

use super::support::{SECOND, Socket, decode, jpeg, limited, rig};

fn viewing(rig: &super::support::Rig) -> Socket {
    let mut socket = rig.socket();
    socket.send(r#"{"view":{}}"#);
    socket
}

#[test]
fn a_page_is_greeted_and_told_the_state() {
    let rig = rig();
    let mut socket = rig.socket();
    let hello = socket.text("hello");
    assert_eq!((&hello["protocol"], &hello["limits"]["picture_side"]), (&json!(1), &json!(4096)));
    assert_eq!(socket.text("state")["controls"]["seed"], 0);
    assert_eq!(socket.order("\"reset\""), json!({"id": 77, "ok": true}));
    // The answer and the state are each sent when they are there.
    socket.send(r#"{"do":{"set":{"seed":5}}}"#);
    while socket.text("state")["controls"]["seed"] != 5 {}
    let begin = Instant::now();
    (0..3).for_each(|_| drop(socket.text("stats")));
    assert!((0.8..3.0).contains(&begin.elapsed().as_secs_f64()), "{:?}", begin.elapsed());
}

#[test]
fn the_next_picture_waits_for_the_acknowledgement_and_is_then_fresh() {
    let rig = rig();
    let mut socket = viewing(&rig);
    let first = socket.picture(false);
    assert_eq!(decode(&first.painting).dimensions(), (64, 64));
    assert!(first.camera.is_empty() && first.captured_us <= first.sent_us);
    socket.timeout(SECOND / 2);
    loop {
        match socket.inner.read() {
            Ok(Message::Binary(_)) => panic!("a picture before the acknowledgement"),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    socket.timeout(10 * SECOND);
    socket.ack(&first);
    let second = socket.picture(true);
    // What was captured meanwhile was replaced, not kept.
    assert!(second.sequence > first.sequence + 5, "{} {}", first.sequence, second.sequence);
    let age = Duration::from_micros(second.sent_us - second.captured_us);
    assert!(age < SECOND / 2, "{age:?}");
}

#[test]
fn a_page_may_ask_for_smaller_pictures_the_cameras_and_blends() {
    let rig = rig();
    let mut socket = rig.socket();
    socket.send(r#"{"view":{"width":32,"compare":true}}"#);
    let picture = socket.picture(true);
    assert_eq!(decode(&picture.painting).dimensions(), (32, 32));
    assert_eq!(decode(&picture.camera).dimensions(), (32, 32));
    socket.send(r#"{"view":{"blend_fps":120}}"#);
    let kinds: Vec<_> = (0..40).map(|_| socket.picture(true).kind).collect();
    assert!(kinds.iter().filter(|kind| **kind == 2).count() > 10, "{kinds:?}");
    let sinks = rig.app.statistics().sinks;
    assert_eq!(sinks.iter().filter(|sink| &*sink.name == "page").count(), 1);
}

#[test]
fn a_page_may_ask_for_bare_pixels() {
    let rig = rig();
    let mut socket = rig.socket();
    socket.send(r#"{"do":{"set":{"strength":0,"smoothing":0}},"view":{"format":"rgba"}}"#);
    let picture = socket.picture(true);
    assert_eq!((picture.rgba, picture.painting.len()), ([64, 64], 4 * 64 * 64));
    assert!(picture.painting.chunks(4).all(|pixel| pixel[3] == 255));
    socket.send(r#"{"view":{"format":"rgba","width":32,"compare":true}}"#);
    let mut picture = socket.picture(true);
    while picture.rgba != [32, 32] || picture.camera.is_empty() {
        picture = socket.picture(true);
    }
    assert_eq!((picture.painting.len(), picture.camera.len()), (4 * 32 * 32, 4 * 32 * 32));
}

#[test]
fn a_change_is_in_the_next_painted_picture() {
    let rig = rig();
    let mut socket = rig.socket();
    socket.send(r#"{"do":{"set":{"strength":1,"smoothing":0}},"view":{"compare":true}}"#);
    while rig.app.controls().strength < 1.0 || distance(&socket.picture(true)) < 20.0 {}
    let before = socket.picture(true);
    socket.send(r#"{"do":{"set":{"strength":0}}}"#);
    let (mut last, mut next) = (before.clone(), socket.picture(true));
    while next.settings == before.settings {
        (last, next) = (next, socket.picture(true));
    }
    let distances = (distance(&last), distance(&next));
    assert!(distances.0 > 20.0 && distances.1 < 8.0, "{distances:?}");
}

/// The mean difference of painting and camera.
fn distance(picture: &super::support::Picture) -> f64 {
    let (painting, camera) = (decode(&picture.painting), decode(&picture.camera));
    let sum: u64 = painting.iter().zip(camera.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / painting.len() as f64
}

#[test]
fn the_clock_is_told_and_messages_without_sense_are_answered() {
    let rig = rig();
    let mut socket = rig.socket();
    socket.send(r#"{"clock":12.5}"#);
    let clock = socket.text("clock");
    assert_eq!(clock["sent"], 12.5);
    let (now, told) = (rig.app.now(), Duration::from_micros(clock["now_us"].as_u64().unwrap()));
    assert!(told <= now && now - told < SECOND);
    for text in ["", "{", "[[[", r#"{"dance":1}"#, r#"{"ack":-1}"#, r#"{"view":{"width":"x"}}"#] {
        socket.send(text);
        assert!(socket.text("error").is_string(), "{text}");
    }
    socket.send(&format!("{{\"do\":\"{}\"}}", "a".repeat(70_000)));
    assert!(socket.text("error").as_str().unwrap().contains("65536"));
    let refused = socket.order(r#"{"set":{"strength":5}}"#);
    assert_eq!((&refused["ok"], refused["error"].is_string()), (&json!(false), true));
    assert_eq!(socket.order("\"snapshot\"")["ok"], true);
}

#[test]
fn a_page_feeds_its_camera_and_is_asked_for_each_picture() {
    let rig = rig();
    let mut socket = rig.socket();
    socket.send(r#"{"do":{"set":{"strength":0,"smoothing":0}},"feed":true}"#);
    assert_eq!(socket.order(r#"{"source":"browser"}"#)["ok"], true);
    let picture = jpeg(80, 60, [250, 10, 10]);
    for taken in 1..=20u64 {
        socket.upload(u64::MAX, &picture);
        assert_eq!(socket.text("next"), taken);
    }
    socket.upload(0, b"no picture at all");
    assert_eq!(socket.text("next"), 21);
    assert!(socket.text("error").as_str().unwrap().contains("JPEG"));
    socket.send(r#"{"view":{}}"#);
    let shown = until_red(&mut socket);
    // A time from nowhere counts as at most now.
    assert!(shown.captured_us <= shown.sent_us);
}

/// What was painted before is on its way first.
fn until_red(socket: &mut Socket) -> super::support::Picture {
    let begin = Instant::now();
    loop {
        let picture = socket.picture(true);
        let is_painted = !picture.painting.is_empty();
        if is_painted && decode(&picture.painting).get_pixel(32, 32)[1] < 40 {
            return picture;
        }
        assert!(begin.elapsed() < 10 * SECOND, "no red picture came");
    }
}

#[test]
fn of_two_pages_that_feed_the_later_wins() {
    let rig = rig();
    let (mut first, mut second) = (rig.socket(), rig.socket());
    first.send(r#"{"feed":true}"#);
    assert_eq!(first.text("next"), 0);
    second.send(r#"{"feed":true}"#);
    assert_eq!(second.text("next"), 0);
    assert_eq!(first.text("feeding"), false);
    first.upload(0, &jpeg(8, 8, [0; 3]));
    first.send(r#"{"clock":1}"#);
    first.text("clock");
    second.upload(0, &jpeg(8, 8, [0; 3]));
    assert_eq!(second.text("next"), 1);
    rig.until("one picture is taken", |_| {
        rig.get("/metrics").text().contains("what=\"browser_pictures\"} 1\n")
    });
}

#[test]
fn a_slow_page_delays_nobody_and_is_dropped() {
    let rig = limited(Limits { patience: SECOND, ..Limits::default() });
    let (mut slow, mut fast) = (viewing(&rig), viewing(&rig));
    slow.picture(false);
    let begin = Instant::now();
    let first = fast.picture(true);
    let last = (0..30).map(|_| fast.picture(true)).last().unwrap();
    // Thirty frames a second are captured; the slow page has stopped at one.
    let rate = (last.sequence - first.sequence) as f64 / begin.elapsed().as_secs_f64();
    assert!(begin.elapsed() < 6 * SECOND, "{rate:.1} a second");
    assert_eq!(slow.closed(), None);
    assert!(begin.elapsed() < 8 * SECOND);
    assert!(rig.get("/metrics").text().contains("what=\"slow_viewers\"} 1\n"));
    fast.picture(true);
}

#[test]
fn a_page_that_comes_again_sees_the_picture_at_once() {
    let rig = rig();
    for _ in 0..20 {
        let mut socket = viewing(&rig);
        assert!(!socket.picture(true).painting.is_empty());
    }
    rig.until("sinks go with their pages", |app| {
        app.statistics().sinks.iter().filter(|sink| &*sink.name == "page").count() == 0
    });
}

#[test]
fn the_end_is_told_and_comes_soon() {
    let rig = rig();
    let (mut socket, mut idle) = (viewing(&rig), rig.connect());
    socket.picture(false);
    let begin = Instant::now();
    rig.server.stop();
    assert!(begin.elapsed() < 2 * SECOND, "{:?}", begin.elapsed());
    let mut told = false;
    loop {
        match socket.inner.read() {
            Ok(Message::Text(text)) => told |= text.as_str() == "\"bye\"",
            Ok(Message::Close(frame)) => {
                assert_eq!(u16::from(frame.unwrap().code), 1001);
                break;
            }
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(told);
    assert_eq!(std::io::Read::read(&mut idle, &mut [0; 8]).unwrap(), 0);
    assert!(rig.app.statistics().sinks.iter().all(|sink| &*sink.name != "page"));
}
