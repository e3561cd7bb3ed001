//! maskline-models
