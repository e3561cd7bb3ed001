//! Memory figures of this process.

/// The largest resident set of this process so far, in bytes. `None` where the system does not tell (all but Linux).
pub fn peak_rss() -> Option<u64> {
    status_field("VmHWM:")
}

/// The resident set of this process now, in bytes. `None` where the system does not tell (all but Linux).
pub fn current_rss() -> Option<u64> {
    status_field("VmRSS:")
}

#[cfg(target_os = "linux")]
fn status_field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(not(target_os = "linux"))]
fn status_field(_name: &str) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_peak_follows_an_allocation() {
        let before = current_rss().expect("VmRSS");
        let block = vec![1u8; 64 << 20];
        let peak = peak_rss().expect("VmHWM");
        assert!(std::hint::black_box(&block)[1 << 20] == 1 && peak >= before + (60 << 20), "{before} {peak}");
    }
}
