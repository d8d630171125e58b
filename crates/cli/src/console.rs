//! What goes to the terminal: data on stdout, notes, warnings and progress on
//! stderr. Progress shows only where stderr is a terminal.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use laterna_weights::Progress;

use crate::error::{During, Failure, one_line};

/// How much the user wants to read.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    quiet: bool,
    verbose: bool,
}

impl Console {
    /// A console that shows nothing but errors, or more than usual.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose }
    }

    /// A line about what was done.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            anstream::eprintln!("{text}");
        }
    }

    /// A line that only `--verbose` shows.
    pub fn detail(&self, text: impl Display) {
        if self.verbose {
            anstream::eprintln!("{text}");
        }
    }

    /// Something that the user should know and that stops nothing.
    pub fn warn(&self, text: impl Display) {
        if !self.quiet {
            let text = one_line(&text.to_string());
            let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
            anstream::eprintln!("{yellow}warning:{yellow:#} {text}");
        }
    }

    /// A spinner for work of unknown length; it goes away when dropped.
    pub fn spinner(&self, text: impl Into<String>) -> Spinner {
        let bar = self.bar(None, "{spinner} {msg} ({elapsed})");
        bar.set_message(text.into());
        bar.enable_steady_tick(Duration::from_millis(100));
        Spinner(bar)
    }

    /// A bar that counts steps.
    pub fn steps(&self, total: usize, text: &'static str) -> Spinner {
        let bar = self.bar(Some(total as u64), "{msg} {wide_bar} {pos}/{len} (left: {eta})");
        bar.set_message(text);
        Spinner(bar)
    }

    /// A bar that counts bytes.
    pub fn download(&self) -> Download {
        let form = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} (left: {eta})";
        Download(Spinner(self.bar(Some(0), form)))
    }

    fn bar(&self, length: Option<u64>, form: &str) -> ProgressBar {
        let shown = ProgressDrawTarget::stderr();
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { shown };
        let bar = ProgressBar::with_draw_target(length, target);
        let style = ProgressStyle::with_template(form).expect("templates are fixed and sound");
        bar.set_style(style);
        bar
    }
}

/// Progress that goes away when dropped.
pub struct Spinner(ProgressBar);

impl Spinner {
    /// Says something else from now on.
    pub fn say(&self, text: String) {
        self.0.set_message(text);
    }

    /// One step is done.
    pub fn step(&self) {
        self.0.inc(1);
    }

    /// So many steps were done before.
    pub fn begin_at(&self, done: u64) {
        self.0.set_position(done);
        self.0.reset_eta();
    }

    /// `done` steps of `total` are done.
    pub fn reach(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// One step of `total` is done.
    pub fn advance(&self, total: usize) {
        self.0.set_length(total as u64);
        self.0.inc(1);
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The progress of a download.
pub struct Download(Spinner);

impl Progress for Download {
    fn total(&mut self, bytes: Option<u64>) {
        match bytes {
            Some(bytes) => self.0.0.set_length(bytes),
            None => self.0.0.unset_length(),
        }
    }

    fn file(&mut self, name: &str) {
        self.0.0.set_message(name.to_owned());
    }

    fn advance(&mut self, bytes: u64) {
        self.0.0.inc(bytes);
    }
}

/// Writes data to stdout. A reader that has seen enough (`| head`) is no
/// failure.
///
/// # Errors
/// If stdout cannot be written, as on a full disk.
pub fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.during("cannot write to stdout"),
    }
}
