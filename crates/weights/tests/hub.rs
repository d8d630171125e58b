//! Downloads from a hub that runs inside the test: whole, interrupted, refused
//! and offline.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod server;

use std::fs;
use std::path::Path;
use std::time::Duration;

use laterna_weights::{Hub, HubError, HubName, Precision, Progress};
use server::{COMMIT, Fault, Server};

const NAME: &str = "owner/model";

/// Weights large enough to be cut in the middle.
fn big() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let index = br#"{"_class_name":"P","unet":["diffusers","U"],"vae":[null,null]}"#;
    vec![
        ("README.md", b"read me".to_vec()),
        ("model_index.json", index.to_vec()),
        ("unet/config.json", b"{}".to_vec()),
        ("unet/diffusion_pytorch_model.bin", b"pickle".to_vec()),
        ("unet/diffusion_pytorch_model.safetensors", big()),
    ]
}

const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

fn hub(server: &Server, cache: &Path, more: &[(&str, &str)]) -> Hub {
    let (cache, endpoint) = (cache.to_str().unwrap(), server.endpoint());
    let mut vars = vec![("HF_HUB_CACHE", cache), ("HF_HOME", cache), ("HF_ENDPOINT", &endpoint)];
    vars.extend(more);
    let var = |name: &str| Some(vars.iter().rev().find(|(n, _)| *n == name)?.1.to_owned());
    Hub::from_vars(var, None).unwrap().with_retry_pause(Duration::ZERO)
}

fn name(text: &str) -> HubName {
    HubName::parse(text).unwrap()
}

/// What a progress bar would have seen.
#[derive(Default)]
struct Seen {
    total: Option<u64>,
    advanced: u64,
    files: Vec<String>,
}

impl Progress for Seen {
    fn total(&mut self, bytes: Option<u64>) {
        self.total = bytes;
    }
    fn file(&mut self, name: &str) {
        self.files.push(name.to_owned());
    }
    fn advance(&mut self, bytes: u64) {
        self.advanced += bytes;
    }
}

#[test]
fn only_the_needed_files_arrive() {
    let server = Server::start(files(), &[]);
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, cache.path(), &[]);
    let mut seen = Seen::default();
    let folder = hub.fetch(&name(NAME), Precision::Full, &mut seen).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), big());
    assert_eq!(fs::read(folder.join("unet/config.json")).unwrap(), b"{}");
    assert_eq!(seen.files, ["model_index.json", "unet/config.json", WEIGHTS]);
    assert_eq!(Some(seen.advanced), seen.total);
    assert!(!folder.join("unet/diffusion_pytorch_model.bin").exists());
    let layout = cache.path().join("models--owner--model");
    assert_eq!(folder, layout.join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(layout.join("refs/main")).unwrap(), COMMIT);
}

#[test]
fn whole_models_of_the_cache_are_listed() {
    let server = Server::start(files(), &[]);
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, cache.path(), &[]);
    assert_eq!(hub.cached_models(), []);
    for folder in ["models--", "models--x", "models--a--b", "datasets--owner--model"] {
        fs::create_dir(cache.path().join(folder)).unwrap();
    }
    let folder = hub.fetch(&name(NAME), Precision::Full, &mut ()).unwrap();
    assert_eq!(hub.cached_models(), [name(NAME)]);
    fs::remove_file(folder.join(WEIGHTS)).unwrap();
    assert_eq!(hub.cached_models(), []);
}

#[test]
fn a_second_fetch_downloads_nothing() {
    let server = Server::start(files(), &[]);
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, cache.path(), &[]);
    hub.fetch(&name(NAME), Precision::Full, &mut ()).unwrap();
    let before = server.requests().len();
    let mut seen = Seen::default();
    hub.fetch(&name(NAME), Precision::Full, &mut seen).unwrap();
    assert_eq!(server.requests().len(), before + 1, "one listing");
    assert_eq!(Some(seen.advanced), seen.total);
    hub.locate(NAME, Precision::Full, &mut ()).unwrap();
    assert_eq!(server.requests().len(), before + 1, "a cached model needs no network");
}

