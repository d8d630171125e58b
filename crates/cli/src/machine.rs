//! Facts about this machine and this process, as far as the system tells.

use std::fs;

/// The CPU's name.
pub fn cpu_model() -> Option<String> {
    field("/proc/cpuinfo", "model name")
}

/// What findings about this machine hold for: they may differ with the CPU and with what runs on it.
pub fn of_findings() -> String {
    format!("{} {}", env!("CARGO_PKG_VERSION"), cpu_model().unwrap_or_default())
}

/// Bytes of memory.
pub fn memory_bytes() -> Option<u64> {
    kibibytes("/proc/meminfo", "MemTotal")
}

/// Bytes of memory that programs could still take.
pub fn available_bytes() -> Option<u64> {
    kibibytes("/proc/meminfo", "MemAvailable")
}

/// The most bytes of physical memory that this process ever held, mapped
/// files included.
pub fn peak_bytes() -> Option<u64> {
    kibibytes("/proc/self/status", "VmHWM")
}

/// Logical processors that this process may use.
pub fn logical_processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn kibibytes(file: &str, name: &str) -> Option<u64> {
    let value: u64 = field(file, name)?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(value * 1024)
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let is_named = |line: &&str| line.split(':').next().is_some_and(|key| key.trim() == name);
    Some(text.lines().find(is_named)?.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_memory() {
        let (all, free) = (memory_bytes().unwrap(), available_bytes().unwrap());
        assert!(free <= all && all > 1 << 20);
        assert!(peak_bytes().unwrap() > 1 << 16);
    }

    #[test]
    fn what_is_unknown_is_none() {
        assert_eq!(field("/absent", "x"), None);
        assert!(logical_processors() > 0);
    }
}
