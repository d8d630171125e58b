//! The real configurations of SDXS-512-0.9 and SD-Turbo with random weights,
//! against PyTorch. Needs Python with reference/requirements.txt (named by
//! `LATERNA_PYTHON`, else `python3`), 12 GB of memory and some minutes:
//!
//! ```sh
//! cargo test --release -p laterna-cli --test full_size -- --ignored
//! ```

use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "needs Python with PyTorch, 12 GB of memory and minutes"]
fn full_size_networks_agree_with_pytorch() {
    let python = std::env::var("LATERNA_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/parity.py");
    let status = Command::new(python)
        .arg(script)
        .args([env!("CARGO_BIN_EXE_laterna"), "--full-size"])
        .status()
        .expect("the interpreter named by LATERNA_PYTHON starts");
    assert!(status.success(), "a component is further than 1e-4 from PyTorch: see the table above");
}
