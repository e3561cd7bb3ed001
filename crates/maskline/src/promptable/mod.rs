//! Promptable models: a picture is encoded once and answers any number of prompts.

mod choice;
mod decoders;

pub(crate) use choice::{single_mask, stability};
pub(crate) use decoders::{Decoders, Tokens};
