//! The first sessions of a process, all at once: a process of its own, for there is only one first time.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Barrier;

use common::{identity, open_model};
use maskline_runtime::LaneOptions;

#[test]
fn sessions_that_are_opened_at_once_do_not_stand_in_each_others_way() {
    const AT_ONCE: usize = 16;
    let start = Barrier::new(AT_ONCE);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let model = identity(7, &["n"]);
                start.wait();
                open_model(&model, &LaneOptions::default())
            });
        }
    });
}
