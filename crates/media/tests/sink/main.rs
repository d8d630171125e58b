//! Sinks from outside: what they write is read back by a reader of the tests'
//! own, by OpenH264's decoder, and by ffmpeg where it is installed.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod boxes;
mod programs;
mod recorder;
mod show;
mod stream;
mod support;
