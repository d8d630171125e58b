//! The command under test: started, asked over HTTP, and looked at from outside.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::threads;

/// A session that runs, killed when dropped.
pub struct Live {
    child: Child,
    pub host: String,
    /// Where it works, until it is dropped.
    _folder: tempfile::TempDir,
}

impl Live {
    /// Starts `laterna run` with `args` and waits until it paints.
    pub fn start(size: usize, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_laterna"));
        command.args(["run", "--port", "0", "--size", &size.to_string()]).args(args);
        command.args(threads());
        command.current_dir(folder.path()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut host = None;
        while let Some(Ok(line)) = lines.next() {
            if let Some(address) = line.strip_prefix("open http://") {
                host = Some(address.trim_end_matches('/').to_owned());
            }
            if line.contains("is ready at") {
                break;
            }
        }
        // Read on, so that the session never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, host: host.unwrap(), _folder: folder }
    }

    /// Sends a request and gives the answer's body.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let (host, length) = (&self.host, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}");
        write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{method} {path} {body}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub fn statistics(&self) -> Value {
        serde_json::from_str(&self.ask("GET", "/api/v1/stats", "")).unwrap()
    }

    /// What the process holds now.
    pub fn holdings(&self) -> Holdings {
        let folder = format!("/proc/{}", self.child.id());
        let count =
            |name: &str| fs::read_dir(format!("{folder}/{name}")).map_or(0, Iterator::count);
        let status = fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Holdings { rss_kib: kib.unwrap_or(0), threads: count("task"), descriptors: count("fd") }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Memory, threads and open files of a process; zeros where `/proc` is not.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Holdings {
    pub rss_kib: u64,
    pub threads: usize,
    pub descriptors: usize,
}

/// One run of `laterna bench`: its median frame in milliseconds.
pub fn bench_ms(size: usize, frames: usize) -> f64 {
    let (size, frames) = (size.to_string(), frames.to_string());
    let args = ["bench", "--json", "--size", &size, "--frames", &frames];
    let mut command = Command::new(env!("CARGO_BIN_EXE_laterna"));
    let output = command.args(args).args(threads()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["frame"]["median_ms"].as_f64().unwrap()
}
