//! Who is let in.

use std::net::Ipv4Addr;

use laterna_web::Options;

use super::support::{Rig, rig, rig_with};

const TOKEN: &str = "a-token-for-this-test";

/// Reachable by other machines, and so with a token.
fn open() -> Rig {
    let address = (Ipv4Addr::UNSPECIFIED, 0).into();
    rig_with(Options { address, token: Some(TOKEN.to_owned()), ..Options::default() })
}

#[test]
fn names_that_others_point_here_are_not_answered_to() {
    let rig = rig();
    let with = |host: &str| rig.ask("GET", "/api/v1/state", &[&format!("Host: {host}")], "").status;
    assert_eq!(with("localhost:1234"), 200);
    assert_eq!(with("evil.example"), 403);
    assert_eq!(with("evil.example@127.0.0.1"), 400);
    assert_eq!(with(""), 400);
    assert_eq!(rig.socket_with(&[("host", "evil.example")]).err(), Some(403));
    let named = rig_with(Options { hosts: vec!["Studio.Example".into()], ..Options::default() });
    assert_eq!(named.ask("GET", "/", &["Host: studio.example:80"], "").status, 200);
}

#[test]
fn other_sites_can_neither_change_nor_see_anything() {
    let rig = rig();
    let own = format!("http://{}", rig.address());
    let post = |origin: &str| {
        let origin = format!("Origin: {origin}");
        rig.ask("POST", "/api/v1/command", &[&origin], "\"snapshot\"").status
    };
    assert_eq!((post(&own), post("http://evil.example"), post("null")), (204, 403, 403));
    assert_eq!(rig.app.snapshots(), 1);
    assert_eq!(rig.socket_with(&[("origin", "http://evil.example")]).err(), Some(403));
    assert!(rig.socket_with(&[("origin", &own)]).is_ok());
    let image = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"];
    assert_eq!(rig.ask("GET", "/api/v1/frame.jpg", &image, "").status, 403);
    let link = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"];
    assert_eq!(rig.ask("GET", "/", &link, "").status, 200);
}

#[test]
fn without_the_token_nothing_is_told() {
    let rig = open();
    assert_eq!(rig.get("/healthz").status, 200);
    for path in ["/api/v1/state", "/metrics", "/assets/main.js", "/api/v1/frame.jpg", "/absent"] {
        let answer = rig.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let page = rig.get("/");
    assert!(page.status == 401 && page.text().starts_with("<!doctype html>"));
    assert_eq!(rig.socket_with(&[]).err(), Some(401));
    let wrong = format!("Authorization: Bearer {}", &TOKEN[1..]);
    assert_eq!(rig.ask("GET", "/api/v1/state", &[&wrong], "").status, 401);
    assert_eq!(rig.get("/api/v1/state?token=a").status, 401);
}

#[test]
fn the_token_is_taken_in_three_ways() {
    let rig = open();
    let bearer = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(rig.ask("GET", "/api/v1/state", &[&bearer], "").status, 200);
    assert_eq!(rig.get(&format!("/api/v1/state?token={TOKEN}")).status, 200);
    let page = rig.get(&format!("/?token={TOKEN}"));
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let cookie = format!("Cookie: other=1; {pair}");
    assert_eq!(rig.ask("GET", "/api/v1/state", &[&cookie], "").status, 200);
    assert!(rig.socket_with(&[("cookie", pair)]).is_ok());
    assert!(rig.server.url().ends_with(&format!("/?token={TOKEN}")));
    assert!(!rig.server.url().contains("0.0.0.0"));
}

#[test]
fn a_taken_address_is_named() {
    let rig = rig();
    let options = Options { address: rig.address(), ..Options::default() };
    let error = laterna_web::Server::start(options, rig.app.clone()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}", rig.address())), "{error}");
}
