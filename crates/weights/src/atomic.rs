//! Files that appear whole or not at all: written under a temporary name in
//! the same folder, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Writes `path` through `write`: whatever goes wrong, a full disk included,
/// the file at `path` is either the old one or the new one, never a part, and
/// no temporary file stays behind.
///
/// A path that is no regular file (`/dev/null`, a pipe) is written directly,
/// and a symbolic link keeps pointing where it points.
///
/// # Errors
/// What `write` returns, or what the operating system says.
pub fn atomic_write<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return write(&mut OpenOptions::new().write(true).open(path)?);
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut temporary = create_beside(&target)?;
    write(temporary.as_file_mut())?;
    // A file system that allocates late reports a full disk only here.
    temporary.as_file().sync_all()?;
    temporary.persist(&target).map_err(|e| e.error)?;
    Ok(())
}

fn create_beside(target: &Path) -> io::Result<NamedTempFile> {
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Asked first for the operating system's own words: tempfile's error names
    // the temporary file, which says nothing to a user.
    fs::metadata(folder)?;
    let mut builder = Builder::new();
    builder.prefix(".").suffix(".tmp");
    set_permissions(&mut builder);
    builder.tempfile_in(folder).map_err(|e| e.kind().into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.png");
        atomic_write::<io::Error>(&path, |f| f.write_all(b"old")).unwrap();
        let failed = atomic_write(&path, |f| {
            f.write_all(b"half of the n")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/picture.png");
        let error = atomic_write::<io::Error>(&path, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_devices_stay_devices() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        atomic_write::<io::Error>(&link, |f| f.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        atomic_write::<io::Error>(Path::new("/dev/null"), |f| f.write_all(b"x")).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_reported() {
        let write = |f: &mut File| f.write_all(b"x");
        let error = atomic_write::<io::Error>(Path::new("/dev/full"), write).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_has_ordinary_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode();
        fs::write(folder.path().join("plain"), "").unwrap();
        atomic_write::<io::Error>(&folder.path().join("atomic"), |_| Ok(())).unwrap();
        assert_eq!(mode("atomic"), mode("plain"));
    }
}
