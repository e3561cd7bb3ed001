//! Sizes of both towers.

use maskline_onnx::GeluForm;
use maskline_weights::{Checkpoint, Scope};

use super::Version;
use crate::blocks::{Activation, Tower};
use crate::info::MOST_SIDE;
use crate::{BuildOptions, Error, ErrorKind, Facts, Result};

/// Sizes of an OWL.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Published name, or a description.
    pub architecture: String,
    /// Version.
    pub version: Version,
    /// Side of the square picture.
    pub image_size: usize,
    /// Side of a patch.
    pub patch: usize,
    /// Patches a side of the pictures that it was trained with.
    pub trained_grid: usize,
    /// The picture's tower.
    pub vision: Tower,
    /// The words' tower; its width is that of the class embeddings.
    pub text: Tower,
    /// Ids of tokens are below it; the largest one ends a text.
    pub vocabulary: usize,
    /// Tokens of a text, with its start and its end.
    pub context: usize,
}

/// A published size.
struct Published {
    version: Version,
    name: &'static str,
    patch: usize,
    image_size: usize,
    vision: Tower,
    text: Tower,
}

const BASE: Tower = published_tower(768, 12, 12);
const LARGE: Tower = published_tower(1024, 24, 16);
const TEXT: Tower = published_tower(512, 12, 8);

const PUBLISHED: [Published; 5] = [
    Published { version: Version::One, name: "owlvit-base-patch32", patch: 32, image_size: 768, vision: BASE, text: TEXT },
    Published { version: Version::One, name: "owlvit-base-patch16", patch: 16, image_size: 768, vision: BASE, text: TEXT },
    Published {
        version: Version::One,
        name: "owlvit-large-patch14",
        patch: 14,
        image_size: 840,
        vision: LARGE,
        text: published_tower(768, 12, 16),
    },
    Published { version: Version::Two, name: "owlv2-base", patch: 16, image_size: 960, vision: BASE, text: TEXT },
    Published {
        version: Version::Two,
        name: "owlv2-large",
        patch: 14,
        image_size: 1008,
        vision: LARGE,
        text: published_tower(768, 12, 12),
    },
];

/// Names of the published sizes of both versions.
pub(super) const ARCHITECTURES: [&[&str]; 2] =
    [&["owlvit-base-patch32", "owlvit-base-patch16", "owlvit-large-patch14"], &["owlv2-base", "owlv2-large"]];

const EPSILON: f32 = 1e-5;
const VOCABULARY: usize = 49_408;
const CONTEXT: usize = 16;

const fn published_tower(width: usize, layers: usize, heads: usize) -> Tower {
    Tower { width, hidden: 4 * width, heads, layers, epsilon: EPSILON, activation: Activation::QuickGelu }
}

impl Config {
    /// Patches a side.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch
    }

    /// The sizes of a published architecture.
    ///
    /// # Errors
    /// `UnknownModel` for another name, `Configuration` for a size that it cannot take.
    pub fn published(architecture: &str, options: &BuildOptions) -> Result<Self> {
        let unknown = || Error::new(ErrorKind::UnknownModel, format!("`{architecture}` is no published OWL"));
        let published = PUBLISHED.iter().find(|published| published.name == architecture).ok_or_else(unknown)?;
        let Published { version, patch, image_size, .. } = *published;
        Ok(Self {
            architecture: architecture.into(),
            version,
            image_size: check_image_size(options.image_size.unwrap_or(image_size), patch)?,
            patch,
            trained_grid: image_size / patch,
            vision: published.vision,
            text: published.text,
            vocabulary: VOCABULARY,
            context: CONTEXT,
        })
    }

    /// The sizes of a checkpoint: from tensor shapes, and what these do not tell from its configuration.
    ///
    /// # Errors
    /// `Checkpoint` if a tensor that tells a size is missing or contradicts another, `Configuration` if a fact is not known or is not
    /// built.
    pub fn of_checkpoint(checkpoint: &Checkpoint, version: Version, options: &BuildOptions, facts: &Facts) -> Result<Self> {
        let config = Self::read(checkpoint, version, options, facts).map_err(|error| error.at(checkpoint.path()))?;
        config.check_facts(facts).map_err(|error| error.at(checkpoint.path()))?;
        Ok(config)
    }

    fn read(checkpoint: &Checkpoint, version: Version, options: &BuildOptions, facts: &Facts) -> Result<Self> {
        let (seen, read) = (facts.under("vision_config"), facts.under("text_config"));
        let scope = checkpoint.root().push(version.scope());
        let embeddings = scope.push("vision_model.embeddings");
        let patches = embeddings.shape("patch_embedding.weight")?;
        let &[width, 3, patch, other] = patches else { return Err(misshapen("patch_embedding.weight", "[width, 3, side, side]", patches)) };
        let positions = embeddings.shape("position_embedding.weight")?;
        let trained_grid = positions.first().map_or(0, |rows| rows.saturating_sub(1).isqrt());
        if patch != other || patch == 0 || trained_grid == 0 || positions[0] != trained_grid * trained_grid + 1 {
            let found = format!("{patches:?} and {positions:?}");
            let misfit = Error::new(ErrorKind::Checkpoint, format!("{}: patches and their positions", embeddings.name()));
            return Err(misfit.expecting("[width, 3, side, side] and [1 + a square number, width]").finding(found));
        }
        let trained = trained_size(&seen, patch, trained_grid)?;
        let words = scope.push("text_model");
        let vocabulary = rows(&words, "embeddings.token_embedding.weight")?;
        let image_size = check_image_size(options.image_size.unwrap_or(trained), patch)?;
        let known = PUBLISHED.iter().find(|known| known.version == version && known.patch == patch && known.vision.width == width);
        let heads = |facts: &Facts, usual: usize, known: Option<usize>| Heads {
            told: facts.number("num_attention_heads"),
            // A configuration leaves out what is usual; without one the published models are known.
            otherwise: if facts.is_told() { Some(usual) } else { known },
            key: facts.key("num_attention_heads"),
        };
        let vision_heads = heads(&seen, BASE.heads, known.map(|known| known.vision.heads));
        let text_heads = heads(&read, TEXT.heads, known.map(|known| known.text.heads));
        let vision = tower(&scope.push("vision_model.encoder"), &seen, vision_heads)?;
        Ok(Self {
            architecture: match known {
                Some(known) => known.name.into(),
                None => format!("{} (width {width}, {} blocks, patches of {patch})", version.scope(), vision.layers),
            },
            version,
            image_size,
            patch,
            trained_grid,
            vision,
            text: tower(&words.push("encoder"), &read, text_heads)?,
            vocabulary,
            context: rows(&words, "embeddings.position_embedding.weight")?,
        })
    }

    /// What Hugging Face's configuration says must be what the tensors say, or what is built.
    fn check_facts(&self, facts: &Facts) -> Result<()> {
        facts.expect("projection_dim", self.text.width)?;
        let vision = facts.under("vision_config");
        vision.expect("patch_size", self.patch)?;
        vision.expect("num_channels", 3)?;
        let text = facts.under("text_config");
        text.expect("vocab_size", self.vocabulary)?;
        text.expect("max_position_embeddings", self.context)?;
        for (facts, tower) in [(vision, &self.vision), (text, &self.text)] {
            facts.expect("hidden_size", tower.width)?;
            facts.expect("intermediate_size", tower.hidden)?;
            facts.expect("num_hidden_layers", tower.layers)?;
        }
        Ok(())
    }
}

