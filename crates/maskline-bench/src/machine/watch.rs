//! Clock and temperature during a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::files::{Files, field, fields};
use super::processor::processors;
use super::ticker::Ticker;
use crate::percentile::median;

/// How often is looked; a look reads a few dozen small files at most.
const INTERVAL: Duration = Duration::from_secs(2);

/// Most processors whose clock is read at each look.
const MOST_PROCESSORS: usize = 32;

/// Sensors of processors, as their drivers call themselves in `hwmon`.
const SENSORS: [&str; 6] = ["coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal", "scpi_sensors"];

/// Beginnings of the types of `thermal` zones that are processors.
const ZONES: [&str; 4] = ["x86_pkg_temp", "cpu", "soc", "acpitz"];

/// What a [`Watch`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Observed {
    /// Median over the run of the median clock of the processors that this process may use, in MHz. `None` where the system does
    /// not measure it: the figure that a virtual machine repeats from its host's data sheet is none.
    pub clock_mhz: Option<f64>,
    /// The highest temperature of a processor's sensor.
    pub temperature_celsius: Option<f64>,
    /// How often processors slowed down because of their heat; `None` where the system does not count that (all but Intel's).
    pub throttles: Option<u64>,
}

/// Looks at the processors every two seconds, on a thread of its own, until it is stopped or dropped.
#[derive(Debug)]
pub struct Watch {
    state: Arc<State>,
    ticker: Ticker,
}

#[derive(Debug)]
struct State {
    files: Files,
    throttles_before: Option<u64>,
    looks: Mutex<Looks>,
}

#[derive(Debug, Default)]
struct Looks {
    clocks: Vec<f64>,
    temperature: Option<f64>,
}

impl Watch {
    /// Starts to watch. Where no thread can be started, only the end is seen.
    pub fn start() -> Self {
        Self::over(Files::of_system())
    }

    fn over(files: Files) -> Self {
        let throttles_before = throttles(&files);
        let state = Arc::new(State { files, throttles_before, looks: Mutex::default() });
        let watched = Arc::clone(&state);
        let ticker = Ticker::start("maskline-watch", INTERVAL, move || watched.look());
        Self { state, ticker }
    }

    /// Ends the watch at once, after a last look.
    pub fn stop(mut self) -> Observed {
        self.ticker.stop();
        self.state.look();
        let mut looks = self.state.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = median(&mut looks.clocks);
        let throttles = self.state.throttles_before.zip(throttles(&self.state.files));
        Observed {
            clock_mhz: (!clock.is_nan()).then_some(clock),
            temperature_celsius: looks.temperature,
            throttles: throttles.map(|(before, after)| after.saturating_sub(before)),
        }
    }
}

impl State {
    /// Reads outside of the lock, so that nobody waits for a slow sensor.
    fn look(&self) {
        let (clock, temperature) = (clock(&self.files), temperature(&self.files));
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.clocks.extend(clock);
        // An unknown one is below every known one.
        looks.temperature = looks.temperature.into_iter().chain(temperature).max_by(f64::total_cmp);
    }
}

/// Median clock of the processors in MHz.
fn clock(files: &Files) -> Option<f64> {
    let folders = processors(files).into_iter().take(MOST_PROCESSORS);
    let mut clocks: Vec<f64> = folders.filter_map(|cpu| files.number(cpu.join("cpufreq/scaling_cur_freq"))).map(|khz| khz / 1e3).collect();
    if clocks.is_empty() {
        clocks = measured_clocks(&files.read("proc/cpuinfo")?);
    }
    Some(median(&mut clocks)).filter(|clock| clock.is_finite() && *clock > 0.0)
}

/// Clocks in `cpuinfo`. Without the registers that count cycles the kernel repeats the nominal rate: those are left out.
fn measured_clocks(cpuinfo: &str) -> Vec<f64> {
    let is_measured = field(cpuinfo, "flags").is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "aperfmperf"));
    fields(cpuinfo, "cpu MHz").filter(|_| is_measured).filter_map(|clock| clock.parse().ok()).collect()
}

/// The highest temperature of the processors' sensors.
fn temperature(files: &Files) -> Option<f64> {
    let of_processors = |folder: &PathBuf| files.read(folder.join("name")).is_some_and(|name| SENSORS.contains(&name.as_str()));
    let sensors = files.list("sys/class/hwmon", "hwmon").into_iter().filter(of_processors);
    let inputs = sensors.flat_map(|folder| files.list(&folder.to_string_lossy(), "temp")).filter(|path| is_input(path));
    let zones = files.list("sys/class/thermal", "thermal_zone").into_iter().filter(|zone| {
        let name = files.read(zone.join("type")).unwrap_or_default();
        ZONES.iter().any(|known| name.starts_with(known))
    });
    let highest = |paths: &mut dyn Iterator<Item = PathBuf>| {
        let degrees = paths.filter_map(|path| files.number(path)).map(|thousandths| thousandths / 1e3);
        // Broken sensors say 0 or -273.
        degrees.filter(|celsius| (1.0..150.0).contains(celsius)).max_by(f64::total_cmp)
    };
    highest(&mut inputs.into_iter()).or_else(|| highest(&mut zones.map(|zone| zone.join("temp"))))
}

