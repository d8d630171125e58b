//! Ten thousand messages, pictures and requests without sense: no panic, no
//! growth, and the server still answers. The seed is fixed.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::io::{Read, Write};
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use laterna_control::Controls;
use laterna_web::{Limits, Options};
use support::{Random, Rig, SECOND, Socket, jpeg, rig_with};
use tungstenite::Message;

const MESSAGES: [&str; 10] = [
    r#"{"id":1,"do":{"set":{"strength":0.5,"prompts":[{"text":"a","weight":2}]}}}"#,
    r#"{"id":2,"do":{"set":{"size":{"width":64,"height":72},"fit":"letterbox","mirror":true}}}"#,
    r#"{"id":3,"do":{"choose_prompt":3}}"#,
    r#"{"id":18446744073709551615,"do":"next_prompt","ack":4}"#,
    r#"{"do":{"model":{"name":"m","loras":[{"path":"p","scale":1e300}]}}}"#,
    r#"{"do":{"source":"camera:0"}}"#,
    r#"{"view":{"width":48,"quality":70,"compare":true,"blend_fps":0.0}}"#,
    r#"{"clock":1.5,"feed":true}"#,
    r#"{"do":{"record":true}}"#,
    r#"{"ack":99999}"#,
];

#[test]
fn nonsense_harms_nothing() {
    let panics = count_panics();
    // The rate is not what is tested here.
    let limits = Limits { messages_per_s: 1e6, ..Limits::default() };
    let rig = rig_with(Options { limits, ..Options::default() });
    let mut random = Random::new(2026);
    messages(&rig, &mut random, 2_000);
    pictures(&rig, &mut random, 500);
    let before = resident_bytes();
    messages(&rig, &mut random, 8_000);
    pictures(&rig, &mut random, 2_000);
    requests(&rig, &mut random, 500);
    let grown = resident_bytes().saturating_sub(before);
    eprintln!("resident memory grew by {} KiB", grown >> 10);
    assert!(grown < 16 << 20, "resident memory grew by {} KiB", grown >> 10);
    assert_eq!(panics.load(Ordering::SeqCst), 0);
    assert_eq!(Controls::check(&rig.app.controls()), Ok(()));
    assert_eq!(rig.get("/healthz").text(), "ok\n");
    let mut socket = rig.socket();
    socket.send(r#"{"view":{}}"#);
    assert!(!socket.picture(true).painting.is_empty());
}

/// Counts panics of all threads.
fn count_panics() -> &'static AtomicUsize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(info);
    }));
    &PANICS
}

fn messages(rig: &Rig, random: &mut Random, count: usize) {
    let mut socket = rig.socket();
    for number in 0..count {
        let mut bytes = MESSAGES[random.below(MESSAGES.len())].as_bytes().to_vec();
        if random.below(8) > 0 {
            random.mutate(&mut bytes);
        }
        let sent = match String::from_utf8(bytes) {
            Ok(text) => socket.inner.send(Message::text(text)),
            Err(error) => socket.inner.send(Message::binary(error.into_bytes())),
        };
        // Each look costs a tick of the system's clock.
        if sent.is_err() || number % 8 == 0 && !drain(&mut socket) {
            socket = rig.socket();
        }
    }
}

/// Reads what has come, so that the replies do not pile up; false if the socket
/// is closed.
fn drain(socket: &mut Socket) -> bool {
    socket.timeout(Duration::from_millis(1));
    for _ in 0..64 {
        match socket.inner.read() {
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) => {
                let waits = matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                );
                socket.timeout(10 * SECOND);
                return waits;
            }
            Err(_) => return false,
        }
    }
    true
}

/// Broken JPEG, impossible sizes, pixels that are too many or too few, and bytes
/// that are no picture.
fn pictures(rig: &Rig, random: &mut Random, count: usize) {
    let whole = [jpeg(40, 30, [9, 200, 30]), jpeg(1, 1, [0; 3]), jpeg(120, 8, [255; 3])];
    let mut socket = rig.socket();
    socket.send(r#"{"feed":true}"#);
    for number in 0..count {
        let mut bytes = whole[random.below(whole.len())].clone();
        match random.below(4) {
            0 => set_size(&mut bytes, random.next() as u32),
            1 => bytes = (0..random.below(300)).map(|_| random.next() as u8).collect(),
            _ => random.mutate(&mut bytes),
        }
        if random.below(5) == 0 {
            let size = [random.below(9) as u16, random.next() as u16 >> random.below(16)];
            socket.upload_rgba(random.next(), size, &bytes);
        } else {
            socket.upload(random.next(), &bytes);
        }
        if number % 4 == 0 && !drain(&mut socket) {
            socket = rig.socket();
            socket.send(r#"{"feed":true}"#);
        }
    }
    socket.upload(0, &whole[0]);
    socket.text("next");
}

/// Writes other extents into the frame header.
fn set_size(jpeg: &mut [u8], size: u32) {
    let at = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap() + 5;
    jpeg[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

/// Requests with anything in them.
fn requests(rig: &Rig, random: &mut Random, count: usize) {
    let whole = [
        rig.request("PATCH", "/api/v1/controls", &[], r#"{"strength":0.5}"#),
        rig.request("POST", "/api/v1/command", &[], "\"reset\""),
        rig.request("GET", "/api/v1/frame.jpg?what=camera&quality=50", &[], ""),
        rig.request("GET", "/assets/main.js", &["If-None-Match: \"a\""], ""),
    ];
    for _ in 0..count {
        let mut bytes = whole[random.below(whole.len())].clone().into_bytes();
        random.mutate(&mut bytes);
        let mut stream = rig.connect();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(12 * SECOND)).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// Memory of this process, 0 where the system does not say.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
