//! The `laterna` command.
fn main() {}
