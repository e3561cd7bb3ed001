//! The processor: name, instructions, governor, caches.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::files::{Files, field};

/// The processor as it names itself; processors by Arm by the number that they carry.
pub(super) fn name(files: &Files) -> Option<String> {
    name_in(&files.read("proc/cpuinfo")?)
}

fn name_in(cpuinfo: &str) -> Option<String> {
    if let Some(name) = field(cpuinfo, "model name").filter(|name| !name.is_empty()) {
        return Some(name.to_string());
    }
    let (implementer, part) = (field(cpuinfo, "CPU implementer")?, field(cpuinfo, "CPU part")?);
    // Arm's main ID register, in the technical reference manual of each core.
    let known = match (implementer, part) {
        ("0x41", "0xd03") => "Arm Cortex-A53",
        ("0x41", "0xd08") => "Arm Cortex-A72",
        ("0x41", "0xd0b") => "Arm Cortex-A76",
        ("0x41", "0xd0c") => "Arm Neoverse N1",
        ("0x41", "0xd40") => "Arm Neoverse V1",
        ("0x41", "0xd49") => "Arm Neoverse N2",
        ("0x41", "0xd4f") => "Arm Neoverse V2",
        _ => return Some(format!("Arm, implementer {implementer}, part {part}")),
    };
    Some(known.to_string())
}

/// Vector instructions that this process can use, best first.
pub(super) fn instructions() -> Option<String> {
    let found: Vec<&str> = detected().into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect();
    (!found.is_empty()).then(|| found.join(" "))
}

#[cfg(target_arch = "x86_64")]
fn detected() -> Vec<(&'static str, bool)> {
    macro_rules! ask {
        ($($name:tt)*) => { vec![$(($name, std::is_x86_feature_detected!($name))),*] };
    }
    ask!("avx512f" "avx512bw" "avx512vnni" "avx512bf16" "avxvnni" "avx2" "fma" "f16c" "avx" "sse4.2")
}

