//! Models by name: found in the Hugging Face cache, or downloaded into it.
//!
//! The cache and the environment variables are those of huggingface_hub
//! (<https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>),
//! so that a model fetched by one tool is there for the other.

mod cache;
mod download;
mod error;
mod name;
mod select;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;

use crate::folder::Precision;
use download::{Download, RETRY_PAUSE, api_error, is_identifier};
use select::NoSelection;

pub use error::HubError;
pub use name::{HubName, ModelName};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Where models come from.
#[derive(Clone, Debug)]
pub struct Hub {
    cache: PathBuf,
    endpoint: String,
    token: Option<String>,
    offline: bool,
    retry_pause: Duration,
}

/// Told how a download goes. All methods may be left as they are.
pub trait Progress {
    /// Called once, with the bytes of all files together if the hub says how
    /// many; those already here count too.
    fn total(&mut self, bytes: Option<u64>) {
        let _ = bytes;
    }
    /// A file begins.
    fn file(&mut self, name: &str) {
        let _ = name;
    }
    /// More bytes are here.
    fn advance(&mut self, bytes: u64) {
        let _ = bytes;
    }
}

/// No progress shown.
impl Progress for () {}

impl Hub {
    /// The hub as the environment describes it.
    ///
    /// # Errors
    /// If there is neither a variable for the cache nor a home folder.
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_vars(|name| std::env::var(name).ok(), std::env::home_dir())
    }

    /// The hub as these variables describe it: `HF_HUB_CACHE`, `HF_HOME`,
    /// `XDG_CACHE_HOME`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH` and
    /// `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// If they give no folder for the cache, and there is no home folder.
    pub fn from_vars(
        var: impl Fn(&str) -> Option<String>,
        home: Option<PathBuf>,
    ) -> Result<Self, HubError> {
        let var = |name| var(name).filter(|value| !value.is_empty());
        let caches = var("XDG_CACHE_HOME").map(PathBuf::from).or(home.map(|h| h.join(".cache")));
        let hf_home = var("HF_HOME").map(PathBuf::from).or(caches.map(|c| c.join("huggingface")));
        let cache = var("HF_HUB_CACHE").map(PathBuf::from);
        let cache = cache.or(hf_home.as_ref().map(|h| h.join("hub"))).ok_or(HubError::NoHome)?;
        let token_path =
            var("HF_TOKEN_PATH").map(PathBuf::from).or(hf_home.map(|h| h.join("token")));
        let endpoint = var("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        Ok(Self {
            cache,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: var("HF_TOKEN").or_else(|| fs::read_to_string(token_path?).ok()).and_then(token),
            offline: var("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            retry_pause: RETRY_PAUSE,
        })
    }

    /// The same hub with another pause before a failed download is tried
    /// again.
    pub fn with_retry_pause(self, retry_pause: Duration) -> Self {
        Self { retry_pause, ..self }
    }

    /// The cache's folder.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The folder of the model that `text` names: a local one, one in the
    /// cache, or one downloaded now.
    ///
    /// # Errors
    /// If the name is none, or the model is not cached and cannot be fetched.
    pub fn locate(
        &self,
        text: &str,
        precision: Precision,
        progress: &mut dyn Progress,
    ) -> Result<PathBuf, HubError> {
        match ModelName::parse(text)? {
            ModelName::Folder(path) => Ok(path),
            ModelName::Hub(name) => match self.cached(&name) {
                Some(path) => Ok(path),
                None => self.fetch(&name, precision, progress),
            },
        }
    }

    /// The model's folder in the cache, if all of the model is there.
    pub fn cached(&self, name: &HubName) -> Option<PathBuf> {
        cache::snapshot(&self.cache, name).filter(|path| cache::first_missing(path).is_none())
    }

    /// The models in the cache that are there whole, with all their components, by
    /// name. A folder that cannot be read holds none.
    pub fn cached_models(&self) -> Vec<HubName> {
        let folders = fs::read_dir(&self.cache).into_iter().flatten().flatten();
        let names = folders.filter_map(|folder| cache::name_of(folder.file_name().to_str()?));
        let whole = |name: &HubName| self.cached(name).is_some_and(|path| cache::is_model(&path));
        let mut models: Vec<_> = names.filter(whole).collect();
        models.sort_by_key(HubName::to_string);
        models
    }

    /// Brings the model's folder in the cache up to date with the hub and
    /// returns it. What is there already is not downloaded again, and an
    /// interrupted download continues. A hub that neither answers nor closes
    /// the connection is waited for: hf-hub sets no time limit.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses, the model has no usable
    /// weights, or the cache cannot be written. Offline, if the model is not
    /// cached whole.
    pub fn fetch(
        &self,
        name: &HubName,
        precision: Precision,
        progress: &mut dyn Progress,
    ) -> Result<PathBuf, HubError> {
        if self.offline {
            return self.cached(name).ok_or_else(|| self.offline_error(name));
        }
        let listing = self.listing(name)?;
        let files = listing.select(name, precision)?;
        progress.total(files.iter().map(|file| file.size).sum());
        let download = Download::new(self, name, &listing.sha)?;
        files.iter().try_for_each(|file| download.file(&file.rfilename, progress))?;
        self.remember(name, &listing.sha)
    }

    /// Notes the commit as the revision's newest; written last, so that a
    /// revision is never found before its files are.
    fn remember(&self, name: &HubName, commit: &str) -> Result<PathBuf, HubError> {
        let repository = self.hf_cache().repo(hf_repository(name));
        repository.create_ref(commit).map_err(|reason| HubError::Cache {
            path: cache::repository(&self.cache, name).join("refs"),
            reason,
        })?;
        Ok(repository.pointer_path(commit))
    }

    fn offline_error(&self, name: &HubName) -> HubError {
        let missing = cache::snapshot(&self.cache, name).and_then(|s| cache::first_missing(&s));
        HubError::Offline {
            name: name.to_string(),
            file: missing.unwrap_or_else(|| "the model".to_owned()),
            cache: self.cache.clone(),
        }
    }

    fn hf_cache(&self) -> Cache {
        Cache::new(self.cache.clone())
    }

    fn api(&self, name: &HubName) -> Result<Api, HubError> {
        ApiBuilder::from_cache(self.hf_cache())
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_user_agent("laterna", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|e| api_error(name, &self.endpoint, e))
    }

    /// What the hub has under this name.
    fn listing(&self, name: &HubName) -> Result<Listing, HubError> {
        let repository = hf_repository(name);
        let url = format!("{}/api/{}", self.endpoint, repository.api_url());
        let request = self.api(name)?.repo(repository).info_request().query("blobs", "true");
        let answer = request.call().and_then(|mut response| response.body_mut().read_to_string());
        let answer = answer.map_err(|e| api_error(name, &url, Box::new(e).into()))?;
        let unusable =
            |what: String| HubError::Answer { name: name.to_string(), url: url.clone(), what };
        let listing: Listing =
            serde_json::from_str(&answer).map_err(|e| unusable(e.to_string()))?;
        if !is_identifier(&listing.sha) {
            return Err(unusable("a commit that is no hash".to_owned()));
        }
        Ok(listing)
    }
}

