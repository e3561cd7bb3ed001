//! OWL-ViT (Minderer et al. 2022) and OWLv2 (Minderer et al. 2023): objects for words, and for examples, in sizes B and L.
//!
//! `config` tells the sizes of both towers, `vision` is the picture's side with its heads, `text` that of the words. What is like what is
//! told by the product of both, which is not a graph: it is one small matrix product, and depends on nothing that is compiled.
//!
//! Layout: Hugging Face's. Source: `google-research/scenic` (`projects/owl_vit`), `transformers` (`models/owlvit`, `models/owlv2`).

mod config;
mod text;
mod vision;

pub use config::Config;
use maskline_onnx::ModelHeader;
use maskline_weights::{Scope, Source};

use crate::family::{Asset, refuse_left_over};
use crate::info::{LabelSource, Normalise, Output, PartRole, Preprocess, SizeSource, Vocabulary, WordHead};
use crate::sam::first::choose;
use crate::{BuildOptions, Built, Description, Family, ModelInfo, Part, Result, Task};

/// Name of the picture input.
const INPUT: &str = "picture";

/// The two of them: they differ in how a picture comes to the network, and in the second one's objectness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// OWL-ViT.
    One,
    /// OWLv2.
    Two,
}

impl Version {
    /// Scope of both towers, also the family's name.
    fn scope(self) -> &'static str {
        match self {
            Self::One => "owlvit",
            Self::Two => "owlv2",
        }
    }
}

/// The family of a version.
#[derive(Debug)]
pub struct Owl {
    version: Version,
    description: Description,
}

/// OWL-ViT.
pub static OWL_VIT: Owl = Owl {
    version: Version::One,
    description: Description {
        name: "owlvit",
        title: "OWL-ViT: boxes for words and for examples",
        tasks: &[Task::Find],
        architectures: config::ARCHITECTURES[0],
        licence: "Apache-2.0",
        source: "https://github.com/google-research/scenic/tree/main/scenic/projects/owl_vit",
    },
};

/// OWLv2.
pub static OWL_V2: Owl = Owl {
    version: Version::Two,
    description: Description {
        name: "owlv2",
        title: "OWLv2: boxes for words and for examples",
        tasks: &[Task::Find],
        architectures: config::ARCHITECTURES[1],
        ..OWL_VIT.description
    },
};

/// CLIP's own head, which finds no boxes, and buffers that older files carry.
const KNOWN_EXTRAS: [&str; 4] = ["visual_projection.weight", ".logit_scale", "position_ids", "box_bias"];

impl Family for Owl {
    fn description(&self) -> &Description {
        &self.description
    }

    fn recognises(&self, names: &Scope<'_>) -> bool {
        let tower = names.push(self.version.scope());
        tower.contains("vision_model.embeddings.patch_embedding.weight") && names.contains("class_head.dense0.weight")
    }

    fn build<'w>(&self, source: &'w Source, options: &BuildOptions) -> Result<Built<'w>> {
        let checkpoint = source.checkpoint();
        let published = |name: &str| Config::published(name, options);
        let config = choose(source, options, published, |facts| Config::of_checkpoint(checkpoint, self.version, options, facts))?;
        let vision = vision::graph(checkpoint, &config, options)?.finish()?;
        let text = text::graph(checkpoint, &config, options)?.finish()?;
        refuse_left_over(checkpoint, &format!("an {}", self.description.name), &KNOWN_EXTRAS)?;
        let assets: Vec<Asset> =
            source.companions_of(&Vocabulary::FILES).map(|(name, bytes)| Asset { name: name.into(), bytes: bytes.into() }).collect();
        let vocabulary = match (checkpoint.is_synthetic(), assets.is_empty()) {
            (true, _) => Vocabulary::StandIn,
            (false, true) => Vocabulary::Missing,
            (false, false) => Vocabulary::Files,
        };
        let part = |name, role, eager, model| Part { name, role, eager, model };
        let parts = vec![
            part(WordHead::IMAGE_ENCODER, PartRole::ImageEncoder, true, vision),
            part(WordHead::TEXT_ENCODER, PartRole::TextEncoder, false, text),
        ];
        Ok(Built::new(self.info(&config, vocabulary), parts).with_assets(assets))
    }

    fn import(&self, _: &ModelHeader, _: &BuildOptions) -> Option<Result<ModelInfo>> {
        None
    }
}

impl Owl {
    fn info(&self, config: &Config, vocabulary: Vocabulary) -> ModelInfo {
        ModelInfo {
            family: self.description.name.into(),
            architecture: config.architecture.clone(),
            task: Task::Find,
            labels: vec![],
            labels_from: LabelSource::None,
            weights_notes: vec![],
            input: INPUT.into(),
            preprocess: match self.version {
                Version::One => Preprocess::StretchLevels(Normalise::CLIP),
                Version::Two => Preprocess::PaddedSquare(Normalise::CLIP),
            },
            default_size: config.image_size,
            size_from: SizeSource::default(),
            fixed_size: Some([config.image_size; 2]),
            fixed_batch: None,
            parts: vec![],
            memory: None,
            output: Output::Words(WordHead {
                grid: config.grid(),
                width: config.text.width,
                context: config.context,
                vocabulary: config.vocabulary,
                tokenizer: vocabulary,
                has_objectness: self.version == Version::Two,
            }),
        }
    }
}
