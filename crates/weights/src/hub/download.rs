//! One file from the hub into the cache, through hf-hub, with what that lacks:
//! its resume appends to whatever is there, so that a full partial file fails
//! for ever and a server without ranges corrupts one; and it never checks how
//! many bytes arrived, nor where a server's answer makes it write.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use hf_hub::Repo;
use hf_hub::api::sync::{ApiError, ApiRepo, Metadata};

use super::name::HubName;
use super::{Hub, HubError, Progress, cache};

/// Attempts at one file; each continues where the last one stopped.
const ATTEMPTS: u32 = 4;

/// A repository at one commit, open for downloads.
pub(super) struct Download<'a> {
    hub: &'a Hub,
    name: &'a HubName,
    commit: &'a str,
    repository: ApiRepo,
    api: hf_hub::api::sync::Api,
}

impl<'a> Download<'a> {
    pub fn new(hub: &'a Hub, name: &'a HubName, commit: &'a str) -> Result<Self, HubError> {
        let api = hub.api(name)?;
        // By the commit, so that a branch that moves meanwhile cannot mix two
        // versions of a model.
        let repository = api.repo(Repo::with_revision(
            name.repository().to_owned(),
            hf_hub::RepoType::Model,
            commit.to_owned(),
        ));
        Ok(Self { hub, name, commit, repository, api })
    }

    /// Has `file` in the snapshot, downloading what is missing of it.
    pub fn file(&self, file: &str, progress: &mut dyn Progress) -> Result<(), HubError> {
        progress.file(file);
        let mut counted = Counted { progress, position: 0, reported: 0 };
        let pointer = self.snapshot().join(file);
        if let Ok(metadata) = fs::metadata(&pointer) {
            counted.reach(metadata.len());
            return Ok(());
        }
        for attempt in 1.. {
            match self.attempt(file, &pointer, &mut counted) {
                Err(error) if error.is_passing() && attempt < ATTEMPTS => {
                    thread::sleep(self.hub.retry_pause * attempt);
                }
                result => return result,
            }
        }
        unreachable!("the last attempt returns")
    }

    fn snapshot(&self) -> PathBuf {
        cache::repository(&self.hub.cache, self.name).join("snapshots").join(self.commit)
    }

    fn attempt(
        &self,
        file: &str,
        pointer: &Path,
        counted: &mut Counted<'_>,
    ) -> Result<(), HubError> {
        let url = self.repository.url(file);
        let metadata = self.api.metadata(&url).map_err(|e| api_error(self.name, &url, e))?;
        let blob = self.blob(&url, &metadata)?;
        let size = metadata.size() as u64;
        discard_full_part(&blob.with_extension("part"), size)?;
        if fs::metadata(&blob).is_ok_and(|m| m.len() == size) {
            counted.reach(size);
            return link(&blob, pointer).map_err(|e| cache_error(pointer, e));
        }
        let downloaded = self.repository.download_with_progress(file, &mut *counted);
        let path = downloaded.map_err(|error| match error {
            ApiError::IoError(e) if is_of_the_disk(&e) => cache_error(&blob, e),
            _ => api_error(self.name, &url, error),
        })?;
        self.check_size(file, &path, &blob, size)
    }

    /// Where the file's content will be. Its name comes from the server, and
    /// must not lead elsewhere.
    fn blob(&self, url: &str, metadata: &Metadata) -> Result<PathBuf, HubError> {
        let answer = |what: &str| HubError::Answer {
            name: self.name.to_string(),
            url: url.to_owned(),
            what: what.to_owned(),
        };
        if metadata.commit_hash() != self.commit {
            return Err(answer("another commit than asked for"));
        }
        // hf-hub keeps the mark of a weak ETag, which makes a folder `W`.
        let hash = metadata.etag().strip_prefix("W/").unwrap_or(metadata.etag());
        if !is_identifier(hash) {
            return Err(answer("an ETag that is no hash"));
        }
        Ok(cache::repository(&self.hub.cache, self.name).join("blobs").join(metadata.etag()))
    }

    fn check_size(
        &self,
        file: &str,
        path: &Path,
        blob: &Path,
        expected: u64,
    ) -> Result<(), HubError> {
        let found = fs::metadata(path).map_err(|e| cache_error(path, e))?.len();
        if found == expected {
            return Ok(());
        }
        for wrong in [path, blob] {
            remove(wrong).map_err(|e| cache_error(wrong, e))?;
        }
        let (name, file) = (self.name.to_string(), file.to_owned());
        Err(HubError::Incomplete { name, file, found, expected })
    }
}

/// Whether `text` can be a hash, and so a file's name in the cache.
pub(super) fn is_identifier(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// What hf-hub or the server said, as an error of ours.
pub(super) fn api_error(name: &HubName, url: &str, error: ApiError) -> HubError {
    if let ApiError::RequestError(request) = &error
        && let ureq::Error::StatusCode(status) = **request
    {
        return status_error(name, url, status);
    }
    let (name, url) = (name.to_string(), url.to_owned());
    match error {
        ApiError::MissingHeader(_) | ApiError::InvalidHeader(_) | ApiError::ParseIntError(_) => {
            HubError::Answer { name, url, what: error.to_string() }
        }
        ApiError::LockAcquisition(path) => HubError::Request {
            name,
            url,
            reason: format!("another process is downloading it (lock {})", path.display()),
        },
        _ => HubError::Request { name, url, reason: error.to_string() },
    }
}

fn status_error(name: &HubName, url: &str, status: u16) -> HubError {
    let (name, url) = (name.to_string(), url.to_owned());
    match status {
        401 | 403 => HubError::Denied { name, url, status },
        404 => HubError::NotFound { name, url },
        _ => HubError::Request { name, url, reason: format!("HTTP status {status}") },
    }
}

/// hf-hub's one kind of I/O error is the connection's or the disk's; of the
/// latter these are what no second attempt mends.
fn is_of_the_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

fn cache_error(path: &Path, reason: io::Error) -> HubError {
    HubError::Cache { path: path.to_owned(), reason }
}

/// Removes a partial file that has all the bytes or more: hf-hub would ask
/// for the range after its end, and be refused for ever.
fn discard_full_part(part: &Path, size: u64) -> Result<(), HubError> {
    if fs::metadata(part).is_ok_and(|m| m.len() >= size) {
        return remove(part).map_err(|e| cache_error(part, e));
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Makes the snapshot's file from content that the cache has already. A hard
/// link needs neither more room nor, on Windows, the right to make symbolic
/// ones.
fn link(blob: &Path, pointer: &Path) -> io::Result<()> {
    if let Some(folder) = pointer.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::hard_link(blob, pointer).or_else(|_| fs::copy(blob, pointer).map(|_| ()))
}

/// Tells our caller about hf-hub's progress: hf-hub starts over with every
/// attempt, while what was reported stays reported.
struct Counted<'a> {
    progress: &'a mut dyn Progress,
    /// Bytes of the file that are there now.
    position: u64,
    /// The most that there ever were.
    reported: u64,
}

impl Counted<'_> {
    fn reach(&mut self, position: u64) {
        self.position = position;
        if position > self.reported {
            self.progress.advance(position - self.reported);
            self.reported = position;
        }
    }
}

impl hf_hub::api::Progress for &mut Counted<'_> {
    fn init(&mut self, _size: usize, _file: &str) {
        self.position = 0;
    }

    fn update(&mut self, bytes: usize) {
        self.reach(self.position + bytes as u64);
    }

    fn finish(&mut self) {}
}

/// The pause before the second attempt; each further one waits as much longer.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(500);
