//! What clients may use up.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use laterna_web::{App, Limits};

use super::support::{Rig, SECOND, answer, jpeg, limited, rig};

fn impatient() -> Rig {
    limited(Limits { patience: SECOND / 2, silence: SECOND, ..Limits::default() })
}

#[test]
fn bodies_are_so_long_and_no_longer() {
    let rig = rig();
    let body = format!("{{\"source\":\"{}\"}}", "a".repeat(70_000));
    let answer = rig.ask("POST", "/api/v1/command", &[], &body);
    assert_eq!(answer.status, 413);
    assert_eq!(rig.get("/healthz").status, 200);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let rig = impatient();
    let mut stream = rig.connect();
    let head = format!(
        "PATCH /api/v1/controls HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\
         Connection: close\r\n\r\n{{",
        rig.address()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let begin = Instant::now();
    assert_eq!(answer(&mut stream).status, 408);
    assert!(begin.elapsed() < 5 * SECOND);
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for() {
    let rig = impatient();
    let mut stream = rig.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: local").unwrap();
    let begin = Instant::now();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(begin.elapsed() < 5 * SECOND, "{:?}", begin.elapsed());
}

#[test]
fn a_head_is_so_long_and_no_longer() {
    let rig = rig();
    let long = format!("X: {}", "a".repeat(1_000_000));
    let mut stream = rig.connect();
    // The server may close before all of it is written.
    let _ = stream.write_all(rig.request("GET", "/", &[&long], "").as_bytes());
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
    let lines: Vec<_> = (0..80).map(|i| format!("X-{i}: 1")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    assert_eq!(rig.ask("GET", "/", &lines, "").status, 431);
    assert_eq!(rig.get("/healthz").status, 200);
}

#[test]
fn connections_are_so_many_and_no_more() {
    let rig = limited(Limits { connections: 4, ..Limits::default() });
    let held: Vec<_> = (0..4).map(|_| rig.connect()).collect();
    // Accepted is not yet counted: the fifth comes only when the four are.
    std::thread::sleep(SECOND / 4);
    let mut fifth = rig.connect();
    let mut text = String::new();
    let _ = fifth.read_to_string(&mut text);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 503"), "{text}");
    drop(held);
    std::thread::sleep(SECOND / 4);
    assert_eq!(rig.get("/healthz").status, 200);
    assert!(rig.get("/metrics").text().contains("what=\"connections_turned_away\"} 1\n"));
}

#[test]
fn viewers_are_so_many_and_no_more() {
    let rig = limited(Limits { viewers: 2, ..Limits::default() });
    let (first, _second) = (rig.socket(), rig.socket());
    assert_eq!(rig.socket_with(&[]).err(), Some(503));
    let stream = rig.get("/api/v1/stream.mjpg");
    assert_eq!(stream.status, 503);
    assert_eq!(stream.header("retry-after"), Some("1"));
    drop(first);
    let begin = Instant::now();
    while rig.socket_with(&[]).is_err() {
        assert!(begin.elapsed() < 5 * SECOND);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_stream_that_is_not_read_is_cut_off() {
    let rig = impatient();
    rig.ask("PATCH", "/api/v1/controls", &[], r#"{"size":{"width":1024,"height":1024}}"#);
    let mut stream = rig.connect();
    stream
        .write_all(rig.request("GET", "/api/v1/stream.mjpg?quality=100", &[], "").as_bytes())
        .unwrap();
    let listed = |app: &super::support::fake::Fake| {
        app.statistics().sinks.iter().any(|sink| &*sink.name == "stream")
    };
    rig.until("the stream begins", listed);
    let begin = Instant::now();
    while listed(&rig.app) {
        assert!(begin.elapsed() < 60 * SECOND, "the stream is not cut off");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(rig.get("/metrics").text().contains("what=\"slow_viewers\"} 1\n"));
}

#[test]
fn messages_above_the_rate_wait() {
    let rig = limited(Limits { messages_per_s: 50.0, ..Limits::default() });
    let mut socket = rig.socket();
    let begin = Instant::now();
    for number in 0..200 {
        socket.send(&format!("{{\"clock\":{number}}}"));
    }
    for number in 0..200 {
        assert_eq!(socket.text("clock")["sent"], f64::from(number));
    }
    // A hundred at once, and a hundred at fifty a second.
    let took = begin.elapsed().as_secs_f64();
    assert!((1.8..10.0).contains(&took), "{took}");
}

#[test]
fn a_silent_socket_is_closed_and_one_that_answers_pings_is_not() {
    let rig = impatient();
    let (mut silent, mut live) = (rig.socket(), rig.socket());
    let begin = Instant::now();
    // Reading answers pings; not reading does not.
    live.timeout(SECOND / 10);
    while begin.elapsed() < 3 * SECOND {
        let _ = live.inner.read();
    }
    live.timeout(10 * SECOND);
    live.send(r#"{"clock":1}"#);
    live.text("clock");
    assert_eq!(silent.closed(), None);
    assert!(rig.get("/metrics").text().contains("clients{kind=\"viewer\"} 1\n"));
}

#[test]
fn pictures_are_so_large_and_no_larger() {
    let rig = limited(Limits { picture_side: 64, picture_bytes: 4096, ..Limits::default() });
    let mut socket = rig.socket();
    socket.send(r#"{"feed":true}"#);
    socket.upload(0, &jpeg(65, 8, [0; 3]));
    let error = socket.text("error");
    assert_eq!(error, "a picture of 65x8: 64 pixels a side are the limit");
    socket.upload(0, &[0; 5000]);
    assert_eq!(socket.closed(), None);
    assert_eq!(rig.get("/healthz").status, 200);
}
