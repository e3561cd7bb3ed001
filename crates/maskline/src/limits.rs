//! Bounds on sizes and counts that somebody asks for, checked before there is memory for them.

use crate::error::Concern;
use crate::{Error, ErrorKind, Result};

/// Most pixels a side of a network's input.
pub(crate) const LARGEST_SIDE: usize = 8192;
/// Most bytes of input that go through a network together: 218 pictures of 640 × 640, one of 8192 × 8192.
const MOST_INPUT_BYTES: usize = 1 << 30;
/// Most pictures in one batch.
pub(crate) const LARGEST_BATCH: usize = 1024;
/// The largest that usual questions are, by the names of free sizes in graphs: eight prompts of a dozen tokens, four objects of a video with all
/// that is remembered of them, sixteen phrases. What is compiled for ranges of shapes is compiled up to these before anybody waits.
pub(crate) const LARGEST_USUAL: [(&str, usize); 8] =
    [("prompts", 8), ("points", 12), ("objects", 4), ("memories", 7), ("pointers", 64), ("phrases", 16), ("length", 64), ("examples", 4)];
/// Most prompts that go through a decoder together: each takes some 30 MB there.
pub(crate) const LARGEST_CHUNK: usize = 64;
/// Most sessions of a part.
pub(crate) const MOST_SESSIONS: usize = 64;
/// Most threads of a session.
pub(crate) const MOST_THREADS: usize = 1024;
/// Most bytes of low-resolution logits that one answer holds.
pub(crate) const MOST_LOGIT_BYTES: usize = 4 << 30;

/// The length of a batch's input, f32 [batch, 3, height, width].
///
/// # Errors
/// `OverLimit` where it would be over [`MOST_INPUT_BYTES`].
pub(crate) fn input_length([batch, height, width]: [usize; 3]) -> Result<usize> {
    let length = [batch, 3, height, width].into_iter().try_fold(1_usize, usize::checked_mul);
    match length.filter(|length| length.saturating_mul(size_of::<f32>()) <= MOST_INPUT_BYTES) {
        Some(length) => Ok(length),
        None => {
            let help = if batch > 1 { "use a smaller batch, or a smaller size" } else { "use a smaller size" };
            Err(Error::new(ErrorKind::OverLimit, "network input")
                .expecting(format!("at most {} MiB together", MOST_INPUT_BYTES >> 20))
                .but_found(format!("{batch} × 3 × {height} × {width} numbers of 4 bytes"))
                .with_help(help)
                .about(Concern::Options))
        }
    }
}

/// Refuses a count of which there would be too many; `name` is that of the option.
///
/// # Errors
/// `InvalidOption` for none, `OverLimit` for more than `most`.
pub(crate) fn check_count(name: &str, count: usize, most: usize) -> Result<()> {
    let kind = match count {
        0 => ErrorKind::InvalidOption,
        _ if count > most => ErrorKind::OverLimit,
        _ => return Ok(()),
    };
    Err(Error::new(kind, name).expecting(format!("1 to {most}")).but_found(count).about(Concern::Options))
}

/// Refuses more low-resolution masks, of `side` × `side` logits, than one answer holds.
///
/// # Errors
/// `OverLimit`.
pub(crate) fn check_logits(masks: usize, side: usize) -> Result<()> {
    let bytes = [masks, side, side, size_of::<f32>()].into_iter().fold(1_usize, usize::saturating_mul);
    if bytes <= MOST_LOGIT_BYTES {
        return Ok(());
    }
    Err(Error::new(ErrorKind::OverLimit, "prompts")
        .expecting(format!("at most {} MiB of mask logits in one answer", MOST_LOGIT_BYTES >> 20))
        .but_found(format!("{masks} masks of {side} × {side}"))
        .with_help("send them in several requests"))
}
