//! Ctrl-C ends the command with code 130.
#![cfg(unix)]

mod common;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn an_interrupt_ends_with_130() {
    let model = common::model("tiny-sdxs");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_laterna"))
        .args(["bench", "--model", common::arg(&model), "--size", "64", "--frames", "100000"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Long enough to have set the handler; far too short for all the frames.
    std::thread::sleep(Duration::from_millis(500));
    let kill = Command::new("kill").args(["-INT", &bench.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(bench.wait().unwrap().code(), Some(130));
    let mut stderr = String::new();
    bench.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr.trim(), "interrupted");
}
