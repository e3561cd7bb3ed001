//! maskline-weights