#[test]
fn a_broken_connection_resumes_within_a_fetch() {
    let server = Server::start(files(), &[Fault::CutAfter(500_000), Fault::CutAfter(100_000)]);
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, cache.path(), &[]);
    let mut seen = Seen::default();
    let folder = hub.fetch(&name(NAME), Precision::Full, &mut seen).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), big());
    assert_eq!(Some(seen.advanced), seen.total, "no byte is reported twice");
    assert_eq!(server.content_starts(), [0, 500_000, 600_000]);
}

#[test]
fn an_interrupted_fetch_resumes_in_the_next() {
    let cuts = [Fault::CutAfter(100_000); 4];
    let server = Server::start(files(), &cuts);
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, cache.path(), &[]);
    let error = hub.fetch(&name(NAME), Precision::Full, &mut ()).unwrap_err();
    assert!(matches!(error, HubError::Request { .. }), "{error}");
    assert_eq!(hub.cached(&name(NAME)), None, "a part is not a model");
    let folder = hub.fetch(&name(NAME), Precision::Full, &mut ()).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), big());
    assert_eq!(server.content_starts(), [0, 100_000, 200_000, 300_000, 400_000]);
}

/// A server that answers a range with the whole file must not corrupt it.
#[test]
fn a_server_without_ranges_is_survived() {
    let server = Server::start(files(), &[Fault::CutAfter(100_000), Fault::IgnoreRange]);
    let cache = tempfile::tempdir().unwrap();
    let folder =
        hub(&server, cache.path(), &[]).fetch(&name(NAME), Precision::Full, &mut ()).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), big());
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = Server::start(files(), &[Fault::Status(503), Fault::Status(500)]);
    let cache = tempfile::tempdir().unwrap();
    let folder =
        hub(&server, cache.path(), &[]).fetch(&name(NAME), Precision::Full, &mut ()).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), big());
}

/// A partial file with every byte, left when the machine stopped just before
/// the rename, must not block the model for ever.
#[test]
fn a_full_partial_file_does_not_block() {
    let server = Server::start(files(), &[]);
    let cache = tempfile::tempdir().unwrap();
    let blobs = cache.path().join("models--owner--model/blobs");
    fs::create_dir_all(&blobs).unwrap();
    for extra in [0, 5] {
        let part = blobs.join(format!("{}.part", server::etag(WEIGHTS)));
        fs::write(part, vec![7; big().len() + extra]).unwrap();
        let hub = hub(&server, cache.path(), &[]);
        let folder = hub.fetch(&name(NAME), Precision::Full, &mut ()).unwrap();
        assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), big());
        fs::remove_dir_all(folder).unwrap();
        fs::remove_file(blobs.join(server::etag(WEIGHTS))).unwrap();
    }
}

#[test]
fn content_in_the_cache_is_linked() {
    let server = Server::start(files(), &[]);
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, cache.path(), &[]);
    let folder = hub.fetch(&name(NAME), Precision::Full, &mut ()).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    hub.fetch(&name(NAME), Precision::Full, &mut ()).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), big());
    assert_eq!(server.content_starts(), [0], "the weights came once");
}

#[test]
fn revisions_are_asked_for() {
    let server = Server::start(files(), &[]);
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, cache.path(), &[]);
    let folder = hub.locate("owner/model@refs/pr/1", Precision::Full, &mut ()).unwrap();
    assert!(server.requests()[0].contains("/api/models/owner/model/revision/refs%2Fpr%2F1?"));
    assert_eq!(hub.cached(&name("owner/model@refs/pr/1")), Some(folder.clone()));
    assert_eq!(hub.cached(&name(&format!("owner/model@{COMMIT}"))), Some(folder));
    assert_eq!(hub.cached(&name("owner/model")), None);
}

