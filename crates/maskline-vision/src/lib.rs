//! maskline-vision
