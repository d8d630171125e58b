//! Makes a package into a compiled model.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use block2::RcBlock;
use objc2::rc::Retained;
use objc2_core_ml::MLModel;
use objc2_foundation::{NSError, NSProcessInfo, NSURL};

use super::RunError;

/// The system's build number: "23F79" of "Version 14.5 (Build 23F79)".
pub(super) fn system_build() -> String {
    let version = NSProcessInfo::processInfo().operatingSystemVersionString().to_string();
    let build = version.split_once("Build ").map(|(_, rest)| rest.trim_end_matches(')'));
    build.unwrap_or(&version).to_owned()
}

/// Core ML compiles into a temporary folder under the package's own name.
pub(super) fn compile(package: &Path) -> Result<PathBuf, RunError> {
    const ACTION: &str = "compiling the package";
    let url = url(package)?;
    let (done, result) = sync_channel(1);
    let handler = RcBlock::new(move |url: *mut NSURL, error: *mut NSError| {
        // SAFETY: Core ML gives a URL or an error, each valid during the call.
        let (url, error) = unsafe { (url.as_ref(), error.as_ref()) };
        let path = url.and_then(NSURL::to_file_path);
        // The receiver waits for exactly this.
        let _ = done.send(path.ok_or_else(|| refusal(ACTION, error)));
    });
    // SAFETY: the URL is a file's, and the block takes what the method gives.
    unsafe { MLModel::compileModelAtURL_completionHandler(&url, &handler) };
    result.recv().unwrap_or_else(|_| Err(refusal(ACTION, None)))
}

/// What Core ML made, on its way from Core ML's thread to the one that waits.
pub(super) struct Handed<T: ?Sized>(pub Retained<T>);

// SAFETY: it is handed over, not shared: the block that sends it keeps no reference.
unsafe impl<T: ?Sized> Send for Handed<T> {}

pub(super) fn url(path: &Path) -> Result<Retained<NSURL>, RunError> {
    NSURL::from_directory_path(path).ok_or_else(|| {
        let source = std::io::Error::from(std::io::ErrorKind::InvalidInput);
        RunError::Io { path: path.to_owned(), source }
    })
}

/// What Core ML says.
pub(super) fn reason(error: &NSError) -> String {
    error.localizedDescription().to_string()
}

pub(super) fn refusal(action: &'static str, error: Option<&NSError>) -> RunError {
    let reason = error.map_or_else(|| "Core ML gave no reason".to_owned(), reason);
    RunError::CoreMl { action, reason }
}
