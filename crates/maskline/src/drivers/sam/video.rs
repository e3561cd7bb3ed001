//! The networks of a model that follows objects through time: frames to features, features and a past to features of each object, those
//! and prompts to masks, masks to memories. What is remembered, and what is looked at when, is the tracker's.

use std::sync::Arc;

use maskline_models::{MemoryHead, Normalise, Preprocess, PromptHead, embedding};
use maskline_runtime::{Input, Outputs, SharedTensor, Tensor};
use maskline_vision::mask::{Logits, Upsampler};
use maskline_vision::{Mask, RgbImage};

use super::choice::{Candidates, are_finite, best, single_mask};
use super::decoders::Tokens;
use super::frame::{View, logits_of};
use crate::drivers::NOT_FINITE;
use crate::drivers::encoder::Encoder;
use crate::drivers::parts::LazyLanes;
use crate::drivers::square::fit;
use crate::drivers::{Call, Parts, Tensors};
use crate::{Error, ErrorKind, Image, Prompt, Result, Stage, Stages};

/// Frames of a video are brought to the input as the official predictor brings the pictures of a folder: in 8 bits, by a cubic filter.
const PREPROCESS: Preprocess = Preprocess::StretchLevels(Normalise::IMAGENET);

/// Logit of what is not seen.
pub(crate) const UNSEEN: f32 = -1024.0;
/// Logits of a mask that is given: inside, and with the other sign outside.
const GIVEN: f32 = 10.0;

/// The networks; all but the image encoder are opened when they are first needed.
#[derive(Debug)]
pub(crate) struct Video {
    parts: Parts,
    pub(crate) head: MemoryHead,
    prompts: PromptHead,
    encoder: Encoder,
    attention: LazyLanes,
    memory: LazyLanes,
    mask_reader: LazyLanes,
    decoder: LazyLanes,
    masked_decoder: LazyLanes,
}

/// What the networks must know of a frame.
#[derive(Debug, Clone)]
pub(crate) struct Features {
    /// Width and height of the frame.
    pub(crate) size: (usize, usize),
    /// In the order of [`NAMES`]; the first is f32 [1, T, C].
    tensors: Arc<Tensors>,
}

/// Outputs of the image encoder that are kept of a frame.
const NAMES: [&str; 3] = [MemoryHead::FEATURES, embedding::MIDDLE, embedding::FINE];

impl Features {
    pub(crate) fn bytes(&self) -> usize {
        self.tensors.bytes()
    }
}

/// What is remembered of an object, as the memory attention looks at it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// Memories of T · M numbers, each with its age.
    pub(crate) memories: Vec<(Arc<[f32]>, i64)>,
    /// Pointers of C numbers, each with its distance in time.
    pub(crate) pointers: Vec<(Arc<[f32]>, f32)>,
}

/// Features that objects are decoded from.
#[derive(Debug, Clone)]
pub(crate) struct Cells {
    /// As the objects' pasts see the frame, f32 [O, T, C]; `None`: the frame's own.
    pub(crate) conditioned: Option<SharedTensor>,
    /// Whether the objects have no past.
    pub(crate) is_fresh: bool,
}

impl Cells {
    /// Whether they are gone with a device.
    pub(crate) fn are_lost(&self) -> bool {
        self.conditioned.as_ref().is_some_and(SharedTensor::is_lost)
    }
}

/// How one answer is chosen of an object's masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The best of those for ambiguous prompts, with its pointer.
    Best,
    /// The single answer, with the pointer of the first mask.
    Single,
}

/// An object as it was decoded.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    /// Of the decoder's resolution; all [`UNSEEN`] where it is not seen.
    pub(crate) logits: Logits,
    /// Logit that it is seen.
    pub(crate) presence: f32,
    /// Predicted IoU.
    pub(crate) iou: f32,
    /// C numbers.
    pub(crate) pointer: Arc<[f32]>,
}

/// A mask that is to be remembered.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    /// Logits over all of the frame, in a square.
    pub(crate) logits: &'a Logits,
    /// Whether only their sign counts.
    pub(crate) is_hard: bool,
    /// Logit that the object is seen.
    pub(crate) presence: f32,
}

impl Video {
    /// # Errors
    /// `InvalidOption` where the model has no memory, `Unavailable` if the provider is not there.
    pub(super) fn open(parts: &Parts, prompts: &PromptHead, encoder: &Encoder) -> Result<Self> {
        let Some(head) = parts.info().memory else {
            let message = format!("{}: a {} follows nothing through time", parts.name(), parts.info().architecture);
            let help = "its checkpoint has no memory; use the one of a model for video";
            return Err(Error::new(ErrorKind::InvalidOption, message).with_help(help));
        };
        let lazy = |part| LazyLanes::new(parts, part);
        Ok(Self {
            parts: parts.clone(),
            head,
            prompts: prompts.clone(),
            encoder: encoder.of_other(PREPROCESS, &NAMES),
            attention: lazy(MemoryHead::ATTENTION),
            memory: lazy(MemoryHead::ENCODER),
            mask_reader: lazy(MemoryHead::MASK_READER),
            decoder: lazy(MemoryHead::DECODER),
            masked_decoder: lazy(MemoryHead::MASKED_DECODER),
        })
    }

