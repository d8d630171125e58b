//! What clients and logs say: refused, or it leaves controls that can be painted
//! with.
#![no_main]

use laterna_control::log::Replay;
use laterna_control::{Command, Controls};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Replay::parse(text);
    let Ok(command) = serde_json::from_str::<Command>(text) else { return };
    if command.check().is_err() {
        return;
    }
    if let Command::Set(change) = command
        && let Ok(controls) = change.applied(&Controls::default())
    {
        assert!(controls.check().is_ok(), "{controls:?}");
    }
});
