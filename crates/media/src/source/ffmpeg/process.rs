//! A running `ffmpeg`: always killed and reaped, never asked anything, and what
//! it says is kept in a bounded tail.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines of its messages that are kept, and the length of one.
const TAIL_LINES: usize = 8;
const LINE_BYTES: u64 = 400;

/// Frame times that may wait to be read. ffmpeg announces frames some tens ahead
/// of the pipe, and more only if they are tiny.
const TIMES_AHEAD: usize = 4096;

/// How long a process that has closed its output may take to end.
const ENDING: Duration = Duration::from_secs(2);

/// A running program whose output is being read.
#[derive(Clone)]
pub(super) struct Process {
    inner: Arc<Inner>,
}

struct Inner {
    child: Mutex<Child>,
    tail: Mutex<Tail>,
}

/// What a process gives.
pub(super) struct Pipes {
    pub(super) process: Process,
    pub(super) output: ChildStdout,
    /// Time of each frame, in the order of the frames.
    pub(super) times: Receiver<Duration>,
}

/// Kills the process when it is dropped.
pub(super) struct KillOnDrop(pub(super) Process);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}

impl Process {
    /// Starts `command` with its output and messages in pipes and nothing to read.
    ///
    /// # Errors
    /// The system's, if there is no such program.
    pub(super) fn start(mut command: Command) -> io::Result<Pipes> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        hide_window(&mut command);
        let mut child = command.spawn()?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let inner = Inner { child: Mutex::new(child), tail: Mutex::default() };
        let process = Self { inner: Arc::new(inner) };
        let (Some(output), Some(errors)) = (output, errors) else {
            process.kill();
            return Err(io::Error::other("the pipes are missing"));
        };
        let (send, times) = sync_channel(TIMES_AHEAD);
        if let Err(error) = process.listen(errors, send) {
            process.kill();
            return Err(error);
        }
        Ok(Pipes { process, output, times })
    }

    /// Starts the thread that reads the messages. It ends with the process.
    fn listen(&self, errors: ChildStderr, send: SyncSender<Duration>) -> io::Result<()> {
        let process = self.clone();
        let body = move || {
            let mut errors = BufReader::new(errors);
            let mut line = Vec::new();
            while read_line(&mut errors, &mut line).unwrap_or(false) {
                let text = String::from_utf8_lossy(&line);
                match frame_time(&text) {
                    Some(time) => drop(send.send(time)),
                    None => lock(&process.inner.tail).push(&text),
                }
            }
            lock(&process.inner.tail).is_complete = true;
        };
        thread::Builder::new().name("ffmpeg messages".to_owned()).spawn(body).map(drop)
    }

    /// Waits for the process, which has closed its output, and says how it ended.
    ///
    /// # Errors
    /// Its last messages, if it did not end well.
    pub(super) fn finish(&self) -> Result<(), String> {
        let deadline = Instant::now() + ENDING;
        let status = loop {
            let ended = lock(&self.inner.child).try_wait();
            match ended {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                Ok(None) | Err(_) => break None,
            }
        };
        self.kill();
        if status.is_some_and(|status| status.success()) {
            return Ok(());
        }
        while !lock(&self.inner.tail).is_complete && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        Err(self.describe(status))
    }

    fn describe(&self, status: Option<ExitStatus>) -> String {
        let said = lock(&self.inner.tail).text();
        match status {
            _ if !said.is_empty() => said,
            Some(status) => format!("it ended with {status}"),
            None => "it does not end".to_owned(),
        }
    }

    /// Ends the process and collects what the system keeps of it.
    pub(super) fn kill(&self) {
        let mut child = lock(&self.inner.child);
        // Both fail only for a process that has been collected.
        drop(child.kill());
        drop(child.wait());
    }
}

#[cfg(windows)]
fn hide_window(command: &mut Command) {
    use std::os::windows::process::CommandExt;
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    command.creation_flags(CREATE_NO_WINDOW);
}

#[cfg(not(windows))]
fn hide_window(_: &mut Command) {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last lines of what a program said.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    is_complete: bool,
}

impl Tail {
    fn push(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() || self.lines.back().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    fn text(&self) -> String {
        Vec::from_iter(self.lines.iter().map(String::as_str)).join("; ")
    }
}

/// Reads a line, or a part of one that is too long, without its end; whether
/// there was one.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = input.take(LINE_BYTES).read_until(b'\n', line)?;
    Ok(read > 0)
}

/// The time in a line of the `metadata` filter: `frame:7 pts:112 pts_time:0.28`.
fn frame_time(line: &str) -> Option<Duration> {
    let rest = line.strip_prefix("frame:")?;
    let time = rest.split_ascii_whitespace().find_map(|field| field.strip_prefix("pts_time:"))?;
    // A frame without a time, and one before the start, count as the start.
    let seconds = time.parse::<f64>().unwrap_or(0.0).max(0.0);
    Some(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_times_are_told_from_messages() {
        let time = |line| frame_time(line).map(|time| time.as_micros());
        assert_eq!(time("frame:7    pts:112     pts_time:0.28"), Some(280_000));
        assert_eq!(time("frame:0    pts:-1     pts_time:-0.04"), Some(0));
        assert_eq!(time("frame:0    pts:NOPTS   pts_time:NOPTS"), Some(0));
        assert_eq!(time("frame:0    pts:1   pts_time:inf"), Some(0));
        assert_eq!(time("a=b"), None);
        assert_eq!(time("[mov] error at frame:0 pts_time:1"), None);
    }

    #[test]
    fn the_tail_is_bounded() {
        let mut tail = Tail::default();
        for i in 0..100 {
            tail.push(&format!("line {i}\n"));
            tail.push(&format!("line {i}\n"));
        }
        assert_eq!(tail.lines.len(), TAIL_LINES);
        assert!(tail.text().ends_with("line 98; line 99"));
        let (mut long, mut line) = (&[b'x'; 5000][..], Vec::new());
        assert!(read_line(&mut long, &mut line).unwrap());
        assert_eq!(line.len() as u64, LINE_BYTES);
    }

    #[test]
    fn a_missing_program_is_an_error() {
        let error = Process::start(Command::new("/nowhere/ffmpeg")).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn a_process_is_killed_and_its_messages_are_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such camera >&2; exec sleep 1000"]);
        let pipes = Process::start(command).unwrap();
        let before = Instant::now();
        drop(KillOnDrop(pipes.process.clone()));
        assert!(before.elapsed() < Duration::from_secs(5));
        let error = pipes.process.finish().unwrap_err();
        assert!(error.contains("no such camera") || error.contains("signal"), "{error}");
        assert!(lock(&pipes.process.inner.child).try_wait().unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn failure_is_told_in_the_programs_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo frame:0 pts:0 pts_time:1.5 >&2; echo broken >&2; exit 3"]);
        let pipes = Process::start(command).unwrap();
        assert_eq!(pipes.process.finish(), Err("broken".to_owned()));
        assert_eq!(pipes.times.recv(), Ok(Duration::from_millis(1500)));
    }
}