/// `temp1_input` and the like; `temp1_max` is no reading.
fn is_input(path: &Path) -> bool {
    path.to_string_lossy().ends_with("_input")
}

/// How often processors slowed down for heat since the start of the system.
fn throttles(files: &Files) -> Option<u64> {
    let processors = processors(files);
    let count = |path: PathBuf| files.read(path)?.parse::<u64>().ok();
    let of_core = |cpu: &PathBuf| count(cpu.join("thermal_throttle/core_throttle_count"));
    // Every processor of a package repeats the package's count.
    let of_package = |cpu: &PathBuf| {
        let package = files.read(cpu.join("topology/physical_package_id")).unwrap_or_default();
        Some((package, count(cpu.join("thermal_throttle/package_throttle_count"))?))
    };
    let packages: BTreeMap<String, u64> = processors.iter().filter_map(of_package).collect();
    let counts: Vec<u64> = processors.iter().filter_map(of_core).chain(packages.into_values()).collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const CPU: &str = "sys/devices/system/cpu";

    #[test]
    fn a_run_is_watched_and_the_watch_stops_at_once() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let path = |name: &str| format!("{CPU}/{name}");
        let (first, second, third) =
            (path("cpu0/cpufreq/scaling_cur_freq"), path("cpu1/cpufreq/scaling_cur_freq"), path("cpu2/cpufreq/scaling_cur_freq"));
        let (core, package) = (path("cpu0/thermal_throttle/core_throttle_count"), path("cpu0/thermal_throttle/package_throttle_count"));
        let second_package = path("cpu1/thermal_throttle/package_throttle_count");
        let files = Files::with(
            folder.path(),
            &[
                (&second_package, "2\n"),
                (&first, "2400000\n"),
                (&second, "3100000\n"),
                (&third, "800000\n"),
                (&core, "4\n"),
                (&package, "2\n"),
                ("sys/class/hwmon/hwmon0/name", "nvme\n"),
                ("sys/class/hwmon/hwmon0/temp1_input", "90000\n"),
                ("sys/class/hwmon/hwmon1/name", "k10temp\n"),
                ("sys/class/hwmon/hwmon1/temp1_input", "61250\n"),
                ("sys/class/hwmon/hwmon1/temp1_max", "95000\n"),
                ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
                ("sys/class/thermal/thermal_zone0/temp", "27800\n"),
            ],
        );
        let watch = Watch::over(files.clone());
        while watch.state.looks.lock().is_ok_and(|looks| looks.clocks.is_empty()) {
            std::thread::yield_now();
        }
        // Both processors tell of the one package.
        let later: [(&str, &str); 5] = [
            (&first, "2000000\n"),
            (&core, "5\n"),
            (&package, "3\n"),
            (&second_package, "3\n"),
            ("sys/class/hwmon/hwmon1/temp1_input", "40000\n"),
        ];
        Files::with(folder.path(), &later);
        let start = Instant::now();
        let observed = watch.stop();
        assert!(start.elapsed() < INTERVAL / 2, "{:?}", start.elapsed());
        // The lower of two medians, 2400 and 2000; the highest of two temperatures.
        let expected = Observed { clock_mhz: Some(2000.0), temperature_celsius: Some(61.25), throttles: Some(2) };
        assert_eq!(observed, expected);
        assert_eq!(Watch::over(files).stop().throttles, Some(0));
        let nothing = Files::with(&folder.path().join("empty"), &[]);
        assert_eq!(Watch::over(nothing).stop(), Observed::default());
    }

    #[test]
    fn zones_stand_in_for_sensors() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let files = Files::with(
            folder.path(),
            &[
                ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
                ("sys/class/thermal/thermal_zone0/temp", "48300\n"),
                ("sys/class/thermal/thermal_zone1/type", "iwlwifi_1\n"),
                ("sys/class/thermal/thermal_zone1/temp", "71000\n"),
                ("sys/class/thermal/thermal_zone2/type", "soc-thermal\n"),
                ("sys/class/thermal/thermal_zone2/temp", "-273000\n"),
            ],
        );
        assert_eq!(temperature(&files), Some(48.3));
    }

    #[test]
    fn nominal_clocks_are_none() {
        let measured = "flags\t\t: fpu aperfmperf avx2\ncpu MHz\t\t: 3392.741\nflags\t\t: fpu aperfmperf avx2\ncpu MHz\t\t: 800.000\n";
        assert_eq!(measured_clocks(measured), [3392.741, 800.0]);
        assert_eq!(measured_clocks("flags\t\t: fpu hypervisor avx2\ncpu MHz\t\t: 2250.000\n"), [0.0; 0]);
    }
}
