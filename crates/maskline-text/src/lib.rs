//! Phrases to token ids: cleaning, byte pair encoding, limits. It knows no models and no runtimes.
//!
//! [`Tokenizer::open`] takes the files that a model ships, [`Tokenizer::encode`] cuts a phrase into the ids of a text encoder's input:
//! start, tokens, end, and padding up to the context. Both ways in which the CLIP family cleans text are here, see [`Cleaning`].

mod bpe;
mod clean;
mod error;
mod files;
mod html;
mod mojibake;
mod original;
mod published;
mod tokenizer;

pub use clean::cleaned;
pub use error::{Error, ErrorKind, Result};
pub use files::TokenizerFiles;
pub use original::PublishedVocabulary;
pub use tokenizer::{Cleaning, Room, Tokenizer, Tokens};
