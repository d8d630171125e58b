//! Checks a linked macOS binary: its kind, its system version, its libraries, and
//! that every symbol it imports names the library it comes from.

use std::collections::BTreeMap;
use std::path::Path;

use object::macho;
use object::read::macho::{LoadCommandVariant, MachHeader, MachOFile64};
use object::{Endianness, Object};

use crate::{Error, Result};

/// The lowest macOS that the binary may ask for, as `LC_BUILD_VERSION` has it: the
/// first whose Core ML takes fp16 arrays and runs predictions beside each other.
const MINIMUM_SYSTEM: (u32, u32) = (14, 0);

/// The macOS version, libraries and imports of a binary, a line each.
///
/// # Errors
/// If the file is no arm64 executable for macOS 14 whose imports are all bound to
/// a library.
pub fn check(path: &Path) -> Result<String> {
    let data = std::fs::read(path).map_err(Error::io(path))?;
    let fail = |reason: String| Error::format(path, reason);
    let file = MachOFile64::<Endianness>::parse(&*data).map_err(|e| fail(e.to_string()))?;
    header(&file).map_err(fail)?;
    let (major, minor) = system(&file).map_err(fail)?;
    let imports = imports(&file).map_err(fail)?;
    let libraries = imports.iter().map(|(library, count)| format!("{library}: {count} symbols"));
    let lines = std::iter::once(format!("arm64 executable for macOS {major}.{minor}"));
    Ok(lines.chain(libraries).collect::<Vec<_>>().join("\n"))
}

type Found<T> = std::result::Result<T, String>;
type File<'data> = MachOFile64<'data, Endianness>;

fn header(file: &File<'_>) -> Found<()> {
    let (header, endian) = (file.macho_header(), file.endian());
    if header.cputype(endian) != macho::CPU_TYPE_ARM64 {
        return Err("not for arm64".to_owned());
    }
    if header.filetype(endian) != macho::MH_EXECUTE {
        return Err("not an executable".to_owned());
    }
    let flags = header.flags(endian);
    let wanted = [
        (macho::MH_NOUNDEFS, "undefined symbols"),
        (macho::MH_TWOLEVEL, "imports without a library"),
        (macho::MH_PIE, "a fixed address, which arm64 macOS does not start"),
    ];
    match wanted.iter().find(|(flag, _)| flags & flag == 0) {
        Some((_, without)) => Err(format!("has {without}")),
        None => Ok(()),
    }
}

/// The lowest macOS it runs on.
fn system(file: &File<'_>) -> Found<(u32, u32)> {
    let mut found = None;
    let mut signed = false;
    let mut commands = file.macho_load_commands().map_err(|e| e.to_string())?;
    while let Some(command) = commands.next().map_err(|e| e.to_string())? {
        signed |= command.cmd() == macho::LC_CODE_SIGNATURE;
        if let LoadCommandVariant::BuildVersion(build) =
            command.variant().map_err(|e| e.to_string())?
        {
            let version = build.minos.get(file.endian());
            let is_macos = build.platform.get(file.endian()) == macho::PLATFORM_MACOS;
            found = is_macos.then_some((version >> 16, version >> 8 & 0xff));
        }
    }
    if !signed {
        return Err("has no signature, without which arm64 macOS does not start it".to_owned());
    }
    match found {
        Some(version) if version == MINIMUM_SYSTEM => Ok(version),
        Some((major, minor)) => Err(format!("for macOS {major}.{minor}, not {MINIMUM_SYSTEM:?}")),
        None => Err("not for macOS".to_owned()),
    }
}

/// How many symbols come from each library, libraries without one included.
fn imports(file: &File<'_>) -> Found<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for library in libraries(file)? {
        counts.insert(library, 0);
    }
    for import in file.imports().map_err(|e| e.to_string())? {
        let library = String::from_utf8_lossy(import.library()).into_owned();
        match counts.get_mut(&library) {
            Some(count) => *count += 1,
            None => {
                let name = String::from_utf8_lossy(import.name());
                return Err(format!("{name} is bound to {library:?}, which it does not load"));
            }
        }
    }
    Ok(counts)
}

