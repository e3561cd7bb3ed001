//! The maskline command line tool.
fn main() {}