    /// Side of the frames' input.
    pub(crate) fn side(&self) -> usize {
        self.parts.info().default_size
    }

    /// Side of the masks' logits.
    pub(crate) fn mask_side(&self) -> usize {
        self.prompts.mask_side()
    }

    /// How prompts on frames are asked.
    pub(crate) fn prompting(&self) -> crate::drivers::Prompting {
        super::Prompter::prompting(&self.prompts)
    }

    /// Enlarges masks to frames of this width and height.
    pub(crate) fn upsampler(&self, size: (usize, usize)) -> Result<Upsampler> {
        View::new(size, &PREPROCESS, &self.prompts)?.upsampler(self.mask_side())
    }

    pub(crate) fn encode(&self, frame: &Image, call: &Call) -> Result<(Features, Stages)> {
        let (tensors, stages) = self.encoder.see(frame, call)?;
        Ok((Features { size: frame.size(), tensors: Arc::new(tensors) }, stages))
    }

    /// The features of a frame of this width and height, brought to the input: f32 [3, S, S].
    pub(crate) fn encode_values(&self, values: Vec<f32>, size: (usize, usize), call: &Call) -> Result<(Features, Stages)> {
        let (outputs, stages) = self.encoder.run_values(values, call)?;
        Ok((Features { size, tensors: Arc::new(Tensors::new(self.encoder.take(outputs)?)) }, stages))
    }

    /// The features of a frame as they are.
    pub(crate) fn plain(&self, is_fresh: bool) -> Cells {
        Cells { conditioned: None, is_fresh }
    }

    /// The features of a frame as objects with pasts of equal lengths see them.
    pub(crate) fn attend(&self, features: &Features, pasts: &[&Past], call: &Call) -> Result<(Cells, Stages)> {
        let MemoryHead { memory_width, .. } = self.head;
        let (objects, tokens) = (pasts.len(), self.head.tokens());
        let (memories, pointers) = pasts.first().map_or((0, 0), |past| (past.memories.len(), past.pointers.len()));
        let area = self.prompts.grid * self.prompts.grid;
        let mut rows = Vec::with_capacity(objects * memories * area * memory_width);
        pasts.iter().flat_map(|past| &past.memories).for_each(|(memory, _)| rows.extend_from_slice(memory));
        let ages: Vec<i64> = pasts.iter().flat_map(|past| past.memories.iter().map(|(_, age)| *age)).collect();
        let pointed: Vec<f32> =
            pasts.iter().flat_map(|past| past.pointers.iter().flat_map(|(pointer, _)| pointer.iter().copied())).collect();
        let distances = pasts.iter().flat_map(|past| past.pointers.iter().flat_map(|(_, distance)| std::iter::repeat_n(*distance, tokens)));
        let inputs: Vec<(&str, Input)> = vec![
            (MemoryHead::MEMORIES, shared(Tensor::new([objects, memories, area, memory_width], rows)?)?),
            (MemoryHead::AGES, shared(Tensor::new([objects, memories], ages)?)?),
            (MemoryHead::POINTERS, shared(Tensor::new([objects, pointers * tokens, memory_width], pointed)?)?),
            (MemoryHead::DISTANCES, shared(Tensor::new([objects, pointers * tokens], distances.collect::<Vec<f32>>())?)?),
        ];
        let asking = Asking { features, of_frame: &NAMES[..1], inputs, stage: Stage::Memory };
        let (mut outputs, stages) = self.run(&self.attention, &asking, call)?;
        Ok((Cells { conditioned: Some(outputs.take(MemoryHead::CONDITIONED)?), is_fresh: false }, stages))
    }

    /// The tokens of a prompt on a frame, and how its answer is chosen.
    pub(crate) fn tokens(&self, prompt: &Prompt, size: (usize, usize)) -> Result<(Tokens, Choice)> {
        let mut tokens = Tokens::default();
        View::new(size, &PREPROCESS, &self.prompts)?.add_tokens(prompt, &self.prompts, &mut tokens);
        tokens.points = tokens.kinds.len();
        // One token is a pad; a box has two others.
        let choice = if tokens.points <= 2 { Choice::Best } else { Choice::Single };
        Ok((tokens, choice))
    }

    /// The tokens of so many objects of which nothing is said.
    pub(crate) fn nothing(&self, objects: usize) -> Tokens {
        Tokens::nothing(objects)
    }

