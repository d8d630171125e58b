//! One picture as a file, PNG or JPEG, that appears whole and replaces nothing.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use laterna_pipeline::Image;
use tempfile::{Builder, NamedTempFile};
use thiserror::Error;

use super::jpeg::{Colour, Encoder, JpegError};

/// What a kept JPEG is worth.
const JPEG_QUALITY: u8 = 95;

/// As many names are tried before giving up.
const MOST_NAMES: u32 = 9_999;

/// Why a picture was not saved.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The name's ending is no format that is written here.
    #[error("{}: the name must end in .png, .jpg or .jpeg", .0.display())]
    Format(PathBuf),
    /// The picture cannot be encoded.
    #[error("{}: {reason}", path.display())]
    Encode {
        /// The file that was asked for.
        path: PathBuf,
        /// The encoder's reason.
        reason: String,
    },
    /// Every name with a number is taken too.
    #[error("{}: this name and {MOST_NAMES} numbered ones are taken", .0.display())]
    Taken(PathBuf),
    /// The file cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file that was asked for.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// Saves `image` under `path`, or, if that is taken, under the first free of
/// `name-2.png`, `name-3.png` and so on; says which. The ending decides the
/// format.
///
/// The file is written under a temporary name beside it: whatever goes wrong,
/// none or all of it is there.
///
/// # Errors
/// If the ending is unknown, or the file cannot be written.
pub fn save(image: &Image, path: &Path) -> Result<PathBuf, SnapshotError> {
    let bytes = encode(image, path)?;
    let io = |source| SnapshotError::Io { path: path.to_owned(), source };
    let mut temporary = write_beside(path, &bytes).map_err(io)?;
    for number in 1..=MOST_NAMES {
        let name = numbered(path, number);
        match temporary.persist_noclobber(&name) {
            Ok(_) => return Ok(name),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                temporary = error.file;
            }
            Err(error) => return Err(io(error.error)),
        }
    }
    Err(SnapshotError::Taken(path.to_owned()))
}

/// A time for names: `20261125-002702` of the seconds since 1970, in UTC.
pub fn stamp(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// The Gregorian date of a number of days since 1970. A year begins in March
/// here, so that the odd day of a leap year is its last.
fn date(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01, in eras of 400 years, which are all alike.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Five months from March have 153 days, twice in a year.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (400 * era + year + carry, month, day)
}

fn encode(image: &Image, path: &Path) -> Result<Vec<u8>, SnapshotError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let encoded = match ending.to_ascii_lowercase().as_str() {
        "png" => png(image),
        "jpg" | "jpeg" => jpeg(image).map_err(|error| error.to_string()),
        _ => return Err(SnapshotError::Format(path.to_owned())),
    };
    encoded.map_err(|reason| SnapshotError::Encode { path: path.to_owned(), reason })
}

fn png(image: &Image) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let [width, height] = [image.size().width, image.size().height].map(u32::try_from);
    let (Ok(width), Ok(height)) = (width, height) else { return Err("too large".into()) };
    let encoder = PngEncoder::new(&mut bytes);
    let written = encoder.write_image(image.rgb(), width, height, ExtendedColorType::Rgb8);
    written.map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn jpeg(image: &Image) -> Result<Vec<u8>, JpegError> {
    let mut bytes = Vec::new();
    Encoder { colour: Colour::Full }.encode(image, JPEG_QUALITY, &mut bytes)?;
    Ok(bytes)
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Asked first for the operating system's own words: an error of a temporary
    // file says nothing to a user.
    fs::metadata(folder)?;
    let mut builder = Builder::new();
    builder.prefix(".").suffix(".tmp");
    set_permissions(&mut builder);
    let mut file = builder.tempfile_in(folder).map_err(|e| io::Error::from(e.kind()))?;
    file.write_all(bytes)?;
    // A file system that allocates late reports a full disk only here.
    file.as_file().sync_all()?;
    Ok(file)
}

/// As any file the user creates: readable as the umask allows, where a
/// temporary file would be private.
#[cfg(unix)]
fn set_permissions(builder: &mut Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn set_permissions(_builder: &mut Builder<'_, '_>) {}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let mut name = path.file_stem().map_or_else(OsString::new, OsString::from);
    name.push(format!("-{number}"));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use laterna_pipeline::Size;

    use super::*;

    fn picture(value: u8) -> Image {
        let mut image = Image::new(Size::new(5, 3));
        image.rgb_mut().iter_mut().zip(value..).for_each(|(byte, value)| *byte = value);
        image
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_ever_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.b.png");
        let saved: Vec<_> = (0..3).map(|i| save(&picture(i), &path).unwrap()).collect();
        assert_eq!(names(folder.path()), ["a.b-2.png", "a.b-3.png", "a.b.png"]);
        for (i, path) in saved.iter().enumerate() {
            let decoded = image::open(path).unwrap().to_rgb8();
            assert_eq!(decoded.as_raw(), picture(i as u8).rgb(), "{}", path.display());
        }
    }

    #[test]
    fn a_jpeg_is_near_and_readable_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = save(&picture(40), &folder.path().join("x.JPG")).unwrap();
        let decoded = image::open(&path).unwrap().to_rgb8();
        let psnr = laterna_quality::psnr_rgb(decoded.as_raw(), picture(40).rgb()).unwrap();
        assert!(psnr > 35.0, "{psnr:.1} dB");
        assert_eq!(names(folder.path()), ["x.JPG"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let plain = folder.path().join("plain");
            fs::write(&plain, "").unwrap();
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode(&path), mode(&plain));
        }
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let in_folder = |name: &str| folder.path().join(name);
        let fails = |image: &Image, name: &str| save(image, &in_folder(name)).unwrap_err();
        assert!(matches!(fails(&picture(0), "x.gif"), SnapshotError::Format(_)));
        assert!(matches!(fails(&picture(0), "png"), SnapshotError::Format(_)));
        assert!(matches!(fails(&Image::default(), "x.png"), SnapshotError::Encode { .. }));
        assert!(matches!(fails(&Image::default(), "x.jpg"), SnapshotError::Encode { .. }));
        let missing = fails(&picture(0), "no/x.png").to_string();
        assert!(missing.contains("x.png: No such file") || !cfg!(unix), "{missing}");
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn stamps_are_dates() {
        let of = |seconds| stamp(Duration::from_secs(seconds));
        assert_eq!(of(0), "19700101-000000");
        assert_eq!(of(951_782_399), "20000228-235959");
        assert_eq!(of(951_782_400), "20000229-000000");
        assert_eq!(of(1_709_251_199), "20240229-235959");
        assert_eq!(of(4_107_542_400), "21000301-000000");
        assert_eq!(of(1_764_030_422), "20251125-002702");
    }
}
