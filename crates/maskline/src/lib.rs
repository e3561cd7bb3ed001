//! maskline