    /// Decodes objects: `masks` are logits that are fed back, of the decoder's resolution.
    pub(crate) fn decode(&self, features: &Features, asked: Asked, call: &Call) -> Result<(Vec<Decoded>, Stages)> {
        let Asked { cells, tokens: Tokens { prompts: objects, points, coords, kinds, masks }, choice } = asked;
        let fresh = vec![f32::from(u8::from(cells.is_fresh)); objects];
        let mut inputs: Vec<(&str, Input)> = vec![
            (MemoryHead::FRESH, shared(Tensor::new([objects, 1, 1], fresh)?)?),
            (PromptHead::COORDS, shared(Tensor::new([objects, points, 2], coords)?)?),
            (PromptHead::KINDS, shared(Tensor::new([objects, points], kinds)?)?),
        ];
        let of_frame = if cells.conditioned.is_some() { &NAMES[1..] } else { &NAMES };
        inputs.extend(cells.conditioned.map(|cells| (MemoryHead::FEATURES, cells.into())));
        let decoder = match masks {
            None => &self.decoder,
            Some(masks) => {
                let side = self.mask_side();
                inputs.push((PromptHead::MASK, shared(Tensor::new([objects, 1, side, side], masks)?)?));
                &self.masked_decoder
            }
        };
        let asking = Asking { features, of_frame, inputs, stage: Stage::MaskDecode };
        let (outputs, stages) = self.run(decoder, &asking, &call.slowed(self.parts.delays().mask_decode))?;
        let decoded = (0..objects).map(|row| self.decoded(&outputs, row, choice)).collect::<Result<_>>()?;
        Ok((decoded, stages))
    }

    fn decoded(&self, outputs: &Outputs, row: usize, choice: Choice) -> Result<Decoded> {
        let (masks, size) = (self.prompts.masks, self.mask_side() * self.mask_side());
        let of_row = |name: &str, length: usize| Ok::<_, Error>(&outputs.f32(name)?.data[row * length..][..length]);
        let (logits, scores) = (of_row(PromptHead::MASKS, masks * size)?, of_row(PromptHead::SCORES, masks)?);
        let presence = of_row(PromptHead::OBJECT, 1)?[0];
        let (chosen, pointer) = match choice {
            Choice::Best if masks > 1 => {
                let chosen = 1 + best(&scores[1..]);
                (chosen, chosen)
            }
            _ => (single_mask(self.prompts.single, Candidates { logits, scores }), 0),
        };
        let pointer = &of_row(MemoryHead::POINTERS, masks * self.head.width)?[pointer * self.head.width..][..self.head.width];
        let blocked = &logits[chosen * size..][..size];
        if !(are_finite(blocked) && are_finite(pointer) && presence.is_finite()) {
            let error = Error::new(ErrorKind::BadAnswer, "the network's answer is not finite");
            return Err(error.with_help(NOT_FINITE));
        }
        let mut logits = logits_of(blocked, &self.prompts)?;
        if presence <= 0.0 {
            logits.data_mut().fill(UNSEEN);
        }
        Ok(Decoded { logits, presence, iou: scores[chosen], pointer: pointer.into() })
    }

    /// A mask of the frame at the size of the input: logits of a square, 10 inside and -10 outside.
    pub(crate) fn given(&self, mask: &Mask) -> Result<Logits> {
        let side = self.side();
        let shares = shrunk(&mask.to_rows(u8::MAX), [mask.width(), mask.height()], side)?;
        let logits = shares.into_iter().map(|share| if share >= 0.5 { GIVEN } else { -GIVEN }).collect();
        Ok(Logits::new(logits, [side; 2])?)
    }

    /// What the decoder would say of such a mask, which is believed as it is: its logits at the decoder's resolution, and the pointer that
    /// the decoder gives for it.
    pub(crate) fn believe(&self, features: &Features, mask: &Logits, choice: Choice, call: &Call) -> Result<(Decoded, Stages)> {
        let inside: Vec<bool> = mask.data().iter().map(|logit| *logit > 0.0).collect();
        let [rows, columns] = mask.size();
        let values = inside.iter().map(|is_inside| f32::from(u8::from(*is_inside))).collect::<Vec<f32>>();
        let inputs = vec![(MemoryHead::MASK, shared(Tensor::new([1, 1, rows, columns], values)?)?)];
        let asking = Asking { features, of_frame: &[], inputs, stage: Stage::MaskDecode };
        let (read, mut stages) = self.run(&self.mask_reader, &asking, call)?;
        let tokens = Tokens { masks: Some(read.f32(MemoryHead::LOGITS)?.data.to_vec()), ..Tokens::nothing(1) };
        let (decoded, spent) = self.decode(features, Asked { cells: self.plain(false), tokens, choice }, call)?;
        stages += spent;
        let levels: Vec<u8> = inside.iter().map(|is_inside| if *is_inside { u8::MAX } else { 0 }).collect();
        let shares = shrunk(&levels, [columns, rows], self.mask_side())?;
        let logits = shares.into_iter().map(|share| 2.0 * GIVEN * share - GIVEN).collect();
        let logits = Logits::new(logits, [self.mask_side(); 2])?;
        let presence = if inside.contains(&true) { GIVEN } else { -GIVEN };
        let pointer = decoded.into_iter().next().map(|one| one.pointer).unwrap_or_else(|| Arc::from([]));
        Ok((Decoded { logits, presence, iou: 1.0, pointer }, stages))
    }

