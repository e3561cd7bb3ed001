//! How far a run is, for whoever watches.

use std::cell::RefCell;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal;

/// A bar on a terminal; elsewhere a line per step.
pub(crate) struct Talk {
    bar: ProgressBar,
    last: RefCell<String>,
}

const LENGTH: u64 = 1000;

impl Talk {
    pub(crate) fn new() -> Self {
        let target = if terminal::is_talking() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{bar:30} {msg}, {elapsed} so far").unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::with_draw_target(Some(LENGTH), target).with_style(style), last: RefCell::default() }
    }

    /// What is being done, and how much of it is, from 0 to 1.
    pub(crate) fn tell(&self, what: &str, done: f64) {
        self.bar.set_position((done * LENGTH as f64) as u64);
        if *self.last.borrow() != what {
            self.bar.set_message(what.to_owned());
            if !terminal::is_talking() {
                terminal::say(what);
            }
            what.clone_into(&mut self.last.borrow_mut());
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