fn hf_repository(name: &HubName) -> Repo {
    let (repository, revision) = (name.repository().to_owned(), name.revision().to_owned());
    Repo::with_revision(repository, RepoType::Model, revision)
}

/// The token in a variable or a file, unless that is blank.
fn token(text: String) -> Option<String> {
    Some(text.trim().to_owned()).filter(|token| !token.is_empty())
}

/// huggingface_hub's spellings of yes.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// The hub's description of a repository at a revision.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<ListedFile>,
}

#[derive(Clone, Deserialize)]
struct ListedFile {
    rfilename: String,
    size: Option<u64>,
}

impl Listing {
    /// The files that the model needs.
    fn select(&self, name: &HubName, precision: Precision) -> Result<Vec<ListedFile>, HubError> {
        let safe = self.siblings.iter().filter(|file| is_inside(&file.rfilename));
        let listed: Vec<&str> = safe.map(|file| &*file.rfilename).collect();
        let chosen = select::select(&listed, precision).map_err(|none| match none {
            NoSelection::NoModel => HubError::NoModel { name: name.to_string() },
            NoSelection::NoWeights(component) => {
                HubError::NoWeights { name: name.to_string(), component }
            }
        })?;
        let siblings = self.siblings.iter();
        Ok(siblings.filter(|file| chosen.contains(&file.rfilename)).cloned().collect())
    }
}

/// Whether a path from the hub stays inside the model's folder.
fn is_inside(path: &str) -> bool {
    !path.contains(['\\', ':', '\0'])
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(vars: &[(&str, &str)], home: Option<&str>) -> Result<Hub, HubError> {
        let var = |name: &str| Some(vars.iter().find(|(n, _)| *n == name)?.1.to_owned());
        Hub::from_vars(var, home.map(PathBuf::from))
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_has_it() {
        for (vars, expected) in [
            (&[][..], "/home/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/c")], "/c/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/c"), ("HF_HOME", "/hf")], "/hf/hub"),
            (&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/models")], "/models"),
            (&[("HF_HOME", "")], "/home/.cache/huggingface/hub"),
        ] {
            assert_eq!(hub(vars, Some("/home")).unwrap().cache(), Path::new(expected));
        }
        assert!(matches!(hub(&[], None), Err(HubError::NoHome)));
    }

    #[test]
    fn the_token_is_the_variable_or_the_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "from file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let token = |vars: &[(&str, &str)]| hub(vars, None).unwrap().token;
        assert_eq!(token(&[("HF_HOME", home)]).as_deref(), Some("from file"));
        assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN", "t ")]).as_deref(), Some("t"));
        assert_eq!(token(&[("HF_HOME", "/absent")]), None);
    }

    #[test]
    fn offline_is_spelled_as_elsewhere() {
        for (value, expected) in [("1", true), ("true", true), ("0", false), ("no", false)] {
            let vars = [("HF_HUB_OFFLINE", value)];
            assert_eq!(hub(&vars, Some("/home")).unwrap().offline, expected, "{value}");
        }
    }

    #[test]
    fn paths_of_the_hub_stay_inside() {
        assert!(is_inside("unet/config.json"));
        for path in ["../a", "/a", "a/../b", "a//b", "", "C:/a", "a\\b", "a/."] {
            assert!(!is_inside(path), "{path}");
        }
    }
}
