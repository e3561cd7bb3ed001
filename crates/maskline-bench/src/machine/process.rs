//! Memory and threads of other processes.

use super::files::{Files, field, kilobytes};

/// The largest resident set so far of a process that still runs, in bytes. `None` where there is no such process, or the system does
/// not tell (all but Linux).
pub fn peak_memory_of(process: u32) -> Option<u64> {
    read(process, "VmHWM")
}

/// The resident set of a process now, in bytes. `None` as for [`peak_memory_of`].
pub fn memory_of(process: u32) -> Option<u64> {
    read(process, "VmRSS")
}

/// How many threads a process has now. `None` as for [`peak_memory_of`].
pub fn threads_of(process: u32) -> Option<usize> {
    field(&status(process)?, "Threads")?.parse().ok()
}

fn read(process: u32, name: &str) -> Option<u64> {
    kilobytes(field(&status(process)?, name)?)
}

fn status(process: u32) -> Option<String> {
    Files::of_system().read(format!("proc/{process}/status"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_threads_while_it_runs() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap_or_else(|error| panic!("{error}"));
        let (peak, now) = (peak_memory_of(child.id()), memory_of(child.id()));
        let threads = threads_of(child.id());
        let ended = child.kill().and_then(|()| child.wait());
        assert_eq!((threads, threads_of(child.id())), (Some(1), None));
        assert!(ended.is_ok() && now.is_some_and(|bytes| bytes > 0) && peak >= now, "{peak:?} {now:?}");
        assert_eq!(peak_memory_of(child.id()), None);
        let block = vec![1_u8; 64 << 20];
        let own = peak_memory_of(std::process::id());
        assert!(std::hint::black_box(&block)[1 << 20] == 1 && own.is_some_and(|bytes| bytes > 64 << 20), "{own:?}");
    }
}
