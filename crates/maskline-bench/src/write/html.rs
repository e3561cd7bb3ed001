//! Page.
use crate::report::Report;
/// Page.
pub fn html(_report: &Report) -> String { String::new() }
