//! Signals: the first one ends in order, the second at once.

use maskline::{Error, ErrorKind};
use maskline_server::Stop;
use tokio::signal::unix::{SignalKind, signal};

use crate::terminal;

/// Exit code of a server that was ended at once.
const AT_ONCE: i32 = 1;

/// Listens for the process's signals. SIGTERM, which whoever spreads requests sends, is followed by a time of notice; Ctrl-C, which a person
/// sends who waits, is not.
///
/// # Errors
/// `Failed` where the system does not tell of signals.
pub(super) fn listen(stop: Stop) -> Result<(), Error> {
    let of = |kind| signal(kind).map_err(|error| Error::new(ErrorKind::Failed, format!("signals: {error}")));
    let (mut terminate, mut interrupt) = (of(SignalKind::terminate())?, of(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            let is_person = tokio::select! {
                _ = terminate.recv() => false,
                _ = interrupt.recv() => true,
            };
            if stop.is_ending() {
                terminal::say("ending at once");
                std::process::exit(AT_ONCE);
            }
            terminal::say("ending: what was accepted is finished (once more ends at once)");
            if is_person { stop.close() } else { stop.end() }
        }
    });
    Ok(())
}
