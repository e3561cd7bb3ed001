//! Measurement that a user can believe: `docs/bench.md` has its rules.
//!
//! **The rules** know no model, so that each can be tested by itself. [`load`] drives a target and gives a record of calls;
//! [`steadiness`] tells warm-up from steady and says whether the figures may be believed; [`samples`] sums them up, with intervals and
//! with `None` where there are too few; [`report`] is what is kept of a run; [`mod@compare`] judges one report by another; [`mod@write`]
//! shows it as text, Markdown, CSV, JSON and one page of HTML.
//!
//! **The measuring**: [`measure::run`] goes from a plan to a report. Each model runs in a process of its own ([`worker`]), other programs in
//! theirs ([`peers`]); [`machine`] is what all of them run on. [`remote::run`] does the same with servers that run already, and
//! [`video::run`] with objects that are followed through a video.
//!
//! ```
//! use std::time::Duration;
//! use maskline_bench::load::{ClosedLoop, Limit, VirtualClock, run_closed};
//! use maskline_bench::samples::Summary;
//! use maskline_bench::steadiness::{Options, Status, judge};
//!
//! # fn main() -> maskline_bench::Result<()> {
//! let clock = VirtualClock::default();
//! let target = |_index: usize| -> Result<(), std::convert::Infallible> {
//!     clock.pass(Duration::from_millis(10));
//!     Ok(())
//! };
//! let record = run_closed(&target, &clock, &ClosedLoop { concurrency: 1, limit: Limit::Calls(1200) })?;
//! let judgement = judge(&record.samples(), &Options::default())?;
//! let summary = Summary::of(judgement.series.steady())?;
//! assert_eq!(judgement.verdict.status, Status::Valid);
//! assert_eq!(summary.p50_ms.map(|p50| p50.value), Some(10.0));
//! # Ok(())
//! # }
//! ```

mod binomial;
pub mod bootstrap;
pub mod compare;
mod error;
pub mod format;
pub mod load;
pub mod machine;
pub mod measure;
pub mod peers;
pub mod percentile;
pub mod random;
pub mod remote;
pub mod report;
pub mod samples;
pub mod steadiness;
pub mod video;
pub mod worker;
pub mod write;

pub use compare::compare;
pub use error::{Error, Result};
pub use report::Report;
