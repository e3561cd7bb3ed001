//! ONNX Runtime's telemetry: off, unless the user sets the variable himself.
//!
//! The official builds since 1.29 write a device id and a database of events below the user's cache folder, and send the events.
//! They look at one variable of the environment when they start, and at nothing else: what the API can switch off later comes after
//! the first event.

use std::sync::{Mutex, PoisonError};

/// The variable that ONNX Runtime looks at.
pub const TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Whether the environment keeps ONNX Runtime from collecting and sending anything.
///
/// `false` before [`switch_off_telemetry`] or [`load`](crate::load) was called, or where the user set the variable to anything but
/// the documented `1`.
pub fn is_telemetry_off() -> bool {
    std::env::var_os(TELEMETRY_VARIABLE).is_some_and(|value| value == "1")
}

/// Switches ONNX Runtime's telemetry off in this process and those that it starts, unless `ORT_DISABLE_TELEMETRY` is set already,
/// to whatever value.
///
/// [`load`](crate::load) does this too. A program whose other threads run C code that reads the environment (resolvers, time zones)
/// calls it first thing in `main`, as the `maskline` command does: no other thread is there then.
pub fn switch_off_telemetry() {
    static ONCE: Mutex<()> = Mutex::new(());
    let _guard = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
    if std::env::var_os(TELEMETRY_VARIABLE).is_none() {
        set_variable();
    }
}

#[allow(unsafe_code)]
fn set_variable() {
    // SAFETY: Nothing may read the environment meanwhile but through `std::env`, which has a lock of its own.
    // - In the `maskline` command this is the first statement of `main`: there is no other thread.
    // - Windows has no such condition.
    // - In other programs `load` comes here before ONNX Runtime is in the process, so none of its threads is there. All Rust code
    //   goes through the lock. What is left is C code of the program's own that calls `getenv` in another thread in this moment:
    //   for such programs the documentation above says to call this first. A variable that is added leaves the strings of the others
    //   where they are; the C library moves its list of them, which is only a danger to a reader in the middle of that list.
    unsafe { std::env::set_var(TELEMETRY_VARIABLE, "1") }
}
