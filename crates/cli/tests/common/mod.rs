//! Runs the command as a user does, on the fixtures and on broken copies.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use laterna_tensor::Tensor;
use laterna_weights::MappedFile;

/// Runs `laterna` offline, with a cache that holds nothing.
pub fn laterna(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_laterna"))
        .args(arguments)
        .envs([("HF_HUB_OFFLINE", "1"), ("HF_HUB_CACHE", "/nonexistent/cache")])
        .env_remove("LATERNA_ISA")
        .env_remove("LATERNA_CONVOLUTIONS")
        .output()
        .expect("the command starts")
}

/// Runs and checks that it worked; gives stdout.
pub fn succeed(arguments: &[&str]) -> String {
    let output = laterna(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs and checks that it failed as bad input does: code 2 and one line that
/// has all of `parts`, with nothing but a hint behind it.
pub fn refuse(arguments: &[&str], parts: &[&str]) {
    let output = laterna(arguments);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    let lines: Vec<_> = stderr.lines().filter(|line| !line.starts_with("hint: ")).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert!(lines[0].starts_with("error: "), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes a Y4M clip of `frames` pictures: a bright bar that moves.
pub fn clip(path: &Path, (width, height): (usize, usize), fps: usize, frames: usize) {
    let mut bytes =
        format!("YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n").into_bytes();
    for frame in 0..frames {
        let bar = frame % (width / 8);
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend((0..width * height).map(|i| if i % width / 8 == bar { 220 } else { 60 }));
        bytes.extend(std::iter::repeat_n(110, width * height / 4));
        bytes.extend(std::iter::repeat_n(150, width * height / 4));
    }
    fs::write(path, bytes).expect("a clip");
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

/// The repository's fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// A fixture model's folder.
pub fn model(name: &str) -> PathBuf {
    fixtures().join("models").join(name)
}

/// Copies a folder and all in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the copy's folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// The names of everything in a folder, sorted.
pub fn entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// All tensors of a safetensors file.
pub fn tensors(path: &Path) -> Vec<(String, Tensor)> {
    let file = MappedFile::open(path).expect("a safetensors file");
    let read = |name: &String| Tensor::from_raw(&file.read(name).expect("a sound tensor"));
    file.header().tensors().keys().map(|name| (name.clone(), read(name))).collect()
}