/// The side of the pictures that it was trained with: what the configuration says, if the positions are those of such a picture.
fn trained_size(facts: &Facts, patch: usize, grid: usize) -> Result<usize> {
    match facts.number("image_size") {
        Some(side) if side / patch == grid => Ok(side),
        None => Ok(grid * patch),
        Some(side) => {
            let misfit = Error::new(ErrorKind::Configuration, format!("config.json: {}", facts.key("image_size")));
            let expected = format!("a side of {grid} patches of {patch}, as the position embedding has");
            Err(misfit.expecting(expected).finding(side))
        }
    }
}

fn rows(scope: &Scope<'_>, name: &str) -> Result<usize> {
    match scope.shape(name)? {
        [rows, _] if *rows > 0 => Ok(*rows),
        other => Err(misshapen(name, "[rows, width]", other)),
    }
}

/// How many heads a tower has, which no tensor tells.
struct Heads {
    told: Option<usize>,
    /// Where that says nothing.
    otherwise: Option<usize>,
    key: String,
}

impl Heads {
    fn of(self, width: usize) -> Result<usize> {
        match self.told.or(self.otherwise) {
            Some(heads) if heads > 0 && width.is_multiple_of(heads) => Ok(heads),
            found => {
                let found = found.map_or("nothing".into(), |heads| heads.to_string());
                let error = Error::new(ErrorKind::Configuration, format!("config.json: {}", self.key));
                Err(error
                    .expecting(format!("a divisor of the width {width}"))
                    .finding(found)
                    .with_help("put the model's config.json beside it"))
            }
        }
    }
}

fn tower(scope: &Scope<'_>, facts: &Facts, heads: Heads) -> Result<Tower> {
    let layers = scope.push("layers");
    let first = layers.push(0).push("mlp");
    let (hidden, width) = match first.shape("fc1.weight")? {
        &[hidden, width] if hidden > 0 && width > 0 => (hidden, width),
        other => return Err(misshapen(&format!("{}.fc1.weight", first.name()), "[hidden, width]", other)),
    };
    Ok(Tower {
        width,
        hidden,
        heads: heads.of(width)?,
        layers: layers.children().len(),
        epsilon: facts.fraction("layer_norm_eps").map_or(EPSILON, |epsilon| epsilon as f32),
        activation: activation(facts)?,
    })
}

/// One of the two that CLIP's towers are published with.
fn activation(facts: &Facts) -> Result<Activation> {
    match Activation::of(facts, Activation::QuickGelu)? {
        known @ (Activation::QuickGelu | Activation::Gelu(GeluForm::Exact)) => Ok(known),
        _ => {
            let error = Error::new(ErrorKind::Configuration, format!("config.json: {}", facts.key("hidden_act")));
            Err(error.expecting("quick_gelu or gelu").finding(facts.said("hidden_act").map(ToString::to_string).unwrap_or_default()))
        }
    }
}

fn misshapen(name: &str, expected: &str, found: &[usize]) -> Error {
    Error::new(ErrorKind::Checkpoint, name).expecting(expected).finding(format!("{found:?}"))
}

/// Checks the side of the square picture: what does not fill a patch is not looked at, as in the reference.
fn check_image_size(size: usize, patch: usize) -> Result<usize> {
    if (patch..=MOST_SIDE).contains(&size) {
        return Ok(size);
    }
    Err(Error::new(ErrorKind::Configuration, "image size").expecting(format!("from {patch} to {MOST_SIDE}")).finding(size))
}