#[test]
fn a_private_model_needs_the_token() {
    let server = Server::start(files(), &[]).with_token("secret");
    let cache = tempfile::tempdir().unwrap();
    let fetch = |more: &[(&str, &str)]| {
        hub(&server, cache.path(), more).fetch(&name(NAME), Precision::Full, &mut ())
    };
    let error = fetch(&[]).unwrap_err();
    assert!(matches!(error, HubError::Denied { status: 401, .. }), "{error}");
    assert!(error.hint().unwrap().contains("HF_TOKEN"));
    assert!(fetch(&[("HF_TOKEN", "secret")]).is_ok());
}

#[test]
fn an_unknown_model_is_not_found() {
    let server = Server::start(files(), &[]);
    let cache = tempfile::tempdir().unwrap();
    let error = hub(&server, cache.path(), &[])
        .fetch(&name("owner/absent"), Precision::Full, &mut ())
        .unwrap_err();
    assert!(matches!(error, HubError::NotFound { .. }), "{error}");
    assert!(error.to_string().starts_with("owner/absent: "), "{error}");
}

#[test]
fn offline_says_which_file_is_missing() {
    let server = Server::start(files(), &[]);
    let cache = tempfile::tempdir().unwrap();
    let offline = || hub(&server, cache.path(), &[("HF_HUB_OFFLINE", "1")]);
    let error = offline().locate(NAME, Precision::Full, &mut ()).unwrap_err();
    assert!(error.to_string().contains("the model is not in"), "{error}");
    assert!(error.hint().unwrap().contains("laterna fetch owner/model"));
    assert_eq!(server.requests().len(), 0, "offline means no request");
    let folder =
        hub(&server, cache.path(), &[]).fetch(&name(NAME), Precision::Full, &mut ()).unwrap();
    assert_eq!(offline().locate(NAME, Precision::Full, &mut ()).unwrap(), folder);
    fs::remove_file(folder.join(WEIGHTS)).unwrap();
    let error = offline().locate(NAME, Precision::Full, &mut ()).unwrap_err();
    assert!(error.to_string().contains(WEIGHTS), "{error}");
}

#[test]
fn pickled_weights_are_refused() {
    let files = files().into_iter().filter(|(path, _)| *path != WEIGHTS).collect();
    let server = Server::start(files, &[]);
    let cache = tempfile::tempdir().unwrap();
    let error =
        hub(&server, cache.path(), &[]).fetch(&name(NAME), Precision::Full, &mut ()).unwrap_err();
    assert_eq!(error.to_string(), "owner/model: unet has no safetensors weights on the hub");
}

#[test]
fn answers_that_lead_elsewhere_are_refused() {
    for fault in [Fault::Etag("\"../../../elsewhere\""), Fault::Commit("../elsewhere")] {
        let server = Server::start(files(), &[fault]);
        let cache = tempfile::tempdir().unwrap();
        let error = hub(&server, cache.path(), &[])
            .fetch(&name(NAME), Precision::Full, &mut ())
            .unwrap_err();
        assert!(matches!(error, HubError::Answer { .. }), "{error}");
    }
}

/// A proxy that compresses marks its ETags as weak.
#[test]
fn weak_etags_are_accepted() {
    let server = Server::start(files(), &[Fault::Etag("W/\"0123abcd\"")]);
    let cache = tempfile::tempdir().unwrap();
    let folder =
        hub(&server, cache.path(), &[]).fetch(&name(NAME), Precision::Full, &mut ()).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), big());
}

#[test]
fn nobody_listening_is_a_request_that_failed() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(files(), &[]);
    let hub = hub(&server, cache.path(), &[]);
    drop(server);
    let error = hub.fetch(&name(NAME), Precision::Full, &mut ()).unwrap_err();
    assert!(matches!(error, HubError::Request { .. }), "{error}");
    assert!(error.hint().unwrap().contains("network"));
}
