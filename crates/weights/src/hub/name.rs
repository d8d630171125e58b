//! Names of models: a local folder, or `owner/name[@revision]` on the hub.

use std::fmt;
use std::path::PathBuf;

use super::HubError;

/// What `--model` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelName {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A model on the hub.
    Hub(HubName),
}

/// A model on the hub, at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubName {
    repository: String,
    revision: String,
}

const DEFAULT_REVISION: &str = "main";

/// The hub's own limit on the length of a name.
const MAX_NAME_BYTES: usize = 96;

impl ModelName {
    /// Understands `text`: a folder that exists is that folder, whatever it is
    /// called; otherwise the text must be a name on the hub.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        let path = PathBuf::from(text);
        if path.is_dir() {
            return Ok(Self::Folder(path));
        }
        HubName::parse(text).map(Self::Hub).ok_or_else(|| HubError::Name { name: text.to_owned() })
    }
}

impl HubName {
    /// Understands `owner/name` or `owner/name@revision`.
    pub fn parse(text: &str) -> Option<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
        let (owner, name) = repository.split_once('/')?;
        let sound = is_part(owner) && is_part(name) && is_revision(revision);
        (sound && repository.len() <= MAX_NAME_BYTES)
            .then(|| Self { repository: repository.to_owned(), revision: revision.to_owned() })
    }

    /// `owner/name`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// A branch, a tag or a commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        match &*self.revision {
            DEFAULT_REVISION => Ok(()),
            revision => write!(f, "@{revision}"),
        }
    }
}

/// The hub's rule for owners and names. It also keeps them from being paths:
/// they become part of a folder's name in the cache.
fn is_part(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with(['.', '-'])
        && !part.contains("--")
        && !part.contains("..")
        && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// A revision may have folders (`refs/pr/1`), each named as strictly.
fn is_revision(revision: &str) -> bool {
    revision.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        let name = |text: &str| HubName::parse(text).map(|n| (n.repository, n.revision));
        let pair = |r: &str, v: &str| Some((r.to_owned(), v.to_owned()));
        assert_eq!(name("IDKiro/sdxs-512-0.9"), pair("IDKiro/sdxs-512-0.9", "main"));
        assert_eq!(name("a/b@refs/pr/1"), pair("a/b", "refs/pr/1"));
        for text in
            ["", "a", "a/b/c", "/a/b", "./a", "../a", "a/..", "a/b@../../x", "a/b@", "a/b c"]
        {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn a_folder_that_exists_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert_eq!(ModelName::parse(path).unwrap(), ModelName::Folder(path.into()));
        let error = ModelName::parse(&format!("{path}/absent")).unwrap_err().to_string();
        assert!(error.contains("absent: neither a folder nor"), "{error}");
    }

    #[test]
    fn the_usual_revision_is_not_shown() {
        for text in ["a/b", "a/b@v1"] {
            assert_eq!(HubName::parse(text).unwrap().to_string(), text);
        }
    }
}
