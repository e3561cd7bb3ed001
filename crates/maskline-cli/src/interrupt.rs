//! Ctrl-C: before there are answers it ends the command at once. Then the first one ends the work at the next picture, so that what was
//! done is written; the second ends at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::terminal;

/// Exit code of a command that a person ended (128 + SIGINT).
pub(crate) const EXIT_CODE: u8 = 130;

static WISHED: AtomicBool = AtomicBool::new(false);
static IS_ANSWERING: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C is a wish that [`is_wished`] tells.
pub(crate) fn answering() {
    IS_ANSWERING.store(true, Ordering::SeqCst);
}

/// From now on Ctrl-C, where it ends the command at once, gives [`EXIT_CODE`].
pub(crate) fn listen() {
    let handler = || {
        if !IS_ANSWERING.load(Ordering::SeqCst) || WISHED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(EXIT_CODE));
        }
        terminal::say("stopping after this picture; what is done stays (once more ends at once)");
    };
    // Without a handler Ctrl-C ends the process, as it does everywhere.
    let _ = ctrlc::set_handler(handler);
}

/// Whether the command should end.
pub(crate) fn is_wished() -> bool {
    WISHED.load(Ordering::SeqCst)
}
