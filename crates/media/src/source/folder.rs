//! The pictures of a folder, in the natural order of their names, each for a
//! while. Live, each is given again and again while it stays, and files that
//! cannot be read are left out; offline each comes once and must be sound.

use std::path::{Path, PathBuf};
use std::time::Duration;

use laterna_pipeline::Image;

use super::error::SourceError;
use super::kinds::{Info, Kind, Opened, Request, has_extension};
use super::natural;
use super::player::{Frames, Next, Pace};
use super::stills::{self, EXTENSIONS};

/// A folder.
pub(super) const KIND: Kind = Kind {
    name: "folder",
    accepts: "a folder of PNG, JPEG and WebP pictures, shown one after the other",
    stands_alone: false,
    claims: |given| given.path().is_some_and(Path::is_dir),
    open,
    list: None,
};

/// A folder with more pictures than this is a mistake.
const MAX_FILES: usize = 1_000_000;

fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let folder = request.path();
    let files = pictures(&folder)?;
    let name = folder.display().to_string();
    let is_live = request.pace == Pace::Live;
    let fps = if is_live { request.want.fps_or(stills::FPS) } else { 0.0 };
    let hold = request.want.hold.clamp(Duration::from_millis(1), Duration::from_hours(24));
    let repeats = ((hold.as_secs_f64() * fps).round() as u64).max(1);
    let step = hold.div_f64(repeats as f64);
    let frames = files.len() as u64;
    let info = Info {
        fps: Some(1.0 / step.as_secs_f64()),
        frames: Some(frames * repeats),
        duration: hold.checked_mul(u32::try_from(frames).unwrap_or(u32::MAX)),
        ..Info::named(&name)
    };
    let picture = Image::default();
    Ok(request
        .play(Folder { files, picture, repeats, step, index: 0, loaded: None, is_live }, info))
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |error| SourceError::io(folder, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if has_extension(&path, EXTENSIONS) {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(SourceError::damaged(&folder.display().to_string(), "too many pictures"));
        }
    }
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files.sort_by(|a, b| natural::compare(&name(a), &name(b)));
    if files.is_empty() {
        let why = format!("no {} in it", EXTENSIONS.join(", "));
        return Err(SourceError::Unavailable { name: folder.display().to_string(), why });
    }
    Ok(files)
}

struct Folder {
    files: Vec<PathBuf>,
    picture: Image,
    /// How often each picture is given, and the time from one to the next.
    repeats: u64,
    step: Duration,
    /// Of the next picture given.
    index: u64,
    /// Which file `picture` is.
    loaded: Option<usize>,
    is_live: bool,
}

impl Frames for Folder {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        let Some(file) =
            usize::try_from(self.index / self.repeats).ok().filter(|&file| file < self.files.len())
        else {
            return Ok(Next::End);
        };
        if self.loaded != Some(file)
            && let Err(error) = self.load(file)
        {
            self.leave_out(file, error)?;
            return Ok(Next::Later);
        }
        image.copy_from(&self.picture);
        let at = self.step.mul_f64(self.index as f64);
        self.index += 1;
        Ok(Next::Picture { at })
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.index = 0;
        Ok(())
    }

    fn skip_to(&mut self, at: Duration) {
        let index = (at.as_secs_f64() / self.step.as_secs_f64()).ceil() as u64;
        self.index = self.index.max(index.min(self.files.len() as u64 * self.repeats - 1));
    }
}

impl Folder {
    fn load(&mut self, file: usize) -> Result<(), SourceError> {
        self.picture = stills::load(&self.files[file])?;
        self.loaded = Some(file);
        Ok(())
    }

    /// Goes on without a file, unless it was the last one.
    fn leave_out(&mut self, file: usize, error: SourceError) -> Result<(), SourceError> {
        if !self.is_live || self.files.len() == 1 {
            return Err(error);
        }
        self.files.remove(file);
        self.index = file as u64 * self.repeats;
        self.loaded = None;
        Ok(())
    }
}
