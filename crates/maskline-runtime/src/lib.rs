//! maskline-runtime
