//! Every route.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::time::Instant;

use serde_json::json;

use super::support::{SECOND, decode, rig};

#[test]
fn every_described_route_answers() {
    let rig = rig();
    rig.until("there is a picture", |app| laterna_web::App::frame(app).is_some());
    let description = rig.get("/api/v1/openapi.json").json();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let body =
                methods[method]["requestBody"]["content"]["application/json"]["example"].clone();
            let body = if body.is_null() { String::new() } else { body.to_string() };
            if path.ends_with(".mjpg") {
                continue;
            }
            let answer = rig.ask(&method.to_uppercase(), path, &[], &body);
            assert!(matches!(answer.status, 200 | 204), "{method} {path}: {answer:?}");
        }
    }
}

#[test]
fn the_page_and_its_parts_are_sent_and_known_again() {
    let rig = rig();
    let page = rig.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.header("set-cookie").is_none());
    let mut parts = 0;
    for part in page.text().split('"').filter(|text| text.starts_with("/assets/")) {
        let answer = rig.get(part);
        assert!(answer.status == 200 && !answer.body.is_empty(), "{part}");
        let known = format!("If-None-Match: W/\"x\", {}", answer.header("etag").unwrap());
        let again = rig.ask("GET", part, &[&known], "");
        assert_eq!((again.status, again.body.len()), (304, 0), "{part}");
        parts += 1;
    }
    assert!(parts >= 3);
    assert_eq!(rig.get("/assets/../Cargo.toml").status, 404);
    assert_eq!(rig.get("/assets/absent.js").status, 404);
}

#[test]
fn controls_are_changed_whole_or_not_at_all() {
    let rig = rig();
    let before = rig.get("/api/v1/state").json();
    let answer = rig.ask("PATCH", "/api/v1/controls", &[], r#"{"strength":0.5,"seed":9}"#);
    assert_eq!((answer.status, &answer.json()["seed"]), (200, &json!(9)));
    let after = rig.get("/api/v1/state").json();
    assert_eq!(after["controls"]["strength"], 0.5);
    assert!(after["version"].as_u64() > before["version"].as_u64());
    let wrong = rig.ask("PATCH", "/api/v1/controls", &[], r#"{"seed":1,"strength":3}"#);
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.json()["error"], "strength is 3: it goes from 0 to 1");
    assert_eq!(rig.app.controls().seed, 9);
}

#[test]
fn commands_are_done_or_say_why_not() {
    let rig = rig();
    let command = |body: &str| rig.ask("POST", "/api/v1/command", &[], body);
    assert_eq!(command("\"snapshot\"").status, 204);
    assert_eq!(rig.app.snapshots(), 1);
    assert_eq!(command("{\"choose_prompt\":2}").status, 204);
    assert_eq!(rig.app.controls().prompts[0].text, "pencil sketch");
    let refused = command("{\"source\":\"camera:0\"}");
    assert_eq!(refused.status, 409);
    assert_eq!(refused.json()["hint"], "choose another source");
    assert_eq!(command("{\"source\":\"\"}").status, 422);
    let wrong = command("{\"dance\":1}");
    assert!(wrong.status == 400 && wrong.json()["error"].as_str().unwrap().contains("dance"));
    assert!(!rig.app.has_quit());
    assert_eq!(command("\"quit\"").status, 204);
    assert!(rig.app.has_quit());
}

#[test]
fn pictures_are_files_of_the_working_size() {
    let rig = rig();
    rig.until("there is a picture", |app| laterna_web::App::frame(app).is_some());
    let jpeg = rig.get("/api/v1/frame.jpg");
    assert_eq!(jpeg.header("content-type"), Some("image/jpeg"));
    assert_eq!(decode(&jpeg.body).dimensions(), (64, 64));
    let png = rig.get("/api/v1/frame.png?what=camera");
    let camera = image::load_from_memory(&png.body).unwrap().to_rgb8();
    let painting = image::load_from_memory(&rig.get("/api/v1/frame.png").body).unwrap().to_rgb8();
    assert_eq!(camera.dimensions(), (64, 64));
    assert_ne!(camera, painting);
    let small = rig.get("/api/v1/frame.jpg?quality=1");
    assert!(small.body.len() < jpeg.body.len());
    for query in ["what=ceiling", "quality=300", "quality=x"] {
        assert_eq!(rig.get(&format!("/api/v1/frame.jpg?{query}")).status, 400, "{query}");
    }
}

#[test]
fn a_stream_is_one_jpeg_after_another() {
    let rig = rig();
    let mut stream = rig.connect();
    let request = rig.request("GET", "/api/v1/stream.mjpg?width=32", &[], "");
    stream.write_all(request.as_bytes()).unwrap();
    let (mut bytes, mut buffer, begin) = (Vec::new(), [0; 4096], Instant::now());
    while bytes.windows(9).filter(|part| part == b"--laterna").count() < 6 {
        assert!(begin.elapsed() < 10 * SECOND, "{}", bytes.len());
        let count = stream.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..count]);
    }
    let head = String::from_utf8_lossy(&bytes[..400]).to_lowercase();
    assert!(head.contains("multipart/x-mixed-replace; boundary=laterna"), "{head}");
    let begins = |bytes: &[u8], at: usize| bytes[at..].starts_with(b"\xFF\xD8\xFF");
    let starts: Vec<_> = (0..bytes.len()).filter(|&at| begins(&bytes, at)).collect();
    assert!(starts.len() >= 5);
    assert_eq!(decode(&bytes[starts[1]..starts[2]]).dimensions(), (32, 32));
    rig.until("the stream is listed", |app| {
        laterna_web::App::statistics(app).sinks.iter().any(|sink| &*sink.name == "stream")
    });
    drop(stream);
    rig.until("the stream is gone", |app| {
        laterna_web::App::statistics(app).sinks.iter().all(|sink| &*sink.name != "stream")
    });
}