#[cfg(target_arch = "aarch64")]
fn detected() -> Vec<(&'static str, bool)> {
    macro_rules! ask {
        ($($name:tt)*) => { vec![$(($name, std::arch::is_aarch64_feature_detected!($name))),*] };
    }
    ask!("sve2" "sve" "i8mm" "bf16" "dotprod" "fp16" "neon")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detected() -> Vec<(&'static str, bool)> {
    Vec::new()
}

/// How the system picks clock rates; several, where processors differ.
pub(super) fn governor(files: &Files) -> Option<String> {
    let found = processors(files).into_iter().filter_map(|folder| files.read(folder.join("cpufreq/scaling_governor")));
    let found: BTreeSet<String> = found.collect();
    (!found.is_empty()).then(|| found.into_iter().collect::<Vec<_>>().join(", "))
}

/// The highest clock that the system lets any of the processors have, in MHz.
pub(super) fn highest_clock(files: &Files) -> Option<f64> {
    let of = |cpu: PathBuf| ["scaling_max_freq", "cpuinfo_max_freq"].iter().find_map(|name| files.number(cpu.join("cpufreq").join(name)));
    let clocks = processors(files).into_iter().filter_map(of).map(|khz| khz / 1e3);
    clocks.filter(|clock| *clock > 0.0).max_by(f64::total_cmp)
}

/// Folders of the processors that this process may run on.
pub(super) fn processors(files: &Files) -> Vec<PathBuf> {
    let allowed = files.read("proc/self/status").and_then(|status| numbers(field(&status, "Cpus_allowed_list")?));
    let is_allowed = |folder: &PathBuf| {
        let number = folder.file_name()?.to_str()?.strip_prefix("cpu")?.parse::<usize>().ok()?;
        Some(allowed.as_ref().is_none_or(|allowed| allowed.contains(&number)))
    };
    files.list("sys/devices/system/cpu", "cpu").into_iter().filter(|folder| is_allowed(folder) == Some(true)).collect()
}

/// A list such as `0-3,8`.
fn numbers(list: &str) -> Option<BTreeSet<usize>> {
    let mut numbers = BTreeSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        // A broken list must not fill the memory.
        let (first, last) = (first.trim().parse::<usize>().ok()?, last.trim().parse::<usize>().ok().filter(|n| *n < 1 << 16)?);
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// Bytes of all last-level caches together.
pub(super) fn last_level_cache(files: &Files) -> Option<u64> {
    // Several processors share one: it is told apart by the list of those.
    let mut caches = BTreeSet::new();
    for processor in files.list("sys/devices/system/cpu", "cpu") {
        let levels = files.list(&processor.join("cache").to_string_lossy(), "index").into_iter().filter_map(|cache| {
            let level = files.read(cache.join("level"))?.parse::<u32>().ok()?;
            Some((level, bytes(&files.read(cache.join("size"))?)?, files.read(cache.join("shared_cpu_list"))?))
        });
        caches.extend(levels.max_by_key(|(level, ..)| *level));
    }
    (!caches.is_empty()).then(|| caches.iter().map(|(_, bytes, _)| bytes).sum())
}

/// Bytes of a size such as `32768K`.
fn bytes(size: &str) -> Option<u64> {
    let (number, factor) = match size.strip_suffix('K') {
        Some(number) => (number, 1 << 10),
        None => size.strip_suffix('M').map_or((size, 1), |number| (number, 1 << 20)),
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_name_themselves() {
        let x86 = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Gold 6430\n\nprocessor\t: 1\n";
        assert_eq!(name_in(x86).as_deref(), Some("Intel(R) Xeon(R) Gold 6430"));
        let graviton =
            "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n";
        assert_eq!(name_in(graviton).as_deref(), Some("Arm Neoverse N1"));
        let other = "CPU implementer\t: 0x61\nCPU part\t: 0x022\n";
        assert_eq!(name_in(other).as_deref(), Some("Arm, implementer 0x61, part 0x022"));
        assert_eq!(name_in("processor\t: 0\n"), None);
    }

    #[test]
    fn governor_and_caches_are_those_of_the_processors() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let files = Files::with(
            folder.path(),
            &[
                ("proc/self/status", "Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n"),
                ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
                ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
                ("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "schedutil\n"),
                ("sys/devices/system/cpu/cpufreq/boost", "1\n"),
                ("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3500000\n"),
                ("sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "2800000\n"),
                ("sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq", "2900000\n"),
                ("sys/devices/system/cpu/cpu2/cpufreq/cpuinfo_max_freq", "5000000\n"),
                ("sys/devices/system/cpu/cpu0/cache/index0/level", "1\n"),
                ("sys/devices/system/cpu/cpu0/cache/index0/size", "32K\n"),
                ("sys/devices/system/cpu/cpu0/cache/index0/shared_cpu_list", "0\n"),
                ("sys/devices/system/cpu/cpu0/cache/index3/level", "3\n"),
                ("sys/devices/system/cpu/cpu0/cache/index3/size", "32768K\n"),
                ("sys/devices/system/cpu/cpu0/cache/index3/shared_cpu_list", "0-1\n"),
                ("sys/devices/system/cpu/cpu1/cache/index3/level", "3\n"),
                ("sys/devices/system/cpu/cpu1/cache/index3/size", "32768K\n"),
                ("sys/devices/system/cpu/cpu1/cache/index3/shared_cpu_list", "0-1\n"),
                ("sys/devices/system/cpu/cpu2/cache/index3/level", "3\n"),
                ("sys/devices/system/cpu/cpu2/cache/index3/size", "16M\n"),
                ("sys/devices/system/cpu/cpu2/cache/index3/shared_cpu_list", "2\n"),
            ],
        );
        assert_eq!(governor(&files).as_deref(), Some("performance, powersave"));
        assert_eq!(highest_clock(&files), Some(2900.0), "what the system allows, of those that this process may use");
        assert_eq!(last_level_cache(&files), Some((32 << 20) + (16 << 20)));
        let empty = Files::with(&folder.path().join("empty"), &[]);
        assert_eq!((governor(&empty), last_level_cache(&empty), name(&empty)), (None, None, None));
        assert_eq!(highest_clock(&empty), None);
    }

    #[test]
    fn lists_of_processors() {
        assert_eq!(numbers("0-2,8"), Some(BTreeSet::from([0, 1, 2, 8])));
        assert_eq!(numbers("0-99999999999"), None);
        assert_eq!(numbers("all"), None);
    }
}
