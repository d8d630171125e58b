//! Ctrl-C and termination: a command that can end in order is asked to; any
//! other process ends with code 130, but never in the middle of writing an
//! output.

use std::sync::{Mutex, PoisonError};

/// The code that shells give a process ended by Ctrl-C: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Held while an output is being written.
static WRITING: Mutex<()> = Mutex::new(());

type Ask = Box<dyn FnOnce() + Send>;

/// Asks the command to end. The first interrupt takes it away.
static ASK: Mutex<Option<Ask>> = Mutex::new(None);

/// Makes Ctrl-C end the process as described above. Where no handler can be
/// set, the system's default stays: the process just ends.
pub fn install() {
    let _ = ctrlc::set_handler(|| {
        if let Some(ask) = swap(None) {
            return ask();
        }
        let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        // The cursor may stand behind "^C" or a progress bar.
        anstream::eprintln!("\ninterrupted");
        std::process::exit(INTERRUPTED);
    });
}

/// From now on the first interrupt calls `ask`; a second one ends the process.
pub fn on_interrupt(ask: impl FnOnce() + Send + 'static) {
    swap(Some(Box::new(ask)));
}

/// Interrupts end the process again.
pub fn forget() {
    swap(None);
}

fn swap(ask: Option<Ask>) -> Option<Ask> {
    std::mem::replace(&mut *ASK.lock().unwrap_or_else(PoisonError::into_inner), ask)
}

/// Runs `write`; an interrupt waits until it is done, so that no temporary
/// file stays behind.
pub fn uninterrupted<T>(write: impl FnOnce() -> T) -> T {
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    write()
}
