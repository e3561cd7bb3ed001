//! SAM 3 (Carion et al. 2025) on pictures: masks for words and examples, and for clicks and boxes.
//!
//! `config` tells the sizes, `layout` brings published files to the names that the graphs read (`names`), `trunk` is the ViT that both heads
//! share, `neck` makes of it what each head reads. Words: `text` and `exemplars` make prompts, `decoder` finds objects for them (`layers`
//! are its transformers), `masks` cuts them out. Clicks: the mask decoder of [`crate::sam`].
//!
//! Source: `facebookresearch/sam3` (`sam3/model`), `transformers` (`models/sam3`, `models/sam3_tracker`).

mod config;
mod decoder;
mod exemplars;
mod layers;
pub(crate) mod layout;
mod masks;
mod names;
mod neck;
mod text;
mod trunk;

pub use config::Config;
use maskline_onnx::ModelHeader;
use maskline_weights::{Checkpoint, Scope, Source};

use crate::family::{Asset, refuse_left_over};
use crate::info::{ConceptHead, LabelSource, Normalise, Output, PartRole, Preprocess, SizeSource, Vocabulary};
use crate::sam::Decoder;
use crate::sam::first::choose;
use crate::sam::names::SAM_3;
use crate::{BuildOptions, Built, Description, EverythingDefaults, Family, ModelInfo, Part, PromptHead, Result, SingleMask, Task};

/// Name of the picture input.
const INPUT: &str = "picture";

/// The family.
#[derive(Debug)]
pub struct Sam3;

static DESCRIPTION: Description = Description {
    name: "sam3",
    title: "SAM 3: masks for words, examples, clicks and boxes",
    tasks: &[Task::Concepts, Task::Promptable],
    architectures: config::ARCHITECTURES,
    licence: "SAM License",
    source: "https://github.com/facebookresearch/sam3",
};

/// Masks that are given again as prompts are cut to this, as in SAM 2.
const PROMPT_LOGIT_LIMIT: f32 = 32.0;

impl Family for Sam3 {
    fn description(&self) -> &Description {
        &DESCRIPTION
    }

    fn recognises(&self, names: &Scope<'_>) -> bool {
        layout::Layout::of(names).is_some()
    }

    fn prepare(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        layout::make_canonical(checkpoint).map(drop)
    }

    fn build<'w>(&self, source: &'w Source, options: &BuildOptions) -> Result<Built<'w>> {
        let checkpoint = source.checkpoint();
        let published = |name: &str| Config::published(name, options);
        let mut config = choose(source, options, published, |facts| Config::of_checkpoint(checkpoint, options, facts))?;
        config.clicks = config.clicks.map(|decoder| decoder.built_as(options));
        let mut parts = match &config.concepts {
            Some(concepts) => concept_parts(checkpoint, &config, concepts, options)?,
            None => Vec::new(),
        };
        if let Some(decoder_config) = &config.clicks {
            let decoder = Decoder::new(checkpoint, &SAM_3, decoder_config);
            if parts.is_empty() {
                parts.push(Part::encoder(neck::encoder_of_clicks(checkpoint, &config, &decoder, options)?.finish()?));
            } else {
                let neck = neck::of_clicks(checkpoint, &config, &decoder, options)?.finish()?;
                parts.push(Part { name: ConceptHead::CLICK_NECK, role: PartRole::PromptNeck, eager: false, model: neck });
            }
            let [plain, masked] = decoder.parts(options.dialect, options.taps)?;
            let eager = config.concepts.is_none();
            parts.extend([Part { eager, ..plain }, masked]);
        }
        refuse_left_over(checkpoint, "a SAM 3", layout::KNOWN_EXTRAS)?;
        let assets: Vec<Asset> =
            source.companions_of(&Vocabulary::FILES).map(|(name, bytes)| Asset { name: name.into(), bytes: bytes.into() }).collect();
        let tokenizer = match (checkpoint.is_synthetic(), assets.is_empty()) {
            (true, _) => Vocabulary::StandIn,
            (false, true) => Vocabulary::Missing,
            (false, false) => Vocabulary::Files,
        };
        Ok(Built::new(info(&config, tokenizer), parts).with_assets(assets))
    }

    fn import(&self, _: &ModelHeader, _: &BuildOptions) -> Option<Result<ModelInfo>> {
        None
    }
}

/// What answers words and examples; the trunk first.
fn concept_parts<'w>(
    checkpoint: &'w Checkpoint,
    config: &Config,
    concepts: &config::ConceptConfig,
    options: &BuildOptions,
) -> Result<Vec<Part<'w>>> {
    let part = |name, role, eager, model| Part { name, role, eager, model };
    Ok(vec![
        part(ConceptHead::IMAGE_ENCODER, PartRole::ImageEncoder, true, trunk::graph(checkpoint, config, options)?.finish()?),
        part(ConceptHead::CONCEPT_NECK, PartRole::ConceptNeck, false, neck::of_concepts(checkpoint, config, concepts, options)?.finish()?),
        part(ConceptHead::TEXT_ENCODER, PartRole::TextEncoder, false, text::graph(checkpoint, config, concepts, options)?.finish()?),
        part(
            ConceptHead::EXEMPLAR_ENCODER,
            PartRole::ExemplarEncoder,
            false,
            exemplars::graph(checkpoint, config, concepts, options)?.finish()?,
        ),
        part(
            ConceptHead::CONCEPT_DECODER,
            PartRole::ConceptDecoder,
            false,
            decoder::graph(checkpoint, config, concepts, options)?.finish()?,
        ),
        part(ConceptHead::MASK_HEAD, PartRole::MaskHead, false, masks::graph(checkpoint, config, concepts, options)?.finish()?),
    ])
}

fn info(config: &Config, tokenizer: Vocabulary) -> ModelInfo {
    let size = config.image_size;
    let clicks = config.clicks.as_ref().map(|decoder| PromptHead {
        grid: decoder.grid,
        space: decoder.space,
        masks: decoder.masks,
        object_score: true,
        high_resolution: true,
        decoder: decoder.form,
        always_padded: true,
        single: SingleMask::Stable { delta: 0.05, threshold: 0.98 },
        everything: EverythingDefaults::SAM_2,
        prompt_logit_limit: Some(PROMPT_LOGIT_LIMIT),
    });
    let (task, output) = match (&config.concepts, clicks) {
        (None, Some(clicks)) => (Task::Promptable, Output::Promptable(clicks)),
        (concepts, clicks) => {
            let (text, pooled, queries) = concepts.as_ref().map_or((None, 0, 0), |c| (Some(&c.text), c.pooled, c.queries));
            let head = ConceptHead {
                grid: config.grid(),
                width: config.width,
                trunk_width: config.trunk.width,
                queries,
                pooled,
                context: text.map_or(0, |text| text.context),
                vocabulary: text.map_or(0, |text| text.vocabulary),
                tokenizer,
                clicks,
            };
            (Task::Concepts, Output::Concepts(head))
        }
    };
    ModelInfo {
        family: DESCRIPTION.name.into(),
        architecture: config.architecture.clone(),
        task,
        labels: vec![],
        labels_from: LabelSource::None,
        weights_notes: vec![],
        input: INPUT.into(),
        preprocess: Preprocess::StretchLevelsLinear(Normalise::CENTRED),
        default_size: size,
        size_from: SizeSource::default(),
        fixed_size: Some([size, size]),
        fixed_batch: None,
        parts: vec![],
        memory: None,
        output,
    }
}
