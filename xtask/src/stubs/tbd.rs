//! Text-based stub libraries, version 4: reading Apple's, writing ours.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{Error, Result};

/// The machine's names in Apple's lists. Its own libraries are arm64e, whose
/// exports are those that arm64 programs bind to.
const TARGETS: [&str; 2] = ["arm64-macos", "arm64e-macos"];

/// Every symbol that the libraries of a file export to arm64 programs.
///
/// # Errors
/// If the file cannot be read or names no symbols.
pub fn exports(path: &Path) -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let symbols = parse(&text);
    if symbols.is_empty() {
        return Err(Error::format(path, "no symbols for arm64-macos"));
    }
    Ok(symbols)
}

/// Writes a library that exports `symbols` and nothing else.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, install_name: &str, symbols: &BTreeSet<String>) -> Result<()> {
    let quoted: Vec<_> = symbols.iter().map(|symbol| format!("'{symbol}'")).collect();
    let text = format!(
        "--- !tapi-tbd\n\
         tbd-version: 4\n\
         targets: [ arm64-macos ]\n\
         install-name: '{install_name}'\n\
         exports:\n  \
           - targets: [ arm64-macos ]\n    \
             symbols: [ {} ]\n\
         ...\n",
        quoted.join(", ")
    );
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    std::fs::write(path, text).map_err(Error::io(path))
}

/// Lists are `key: [ a, 'b', .. ]` over several lines; a `targets` holds for the
/// lists of symbols that follow it.
fn parse(text: &str) -> BTreeSet<String> {
    let mut symbols = BTreeSet::new();
    let mut ours = false;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let (list, next) = after.split_once(']').unwrap_or((after, ""));
        let key = before.trim_end().trim_end_matches(':').rsplit([' ', '\n']).next();
        let words = list.split(',').map(|word| word.trim().trim_matches('\'').to_owned());
        match key {
            Some("targets") => ours = words.into_iter().any(|w| TARGETS.contains(&w.as_str())),
            Some("symbols" | "weak-symbols" | "thread-local-symbols") if ours => {
                symbols.extend(words.filter(|word| !word.is_empty()));
            }
            _ => {}
        }
        rest = next;
    }
    symbols
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]
mod tests {
    use super::*;

    const APPLE: &str = "--- !tapi-tbd
targets:         [ x86_64-macos, arm64e-macos,
                   arm64e.x1-macos ]
install-name:    '/usr/lib/libSystem.B.dylib'
exports:
  - targets:         [ x86_64-macos ]
    symbols:         [ '_close$NOCANCEL', _intel ]
  - targets:         [ x86_64-macos, arm64e-macos ]
    symbols:         [ _a, _b,
                       '_c$d' ]
    weak-symbols:    [ _e ]
";

    #[test]
    fn symbols_of_the_target_alone_are_read() {
        let found: Vec<_> = parse(APPLE).into_iter().collect();
        assert_eq!(found, ["_a", "_b", "_c$d", "_e"]);
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usr/lib/libX.tbd");
        let symbols = BTreeSet::from(["_a".to_owned(), "_b$c".to_owned()]);
        write(&path, "/usr/lib/libX.dylib", &symbols).unwrap();
        assert_eq!(exports(&path).unwrap(), symbols);
    }

    #[test]
    fn a_file_without_symbols_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tbd");
        std::fs::write(&path, "--- !tapi-tbd\n").unwrap();
        let error = exports(&path).unwrap_err().to_string();
        assert!(error.ends_with("x.tbd: no symbols for arm64-macos"), "{error}");
    }
}
