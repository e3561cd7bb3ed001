//! What the driver of NVIDIA's cards tells, through its library (NVML): that takes a millisecond, where `nvidia-smi` is a process of its own.

use super::cards::Driver;
#[cfg(target_os = "linux")]
pub(super) use linux::driver;

/// Who tells of cards; `None` where there is no driver.
#[cfg(not(target_os = "linux"))]
pub(super) fn driver() -> Option<Driver> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsStr;

    use nvml_wrapper::bitmasks::device::ThrottleReasons;
    use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
    use nvml_wrapper::enums::device::UsedGpuMemory;
    use nvml_wrapper::{Device, Nvml};

    use super::Driver;
    use crate::machine::cards::Reading;

    /// The driver's library.
    const LIBRARY: &str = "libnvidia-ml.so.1";

    /// Who tells of cards; `None` where there is no driver.
    pub(in crate::machine) fn driver() -> Option<Driver> {
        of_library(OsStr::new(LIBRARY))
    }

    pub(super) fn of_library(library: &OsStr) -> Option<Driver> {
        let nvml = Nvml::builder().lib_path(library).init().ok()?;
        Some(Box::new(move || {
            let count = nvml.device_count().unwrap_or(0);
            // A card that has gone must not move the others to other places.
            (0..count).map(|index| nvml.device_by_index(index).map(|card| reading(&card)).unwrap_or_default()).collect()
        }))
    }

    fn reading(card: &Device<'_>) -> Reading {
        let megahertz = |clock: Option<u32>| clock.map(f64::from);
        Reading {
            name: card.name().unwrap_or_default(),
            clock_mhz: megahertz(card.clock_info(Clock::SM).ok()),
            clock_max_mhz: megahertz(card.max_clock_info(Clock::SM).ok()),
            power_limit_watts: card.enforced_power_limit().ok().map(|milliwatts| f64::from(milliwatts) / 1e3),
            temperature_celsius: card.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
            slowed_by: card.current_throttle_reasons().map(slowed_by).unwrap_or_default(),
            memory: card
                .running_compute_processes()
                .into_iter()
                .flatten()
                .filter_map(|process| held(process.pid, &process.used_gpu_memory))
                .collect(),
        }
    }

    fn held(process: u32, memory: &UsedGpuMemory) -> Option<(u32, u64)> {
        match memory {
            UsedGpuMemory::Used(bytes) => Some((process, *bytes)),
            UsedGpuMemory::Unavailable => None,
        }
    }

    /// What takes speed away. A card without work, and clocks that somebody has set, are no such thing.
    fn slowed_by(reasons: ThrottleReasons) -> Vec<&'static str> {
        let known = [
            (ThrottleReasons::SW_POWER_CAP, "power limit"),
            (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "power brake"),
            (ThrottleReasons::SW_THERMAL_SLOWDOWN, "heat"),
            (ThrottleReasons::HW_THERMAL_SLOWDOWN, "heat (hardware)"),
            (ThrottleReasons::HW_SLOWDOWN, "hardware slowdown"),
        ];
        known.into_iter().filter(|(reason, _)| reasons.contains(*reason)).map(|(_, name)| name).collect()
    }

    #[cfg(test)]
    mod tests {
        use std::collections::BTreeMap;
        use std::path::Path;
        use std::process::Command;

        use super::*;

        #[test]
        fn what_the_drivers_library_tells_is_read() {
            let folder = tempfile::tempdir().expect("a folder");
            let library = folder.path().join("libnvidia-ml.so.1");
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/driver/nvml.c");
            let Ok(made) = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).output() else {
                return maskline_testing::skip("there is no C compiler");
            };
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let driver = of_library(library.as_os_str()).expect("a driver");
            let told = Reading {
                name: "NVIDIA Stand-in".into(),
                clock_mhz: Some(1755.0),
                clock_max_mhz: Some(1980.0),
                power_limit_watts: Some(700.0),
                temperature_celsius: Some(61.0),
                slowed_by: vec!["power limit"],
                // Of the other process the driver does not know how much.
                memory: BTreeMap::from([(4711, 6 << 30)]),
            };
            assert_eq!(driver(), [told, Reading { name: "Silent Card".into(), ..Reading::default() }]);
        }

        #[test]
        fn without_a_driver_nobody_tells() {
            assert!(of_library(OsStr::new("libmaskline-no-such-driver.so.1")).is_none());
        }

        #[test]
        fn idleness_and_set_clocks_slow_nothing_down() {
            let quiet = ThrottleReasons::GPU_IDLE | ThrottleReasons::APPLICATIONS_CLOCKS_SETTING | ThrottleReasons::SYNC_BOOST;
            assert!(slowed_by(quiet).is_empty() && slowed_by(ThrottleReasons::NONE).is_empty());
            let hot = ThrottleReasons::HW_SLOWDOWN | ThrottleReasons::HW_THERMAL_SLOWDOWN | ThrottleReasons::GPU_IDLE;
            assert_eq!(slowed_by(hot), ["heat (hardware)", "hardware slowdown"]);
        }
    }
}
