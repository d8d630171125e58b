//! Systems without a camera interface of our own: the error names the way through
//! ffmpeg. Nothing here has been tried on such a system.

use super::super::error::SourceError;
use super::super::kinds::{Claim, Device, Opened, Request};

pub(super) fn claims(_: &Claim<'_>) -> bool {
    false
}

pub(super) fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let why = "cameras of this system are read through ffmpeg: name it as \
               `ffmpeg:FORMAT:DEVICE`, where `ffmpeg -devices` lists the formats";
    Err(SourceError::Unavailable { name: request.text.clone(), why: why.to_owned() })
}

pub(super) fn list() -> Vec<Device> {
    Vec::new()
}