#[test]
fn metrics_are_prometheus_text() {
    let rig = rig();
    let mut socket = rig.socket();
    socket.send(r#"{"view":{}}"#);
    (0..5).for_each(|_| drop(socket.picture(true)));
    let answer = rig.get("/metrics");
    let values = parse(answer.text());
    assert_eq!(values["laterna_build_info{version=\"0.1.0\"}"], 1.0);
    assert_eq!(values["laterna_clients{kind=\"viewer\"}"], 1.0);
    let sum: f64 = values
        .iter()
        .filter(|(name, _)| name.starts_with("laterna_frames_total"))
        .map(|(_, value)| value)
        .sum();
    let captured = values["laterna_frames_captured_total"];
    assert_eq!(captured, sum + values["laterna_frames_in_flight"]);
    let page = |name: &str| {
        let found =
            values.iter().find(|(key, _)| key.contains(name) && key.contains("sink=\"page\""));
        *found.unwrap_or_else(|| panic!("{name}: {values:?}")).1
    };
    assert!(page("latency_seconds_count") >= 4.0);
    assert!((0.0..5.0).contains(&page("latency_seconds_sum")));
}

/// Each sample, after a check of the whole against the format's rules: a type
/// before the samples, each family once, names and labels well formed.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut values, mut families) = (BTreeMap::new(), Vec::new());
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
            assert!(!families.contains(&name), "{name} stands twice");
            families.push(name);
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            let last = families.last().unwrap();
            let rest = family.strip_prefix(last).unwrap_or_else(|| panic!("{line}"));
            assert!(["", "_sum", "_count"].contains(&rest), "{line}");
            assert!(!name.contains('{') || (name.ends_with("\"}") && name.contains("=\"")));
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(values.insert(name.to_owned(), value).is_none(), "{line} stands twice");
        }
    }
    values
}

#[test]
fn what_is_not_there_says_where_to_look() {
    let rig = rig();
    let absent = rig.get("/api/v1/nothing");
    assert_eq!(absent.status, 404);
    assert_eq!(absent.json()["hint"], "/api/v1/openapi.json lists everything");
    assert_eq!(rig.ask("DELETE", "/api/v1/state", &[], "").status, 405);
    assert_eq!(rig.get("/ws").status, 426);
}
