//! Every kind of source, opened as a user names it, on files that are made here.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod damage;
mod ffmpeg;
mod files;
mod film;
mod live;
mod support;
