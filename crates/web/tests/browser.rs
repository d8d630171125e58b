//! The page in headless Chromium: runs `tests/browser` of the repository against
//! this crate's example, if Node and Chromium are here.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn the_page_works_in_a_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/browser");
    if let Some(absent) = absent(&folder) {
        eprintln!("skipped: {absent}");
        return;
    }
    let status = Command::new("node")
        .args(["--test", "--test-concurrency=1", "page.test.js"])
        .current_dir(&folder)
        .env("LATERNA_PAGE_COMMAND", format!("{} {{port}}", example().display()))
        .status()
        .unwrap();
    assert!(status.success(), "the browser's tests failed");
}

/// What is missing, if anything is.
fn absent(folder: &Path) -> Option<&'static str> {
    let runs = |program: &str| {
        let mut command = Command::new(program);
        let command = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    if !runs("node") {
        return Some("there is no node");
    }
    if !browsers.into_iter().any(runs) {
        return Some("there is no Chromium");
    }
    if !folder.join("node_modules/playwright-core").exists() {
        return Some("tests/browser has no playwright-core: run `npm ci` there");
    }
    None
}

/// `cargo test` builds the examples beside the folder of the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let build = test.parent().and_then(Path::parent).unwrap();
    build.join("examples").join(format!("fake{}", std::env::consts::EXE_SUFFIX))
}
