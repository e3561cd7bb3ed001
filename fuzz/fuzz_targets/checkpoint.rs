//! A whole checkpoint of any format: what it is, is told by its content.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| maskline_fuzz::read_checkpoint("model.pt", bytes));
