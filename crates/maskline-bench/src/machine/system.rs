//! The system: name, memory, load.

use std::time::Duration;

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

/// How long it is watched whether somebody else is busy.
const LOOK: Duration = Duration::from_millis(300);

/// Busy processors now, while this process waits. Not the load average: that still tells of what ended a minute ago.
pub(super) fn load(files: &Files) -> Option<f64> {
    let before = files.read("proc/stat")?;
    std::thread::sleep(LOOK);
    busy_between(&before, &files.read("proc/stat")?)
}

/// Busy processors between two readings of `/proc/stat`.
fn busy_between(before: &str, after: &str) -> Option<f64> {
    let ticks = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; guests are in user already.
        let times: Vec<f64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
        (times.len() >= 5).then(|| (times.iter().sum::<f64>(), times[3] + times[4]))
    };
    let ((all_before, idle_before), (all_after, idle_after)) = (ticks(before)?, ticks(after)?);
    let processors = after.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count() as f64;
    let all = all_after - all_before;
    (all > 0.0).then(|| (processors * (1.0 - (idle_after - idle_before) / all)).clamp(0.0, processors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_processors_are_counted() {
        let stat = |user: u64, idle: u64| format!("cpu  {user} 0 10 {idle} 5 0 1 0 0 0\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 5\n");
        // Of 60 ticks of two processors, 15 were somebody's.
        assert_eq!(busy_between(&stat(100, 1000), &stat(115, 1045)), Some(0.5));
        assert_eq!(busy_between(&stat(100, 1000), &stat(100, 1060)), Some(0.0));
        assert_eq!(busy_between(&stat(100, 1000), &stat(100, 1000)), None, "no time has passed");
        assert_eq!(busy_between("", &stat(1, 1)), None);
        assert_eq!(busy_between("cpu 1 2 x", &stat(1, 1)), None);
    }

    #[test]
    fn the_system_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let files = Files::with(
            folder.path(),
            &[
                ("etc/os-release", "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
                ("proc/sys/kernel/osrelease", "6.1.0-13-amd64\n"),
                ("proc/meminfo", "MemTotal:       24626012 kB\nMemFree:        21000000 kB\nMemAvailable:   22000000 kB\n"),
            ],
        );
        assert_eq!(name(&files), "Debian GNU/Linux 12 (bookworm), Linux 6.1.0-13-amd64");
        assert_eq!((memory(&files), available_memory(&files)), (Some(24_626_012 << 10), Some(22_000_000 << 10)));
        let contained = Files::with(folder.path(), &[("sys/fs/cgroup/memory.max", "2147483648\n")]);
        assert_eq!((memory(&contained), available_memory(&contained)), (Some(2 << 30), Some(2 << 30)));
        let unlimited = Files::with(folder.path(), &[("sys/fs/cgroup/memory.max", "max\n")]);
        assert_eq!(memory(&unlimited), Some(24_626_012 << 10));
        let empty = Files::with(&folder.path().join("empty"), &[]);
        assert_eq!((name(&empty).as_str(), memory(&empty), load(&empty)), (std::env::consts::OS, None, None));
    }
}
