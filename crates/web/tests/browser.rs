//! The page in headless Chromium, against this crate's example: a session that
//! paints by a known rule, so that every pixel can be checked.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::path::{Path, PathBuf};

#[test]
fn the_page_works_in_a_browser() {
    laterna_testing::browser::check(&format!("{} {{port}}", example().display()));
}

/// `cargo test` builds the examples beside the folder of the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let build = test.parent().and_then(Path::parent).unwrap();
    build.join("examples").join(format!("fake{}", std::env::consts::EXE_SUFFIX))
}
