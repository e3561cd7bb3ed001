//! The system: name, memory, load.

use super::files::{Files, field, kilobytes};

/// The distribution and the kernel, or the name of the system.
pub(super) fn name(files: &Files) -> String {
    let Some(kernel) = files.read("proc/sys/kernel/osrelease") else { return std::env::consts::OS.to_string() };
    let distribution = files.read("etc/os-release").and_then(|text| distribution_in(&text));
    distribution.map_or_else(|| format!("Linux {kernel}"), |name| format!("{name}, Linux {kernel}"))
}

fn distribution_in(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name = value.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_string())
}

/// Bytes of memory that this process may use: the machine's, or the limit of its container.
pub(super) fn memory(files: &Files) -> Option<u64> {
    let all = kilobytes(field(&files.read("proc/meminfo")?, "MemTotal")?)?;
    // In a container, its own group is the root; without a limit the file says `max`.
    let limits = ["sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.iter().find_map(|path| files.read(path)?.parse::<u64>().ok());
    Some(limit.map_or(all, |limit| limit.min(all)))
}

/// Bytes that could be allocated now without swapping.
pub(super) fn available_memory(files: &Files) -> Option<u64> {
    let available = kilobytes(field(&files.read("proc/meminfo")?, "MemAvailable")?)?;
    memory(files).map(|all| available.min(all))
}

/// Busy processors over the last minute.
pub(super) fn load(files: &Files) -> Option<f64> {
    files.read("proc/loadavg")?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let files = Files::with(
            folder.path(),
            &[
                ("etc/os-release", "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
                ("proc/sys/kernel/osrelease", "6.1.0-13-amd64\n"),
                ("proc/meminfo", "MemTotal:       24626012 kB\nMemFree:        21000000 kB\nMemAvailable:   22000000 kB\n"),
                ("proc/loadavg", "0.15 0.27 1.10 2/312 4711\n"),
            ],
        );
        assert_eq!(name(&files), "Debian GNU/Linux 12 (bookworm), Linux 6.1.0-13-amd64");
        assert_eq!((memory(&files), available_memory(&files)), (Some(24_626_012 << 10), Some(22_000_000 << 10)));
        assert_eq!(load(&files), Some(0.15));
        let contained = Files::with(folder.path(), &[("sys/fs/cgroup/memory.max", "2147483648\n")]);
        assert_eq!((memory(&contained), available_memory(&contained)), (Some(2 << 30), Some(2 << 30)));
        let unlimited = Files::with(folder.path(), &[("sys/fs/cgroup/memory.max", "max\n")]);
        assert_eq!(memory(&unlimited), Some(24_626_012 << 10));
        let empty = Files::with(&folder.path().join("empty"), &[]);
        assert_eq!((name(&empty).as_str(), memory(&empty), load(&empty)), (std::env::consts::OS, None, None));
    }
}
