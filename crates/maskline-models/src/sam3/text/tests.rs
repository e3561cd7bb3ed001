//! Sizes of the published text encoders, and positions for texts of other lengths.
#![allow(clippy::unwrap_used)]

use super::lite::stretched;
use super::{TextConfig, TextForm};
use crate::BuildOptions;
use crate::sam3::config::ARCHITECTURES;

/// Numbers in a text encoder's weights: what trains, with a matrix as wide as the tokens after the last norm, which all of them have.
fn weights(text: &TextConfig) -> usize {
    let (width, hidden) = (text.tower.width, text.tower.hidden);
    let network = 2 * width * hidden + hidden + width;
    let transformer = network + 4 * (width * width + width) + 4 * width;
    let (places, layers) = match &text.form {
        TextForm::Clip => (text.context, text.tower.layers * transformer),
        TextForm::Lite(mixers) => {
            // Two convolutions, four norms, two scales.
            let of = |kernel: &Option<usize>| kernel.map_or(transformer, |kernel| network + 2 * width * kernel + 8 * width + 2 * width);
            (mixers.positions, mixers.kernels.iter().map(of).sum())
        }
    };
    text.vocabulary * width + places * width + layers + 2 * width + width * width
}

#[test]
fn published_text_encoders_have_as_many_weights_as_published() {
    // In millions: SAM 3's is 353 with its projections, SAM3-LiteText's are told without a fraction.
    for (name, millions) in [("sam3", 354), ("sam3-litetext-s0", 42), ("sam3-litetext-s1", 63), ("sam3-litetext-l", 124)] {
        let text = TextConfig::published(name, &BuildOptions::default()).unwrap().unwrap();
        assert!(weights(&text).abs_diff(millions * 1_000_000) < 1_000_000, "{name}: {}", weights(&text));
        assert_eq!((text.context, text.name()), (32, Some(name)));
        assert!(text.tower.width / text.tower.heads == 64 && ARCHITECTURES.contains(&name), "{name}");
    }
    assert_eq!(TextConfig::published("sam3-litetext-s2", &BuildOptions::default()).unwrap(), None);
}

#[test]
fn positions_are_stretched_between_the_centres_of_their_places() {
    // Two places, each of two numbers.
    let rows = [0.0, 10.0, 1.0, 30.0];
    assert_eq!(stretched(&rows, 2, 2), rows);
    assert_eq!(stretched(&rows, 2, 4), [0.0, 10.0, 0.25, 15.0, 0.75, 25.0, 1.0, 30.0]);
    assert_eq!(stretched(&rows, 2, 1), [0.5, 20.0]);
    // Every third one: what lies between is not averaged.
    assert_eq!(stretched(&[0.0, 1.0, 5.0, 7.0, 2.0, 9.0], 1, 2), [1.0, 2.0]);
    assert_eq!(stretched(&[4.0], 1, 3), [4.0; 3]);
}
