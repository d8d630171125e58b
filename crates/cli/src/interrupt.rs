//! Ctrl-C and termination: the process ends with code 130, but never in the
//! middle of writing an output.

use std::sync::{Mutex, PoisonError};

/// The code that shells give a process ended by Ctrl-C: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Held while an output is being written.
static WRITING: Mutex<()> = Mutex::new(());

/// Makes Ctrl-C end the process as described above. Where no handler can be
/// set, the system's default stays: the process just ends.
pub fn install() {
    let _ = ctrlc::set_handler(|| {
        let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        // The cursor may stand behind "^C" or a progress bar.
        anstream::eprintln!("\ninterrupted");
        std::process::exit(INTERRUPTED);
    });
}

/// Runs `write`; an interrupt waits until it is done, so that no temporary
/// file stays behind.
pub fn uninterrupted<T>(write: impl FnOnce() -> T) -> T {
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    write()
}
