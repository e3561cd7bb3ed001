//! The networks of a subject, and the operations that a call takes of each.

use std::path::PathBuf;

use maskline::{Error, Result};
use maskline_onnx::{GraphFile, Sizes};

use super::subjects::One;
use crate::report::{PromptKind, Prompts, Subject, Texts};
use crate::worker::Facts;

/// A network, and the stage that it runs in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    pub(super) part: String,
    pub(super) stage: &'static str,
    file: PathBuf,
    sizes: Sizes,
    /// Runs of a call.
    runs: usize,
}

impl Network {
    /// Floating-point operations of a call: those of products, a multiplication with its addition being two. What a runtime saves by
    /// computing a product in fewer operations is counted as if it did not.
    pub(super) fn operations(&self) -> Result<f64> {
        let work = GraphFile::read(&self.file).and_then(|graph| graph.work(&self.sizes)).map_err(Error::from)?;
        Ok(work.flops * self.runs as f64)
    }
}

/// Tokens of a prompt without a mask: the corners of a box, or a click and the point that SAM pads it with.
const POINTS: usize = 2;

/// The networks that a call runs.
pub(super) fn networks(one: &One, facts: &Facts) -> Vec<Network> {
    let sizes = |sizes: &[(&str, usize)]| sizes.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect::<Sizes>();
    let network =
        |(part, file): &(String, PathBuf), stage, sizes, runs| Network { part: part.clone(), stage, file: file.clone(), sizes, runs };
    let Subject { batch, prompts, texts, .. } = one.subject;
    let Some(first) = facts.parts.first() else { return Vec::new() };
    if let Some(Texts { count, .. }) = texts {
        let find = |name: &str| facts.parts.iter().find(|part| part.0 == name);
        let encoder = find("image_encoder").map(|part| network(part, "image_encode", sizes(&[("batch", 1)]), 1));
        let reader = find("text_encoder").map(|part| network(part, "text_encode", sizes(&[("phrases", count)]), 1));
        return encoder.into_iter().chain(reader).collect();
    }
    let Some(Prompts { kind, count }) = prompts else {
        let [height, width] = facts.input;
        // By the names of our own graphs; exports call theirs differently, and then say which is missing.
        let sizes = sizes(&[("batch", batch), ("rows", height / 32), ("columns", width / 32), ("height", height), ("width", width)]);
        return vec![network(first, "network", sizes, 1)];
    };
    let asked = sizes(&[("prompts", count), ("points", POINTS)]);
    if let Some(refinements) = facts.refinements {
        let looks = if kind == PromptKind::Click { 1 + refinements } else { 1 };
        return vec![network(first, "mask_decode", asked, looks)];
    }
    let encoder = network(first, "image_encode", sizes(&[("batch", 1)]), 1);
    let decoder = facts.parts.get(if kind == PromptKind::Mask { 2 } else { 1 });
    std::iter::once(encoder).chain(decoder.map(|part| network(part, "mask_decode", asked, 1))).collect()
}
