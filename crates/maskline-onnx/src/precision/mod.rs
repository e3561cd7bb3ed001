//! The precision policy: a finished graph, written again with numbers of other types.
//!
//! Families write their graphs in f32 and say only where it has to stay ([`Graph::full_precision`]); which operators take narrower numbers is
//! decided here, for all of them.

mod half;
mod integers;
mod rewriting;

pub use half::Half;
pub use integers::{IntegerOptions, Range, SEEN};