fn libraries(file: &File<'_>) -> Found<Vec<String>> {
    let mut names = Vec::new();
    let mut commands = file.macho_load_commands().map_err(|e| e.to_string())?;
    while let Some(command) = commands.next().map_err(|e| e.to_string())? {
        if let Some(dylib) = command.dylib().map_err(|e| e.to_string())? {
            let name = command.string(file.endian(), dylib.dylib.name);
            let name = name.map_err(|e| e.to_string())?;
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]
mod tests {
    use super::*;

    /// A binary of headers alone, as <mach-o/loader.h> lays them out.
    struct Binary {
        cpu: u32,
        flags: u32,
        minimum: u32,
        signed: bool,
        /// The library of the only import: 0 is the binary itself.
        ordinal: u8,
    }

    const GOOD: Binary = Binary {
        cpu: macho::CPU_TYPE_ARM64,
        flags: macho::MH_NOUNDEFS | macho::MH_TWOLEVEL | macho::MH_PIE,
        minimum: 14 << 16,
        signed: true,
        ordinal: 1,
    };

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    impl Binary {
        fn commands(&self, symbols_at: u32) -> Vec<Vec<u8>> {
            let build = [macho::LC_BUILD_VERSION, 24, macho::PLATFORM_MACOS, self.minimum, 0, 0];
            let mut dylib = words(&[macho::LC_LOAD_DYLIB, 40, 24, 0, 0, 0]);
            dylib.extend(b"/usr/lib/libA\0\0\0");
            let symtab = [macho::LC_SYMTAB, 24, symbols_at, 1, symbols_at + 16, 4];
            let mut dysymtab = vec![macho::LC_DYSYMTAB, 80, 0, 0, 0, 0, 0, 1];
            dysymtab.resize(20, 0);
            let mut commands = vec![words(&build), dylib, words(&symtab), words(&dysymtab)];
            if self.signed {
                commands.push(words(&[macho::LC_CODE_SIGNATURE, 16, 0, 0]));
            }
            commands
        }

        fn bytes(&self) -> Vec<u8> {
            let size: usize = self.commands(0).iter().map(Vec::len).sum();
            let commands = self.commands(u32::try_from(32 + size).unwrap());
            let (count, size) =
                (u32::try_from(commands.len()).unwrap(), u32::try_from(size).unwrap());
            let kind = macho::MH_EXECUTE;
            let magic = macho::MH_MAGIC_64;
            let mut bytes = words(&[magic, self.cpu, 0, kind, count, size, self.flags, 0]);
            bytes.extend(commands.concat());
            // One undefined external symbol, "_a", and the string table.
            bytes.extend([1, 0, 0, 0, macho::N_EXT, 0, 0, self.ordinal]);
            bytes.extend([0; 8]);
            bytes.extend(b"\0_a\0");
            bytes
        }

        fn check(&self) -> std::result::Result<String, String> {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("binary");
            std::fs::write(&path, self.bytes()).unwrap();
            let name = format!("{}: ", path.display());
            check(&path).map_err(|error| error.to_string().replacen(&name, "", 1))
        }
    }

    #[test]
    fn a_good_binary_is_described() {
        let text = GOOD.check().unwrap();
        assert_eq!(text, "arm64 executable for macOS 14.0\n/usr/lib/libA: 1 symbols");
    }

    #[test]
    fn what_macos_does_not_start_is_refused() {
        let without = |flag: u32| Binary { flags: GOOD.flags & !flag, ..GOOD };
        let cases = [
            (Binary { cpu: macho::CPU_TYPE_X86_64, ..GOOD }, "not for arm64"),
            (without(macho::MH_NOUNDEFS), "has undefined symbols"),
            (without(macho::MH_TWOLEVEL), "has imports without a library"),
            (without(macho::MH_PIE), "has a fixed address"),
            (Binary { minimum: 15 << 16, ..GOOD }, "for macOS 15.0, not (14, 0)"),
            (Binary { signed: false, ..GOOD }, "has no signature"),
            (Binary { ordinal: 0, ..GOOD }, "_a is bound to \"\""),
            // Looked up in every library when it starts.
            (Binary { ordinal: 0xfe, ..GOOD }, "Invalid Mach-O symbol library ordinal"),
        ];
        for (binary, expected) in cases {
            let error = binary.check().unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn another_systems_binary_is_refused() {
        let error = check(&std::env::current_exe().unwrap()).unwrap_err().to_string();
        assert!(error.contains("Mach-O"), "{error}");
    }
}
