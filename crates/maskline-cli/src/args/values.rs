//! Values of arguments.

use clap::ValueEnum;
use maskline::{HeadBranch, MaskDecoder, Precision, Preprocessing};

/// Number of keypoints and of numbers per keypoint.
pub(crate) fn keypoint_shape(text: &str) -> Result<[usize; 2], String> {
    let parse = || {
        let (count, dims) = text.split_once('x')?;
        Some([count.parse().ok()?, dims.parse().ok()?])
    };
    parse().ok_or_else(|| "expected COUNTxDIMS, such as 17x3".into())
}

/// A detector's head by its name.
pub(crate) fn head_branch(name: &str) -> Result<HeadBranch, String> {
    HeadBranch::ALL.into_iter().find(|head| head.name() == name).ok_or_else(|| "expected one2many or one2one".into())
}

/// Where pictures are prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preprocess {
    /// Here.
    Host,
    /// Where the network runs.
    Device,
}

impl From<Preprocess> for Preprocessing {
    fn from(wished: Preprocess) -> Self {
        match wished {
            Preprocess::Host => Self::Host,
            Preprocess::Device => Self::Device,
        }
    }
}

/// Numbers by their name.
pub(crate) fn precision(name: &str) -> Result<Precision, String> {
    name.parse().map_err(|_| format!("expected {}", Precision::ALL.map(Precision::name).join(", ")))
}

/// A mask decoder by its name.
pub(crate) fn mask_decoder(name: &str) -> Result<MaskDecoder, String> {
    let known = [MaskDecoder::Graph, MaskDecoder::Native];
    known.into_iter().find(|decoder| decoder.name() == name).ok_or_else(|| "expected graph or native".into())
}
