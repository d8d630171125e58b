//! A picture or film file: refused, or read picture by picture to its end.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use laterna_media::source::{KINDS, Pace, Spec, open};
use laterna_pipeline::port::{Clock, Read};
use laterna_pipeline::{Image, SystemClock};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// Kinds that read a file by themselves.
const FILES: &[&str] = &["y4m", "mjpeg", "gif", "still", "mp4"];

/// Reads after which a file is taken to be sound: small ones hold few pictures, but
/// a raw format may be asked for very small ones.
const MOST_READS: usize = 300;

/// Pictures larger than this take a fuzzer's time without showing it anything new.
const MOST_PIXELS: usize = 1 << 20;

fn path() -> &'static PathBuf {
    static PLACE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("file");
        (folder, path)
    });
    &place.1
}

// The first byte chooses the kind, the rest is the file.
fuzz_target!(|bytes: &[u8]| {
    let Some((choice, file)) = bytes.split_first() else { return };
    let kind = FILES[usize::from(*choice) % FILES.len()];
    assert!(KINDS.iter().any(|row| row.name == kind), "{kind} is no kind of source");
    fs::write(path(), file).expect("the temporary folder can be written");
    let spec: Spec = format!("{kind}:{}", path().display()).parse().expect("a sound name");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let Ok(mut opened) = open(&spec, &clock, Pace::Offline) else { return };
    if opened.info.size.is_some_and(|size| size.area() > MOST_PIXELS) {
        return;
    }
    let mut image = Image::default();
    for _ in 0..MOST_READS {
        match opened.source.read(&mut image) {
            Ok(Read::End) | Err(_) => return,
            Ok(Read::Picture { .. }) => assert_eq!(image.rgb().len(), 3 * image.size().area()),
            Ok(Read::Nothing) => {}
        }
    }
});
