//! The computer that is measured on: what it is, how it fares during a run, and what it could do at most.
//!
//! [`identify`] says what it is; [`Watch`] keeps an eye on clock and temperature, [`CardWatch`] on NVIDIA's cards. [`gemm`] and [`bandwidth`] measure the two
//! ceilings that networks are held against: no network computes faster than the best large matrix product, or reads its weights
//! faster than memory gives them. What the system does not tell is `None`, never a guess.

mod accelerator;
mod bandwidth;
mod cards;
mod files;
mod gemm;
mod nvml;
mod process;
mod processor;
mod system;
mod ticker;
mod watch;

pub use bandwidth::bandwidth;
pub use cards::CardWatch;
pub use gemm::gemm;
pub use process::{memory_of, peak_memory_of, threads_of};
pub use watch::{Observed, Watch};

use crate::report::Machine;
use files::Files;

/// What the computer is. Fully known on Linux; elsewhere the processor's family, its instructions and number, and the system's name.
///
/// What only a run shows (clock, temperature, bandwidth) is left `None`: see [`Watch`] and [`bandwidth`]. A limit of the container
/// that this process is in counts as the machine's.
pub fn identify() -> Machine {
    let files = Files::of_system();
    let accelerator = accelerator::find(&files);
    Machine {
        cpu: processor::name(&files).unwrap_or_else(|| std::env::consts::ARCH.to_string()),
        isa: processor::instructions(),
        logical_cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        governor: processor::governor(&files),
        clock_mhz: None,
        clock_max_mhz: processor::highest_clock(&files),
        throttles: None,
        temperature_celsius: None,
        memory_bytes: system::memory(&files),
        bandwidth_gbs: None,
        multiply_add_gflops: None,
        load_before: system::load(&files),
        os: system::name(&files),
        device: accelerator.as_ref().map(|a| a.device.clone()),
        driver: accelerator.and_then(|a| a.driver),
        cards: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_computer_is_known() {
        let machine = identify();
        assert!(!machine.cpu.is_empty() && !machine.os.is_empty() && machine.logical_cpus > 0, "{machine:?}");
        if cfg!(target_os = "linux") {
            assert!(machine.memory_bytes.is_some_and(|bytes| bytes > 64 << 20), "{machine:?}");
            assert!(machine.load_before.is_some_and(|load| load >= 0.0), "{machine:?}");
            assert!(machine.os.contains("Linux"), "{machine:?}");
        }
        if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            assert!(machine.isa.is_some_and(|isa| !isa.is_empty()));
        }
    }
}
