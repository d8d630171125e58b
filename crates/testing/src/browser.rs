//! The page in headless Chromium: `tests/browser` of the repository, run against
//! a command that serves it.

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the suite. `command` prints the page's address; `{port}` in it stands
/// for the port to serve at. Skips, and says why, where Node or Chromium is not.
///
/// # Panics
/// If a test of the suite fails.
pub fn check(command: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/browser");
    if let Some(absent) = absent(&folder) {
        eprintln!("skipped: {absent}");
        return;
    }
    let mut suite = Command::new("node");
    suite.args(["--test", "--test-concurrency=1", "page.test.js"]).current_dir(&folder);
    let status = suite.env("LATERNA_PAGE_COMMAND", command).status();
    assert!(status.is_ok_and(|status| status.success()), "the browser's tests failed");
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