    /// Memories of objects on a frame, T · M numbers each; all masks have one size.
    pub(crate) fn remember(&self, features: &Features, seen: &[Seen<'_>], call: &Call) -> Result<(Vec<Vec<f32>>, Stages)> {
        let (outputs, stages) = self.run_memory(features, seen, call)?;
        let memories = outputs.f32(MemoryHead::MEMORY)?;
        let length = memories.data.len() / seen.len().max(1);
        Ok((memories.data.chunks_exact(length.max(1)).map(<[f32]>::to_vec).collect(), stages))
    }

    fn run_memory(&self, features: &Features, seen: &[Seen<'_>], call: &Call) -> Result<(Outputs, Stages)> {
        let objects = seen.len();
        let [rows, columns] = seen.first().map_or([0; 2], |one| one.logits.size());
        let logits: Vec<f32> = seen.iter().flat_map(|one| one.logits.data().iter().copied()).collect();
        let inputs: Vec<(&str, Input)> = vec![
            (MemoryHead::LOGITS, shared(Tensor::new([objects, 1, rows, columns], logits)?)?),
            (MemoryHead::HARD, shared(Tensor::new([objects, 1, 1, 1], seen.iter().map(|one| one.is_hard).collect::<Vec<bool>>())?)?),
            (MemoryHead::OBJECT, shared(Tensor::new([objects, 1], seen.iter().map(|one| one.presence).collect::<Vec<f32>>())?)?),
        ];
        self.run(&self.memory, &Asking { features, of_frame: &NAMES[..1], inputs, stage: Stage::Memory }, call)
    }

    /// Where the cells of memories are, of a memory encoder that also gives its inner tensors.
    pub(super) fn memory_places(&self, features: &Features, mask: &Logits) -> Result<Vec<f32>> {
        let seen = Seen { logits: mask, is_hard: true, presence: 1.0 };
        let (outputs, _) = self.run_memory(features, &[seen], &Call::default())?;
        Ok(outputs.f32("positions")?.data.to_vec())
    }

    /// Runs a part, opened where it is not yet; the frame is encoded again first where it is lost with a device.
    fn run(&self, part: &LazyLanes, asking: &Asking<'_>, call: &Call) -> Result<(Outputs, Stages)> {
        let mut stages = Stages::default();
        let lanes = part.get(&mut stages)?;
        let Asking { features, of_frame, inputs, stage } = asking;
        let (outputs, spent) = features.tensors.ask(call, |tensors| {
            let of_frame = NAMES.iter().zip(tensors).filter(|(name, _)| of_frame.contains(name));
            let all = of_frame.map(|(name, tensor)| (*name, tensor.clone().into())).chain(inputs.iter().cloned());
            lanes.run_staying(all.collect(), &[MemoryHead::CONDITIONED], *stage, call)
        })?;
        Ok((outputs, stages + spent))
    }
}

/// What a part of the video's networks is run with.
struct Asking<'a> {
    features: &'a Features,
    /// Inputs that are features of the frame.
    of_frame: &'a [&'static str],
    /// All others.
    inputs: Vec<(&'a str, Input)>,
    stage: Stage,
}

/// An input that a second run can have as well.
fn shared(tensor: Tensor) -> Result<Input> {
    Ok(SharedTensor::new(tensor)?.into())
}

/// Objects that are decoded together: as many as there are rows of features and of tokens.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) cells: Cells,
    pub(crate) tokens: Tokens,
    pub(crate) choice: Choice,
}

/// A map of levels, by rows, of this width and height, stretched to a square: shares of 0..1, antialiased.
fn shrunk(levels: &[u8], [width, height]: [usize; 2], side: usize) -> Result<Vec<f32>> {
    const PLAIN: Normalise = Normalise { mean: [0.0; 3], std: [1.0; 3] };
    let grey = levels.iter().flat_map(|level| [*level; 3]).collect();
    let mut planes = fit(&RgbImage::new(width, height, grey)?, side, &Preprocess::Stretch(PLAIN))?;
    planes.truncate(side * side);
    Ok(planes)
}
