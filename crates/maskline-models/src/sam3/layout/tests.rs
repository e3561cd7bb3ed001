//! One model in every layout. What official files hold is listed by hand in `official_names.txt`, apart from the tables.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use maskline_weights::{Checkpoint, ErrorKind};
use tempfile::TempDir;

use super::{KNOWN_EXTRAS, Layout, has_click_head_of_3_1, make_canonical};
use crate::family::refuse_left_over;

/// A line of the list.
struct Line {
    times: usize,
    form: &'static str,
    official: &'static str,
    here: &'static str,
}

fn list() -> impl Iterator<Item = Line> {
    lines(include_str!("official_names.txt"))
}

fn lines(list: &'static str) -> impl Iterator<Item = Line> {
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [times, form, official, here] => Line { times: times.parse().unwrap(), form, official, here },
        _ => panic!("{line}"),
    })
}

#[derive(Clone)]
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Tensor {
    fn new(shape: &[usize], values: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), values }
    }

    fn zeros(shape: &[usize]) -> Self {
        Self::new(shape, vec![0.0; shape.iter().product()])
    }
}

type Tensors = BTreeMap<String, Tensor>;

/// The same model in both namings.
#[derive(Default)]
struct Both {
    official: Tensors,
    here: Tensors,
    values: f32,
}

impl Both {
    /// Two blocks of each kind; no two values are equal.
    fn of(lines: impl Iterator<Item = Line>) -> Self {
        let mut both = Self::default();
        for line in lines {
            (0..if line.form == "rows" { 1 } else { line.times.min(2) }).for_each(|index| both.add(&line, index));
        }
        both
    }

    fn fresh(&mut self, shape: &[usize]) -> Tensor {
        let values: Vec<f32> = (0..shape.iter().product()).map(|index: usize| self.values + index as f32).collect();
        self.values += values.len() as f32;
        Tensor::new(shape, values)
    }

    fn add(&mut self, line: &Line, index: usize) {
        let numbered = |name: &str| name.replace('#', &index.to_string());
        let (official, here) = (numbered(line.official), numbered(line.here));
        let layer = [("weight", &[2, 3][..]), ("bias", &[2][..])];
        match line.form {
            "w" | "t" => {
                let tensor = self.fresh(layer[0].1);
                self.official.insert(if line.form == "w" { format!("{official}.weight") } else { official }, tensor.clone());
                self.here.insert(if line.form == "w" { format!("{here}.weight") } else { here }, tensor);
            }
            "wb" => self.layer(&official, &here),
            "norm" => {
                for kind in ["weight", "bias", "running_mean", "running_var"] {
                    let tensor = self.fresh(&[2]);
                    self.official.insert(format!("{official}.{kind}"), tensor.clone());
                    self.here.insert(format!("{here}.{kind}"), tensor);
                }
            }
            "qkvo" => {
                let projections = [("q_proj", "q_proj"), ("k_proj", "k_proj"), ("v_proj", "v_proj"), ("out_proj", "o_proj")];
                projections.iter().for_each(|(file, name)| self.layer(&format!("{official}.{file}"), &format!("{here}.{name}")));
            }
            "class" => {
                let tensor = self.fresh(&[1, 5, 3]);
                self.here.insert(here, Tensor::new(&[1, 4, 3], tensor.values[3..].to_vec()));
                self.official.insert(official, tensor);
            }
            "T" => {
                let tensor = self.fresh(&[3, 2]);
                let transposed = (0..6).map(|at| tensor.values[at % 3 * 2 + at / 3]).collect();
                self.official.insert(official, tensor);
                self.here.insert(here, Tensor::new(&[2, 3], transposed));
            }
            "rows" => {
                let rows: Vec<Tensor> = (0..line.times).map(|_| self.fresh(&[1, 3])).collect();
                let all = rows.iter().flat_map(|row| row.values.clone()).collect();
                self.here.insert(format!("{here}.weight"), Tensor::new(&[line.times, 3], all));
                let named = |row: usize| format!("{}.weight", line.official.replace('#', &row.to_string()));
                self.official.extend(rows.into_iter().enumerate().map(|(row, tensor)| (named(row), tensor)));
            }
            fused => {
                for (kind, shape) in layer {
                    let parts = ["q_proj", "k_proj", "v_proj"].map(|part| (format!("{here}.{part}.{kind}"), self.fresh(shape)));
                    let all: Vec<f32> = parts.iter().flat_map(|(_, tensor)| tensor.values.clone()).collect();
                    let whole = [&[6], &shape[1..]].concat();
                    let file = if fused == "qkv" { format!("{official}.{kind}") } else { format!("{official}.in_proj_{kind}") };
                    self.official.insert(file, Tensor::new(&whole, all));
                    self.here.extend(parts);
                }
                if let Some(out) = fused.strip_prefix("mha:") {
                    self.layer(&format!("{official}.out_proj"), &format!("{here}.{out}"));
                }
            }
        }
    }

    /// Weight and bias.
    fn layer(&mut self, official: &str, here: &str) {
        for (kind, shape) in [("weight", &[2, 3][..]), ("bias", &[2][..])] {
            let tensor = self.fresh(shape);
            self.official.insert(format!("{official}.{kind}"), tensor.clone());
            self.here.insert(format!("{here}.{kind}"), tensor);
        }
    }
}

/// These tensors as a safetensors file, opened; the mapping outlives the folder.
fn open(tensors: &Tensors) -> Checkpoint {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, Tensor { shape, values }) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        header.insert(name.clone(), serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let header = serde_json::to_string(&header).unwrap();
    let padded = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, [&(padded.len() as u64).to_le_bytes(), padded.as_bytes(), &data].concat()).unwrap();
    Checkpoint::open(&path).unwrap_or_else(|error| panic!("{error}"))
}

fn renamed(tensors: &Tensors, by: impl Fn(&str) -> Option<String>) -> Tensors {
    tensors.iter().filter_map(|(name, tensor)| Some((by(name)?, tensor.clone()))).collect()
}

/// Opened and renamed, a file of this layout must hold exactly these tensors.
#[track_caller]
fn check(file: &Tensors, layout: Layout, expected: &Tensors) {
    let mut checkpoint = open(file);
    assert_eq!(make_canonical(&mut checkpoint).unwrap(), Some(layout));
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, Tensor { shape, values }) in expected {
        assert_eq!(checkpoint.root().f32(name, shape).unwrap().data[..], values[..], "{name}");
    }
    assert!(checkpoint.unused().is_empty());
    assert_eq!(make_canonical(&mut checkpoint).unwrap(), Some(Layout::HuggingFace), "what has the names is known by them");
    assert_eq!(checkpoint.names().count(), expected.len());
}

fn as_sam_3(name: &str) -> String {
    let name = name.replace("tracker.model.interactive_", "tracker.").replace("tracker.model.interactivity_", "tracker.");
    name.replace("interactive_convs", "sam2_convs")
}

#[test]
fn official_files_hold_hugging_faces_tensors() {
    let both = Both::of(list());
    check(&both.official, Layout::Official, &both.here);
    check(&renamed(&both.official, |name| Some(as_sam_3(name))), Layout::Official, &both.here);
    let alone = |name: &str| as_sam_3(name).replace("tracker.", "inst_interactive_predictor.model.").replace("detector.", "");
    check(&renamed(&both.official, |name| Some(alone(name))), Layout::Official, &both.here);
}

#[test]
fn the_small_text_encoder_takes_the_place_of_clips() {
    let others = list().filter(|line| !line.official.contains("language_backbone"));
    let both = Both::of(others.chain(lines(include_str!("lite_names.txt"))));
    let is_there = |name: &str| both.here.contains_key(&format!("detector_model.text_encoder.{name}"));
    assert!(is_there("layers.1.self_attn.v_proj.bias") && is_there("layers.0.token_mixer.mixer.batchnorm_skip.running_var"));
    check(&both.official, Layout::Official, &both.here);
}

#[test]
fn the_click_head_of_sam_3_1_is_known_by_its_name_in_the_file() {
    let both = Both::of(list());
    let sam_3 = renamed(&both.official, |name| Some(as_sam_3(name)));
    for (tensors, expected) in [(&both.official, true), (&sam_3, false), (&both.here, false)] {
        let mut checkpoint = open(tensors);
        assert_eq!(has_click_head_of_3_1(&checkpoint), expected);
        make_canonical(&mut checkpoint).unwrap();
        assert_eq!(has_click_head_of_3_1(&checkpoint), expected);
    }
}

#[test]
fn hugging_faces_single_models_are_parts_of_its_one_file() {
    let all = Both::of(list()).here;
    check(&all, Layout::HuggingFace, &all);
    let detector = renamed(&all, |name| name.starts_with("detector_model.").then(|| name.to_owned()));
    check(&renamed(&detector, |name| name.strip_prefix("detector_model.").map(str::to_owned)), Layout::Detector, &detector);

    let tracker = renamed(&all, |name| {
        let has = !name.starts_with("detector_model.") || name.starts_with("detector_model.vision_encoder.backbone.");
        has.then(|| name.to_owned())
    });
    let alone = renamed(&tracker, |name| {
        let name = name.replace("tracker_neck.", "vision_encoder.neck.").replace("detector_model.", "");
        Some(name.strip_prefix("tracker_model.").unwrap_or(&name).to_owned())
    });
    check(&alone, Layout::Tracker, &tracker);
    // As `save_pretrained` writes it: one prefix for all, whether they have it or not.
    let saved = renamed(&tracker, |name| Some(format!("tracker_model.{}", name.strip_prefix("tracker_model.").unwrap_or(name))));
    check(&saved, Layout::HuggingFace, &tracker);
    check(&renamed(&all, |name| Some(name.replace("tracker_model.", "tracker_model.tracker_model."))), Layout::HuggingFace, &all);
}

#[test]
fn fused_layers_are_parts_of_the_map_and_tell_their_name_in_the_file() {
    let both = Both::of(list());
    let mut checkpoint = open(&both.official);
    make_canonical(&mut checkpoint).unwrap();
    let vit = checkpoint.root().push("detector_model.vision_encoder.backbone.layers.1");
    for projection in ["q_proj", "k_proj", "v_proj"] {
        let tensor = vit.push("attention").push(projection).f32("weight", &[2, 3]).unwrap();
        assert!(tensor.span.is_some() && matches!(tensor.data, Cow::Borrowed(_)), "{projection} was copied");
    }
    let error = vit.push("attention").push("q_proj").f32("weight", &[4, 3]).unwrap_err();
    let file = "detector.backbone.vision_backbone.trunk.blocks.1.attn.qkv.weight";
    assert!(error.kind() == ErrorKind::Shape && error.message().contains(file), "{error}");
}

#[test]
fn heads_of_other_depths_end_in_their_last_layer() {
    let mut both = Both::of(list());
    let (file, here) = ("tracker.model.interactive_sam_mask_decoder.pred_obj_score_head", "tracker_model.mask_decoder.pred_obj_score_head");
    both.official.retain(|name, _| !name.starts_with(file));
    both.here.retain(|name, _| !name.starts_with(here));
    for (index, name) in ["proj_in", "layers.0", "layers.1", "layers.2", "proj_out"].into_iter().enumerate() {
        both.layer(&format!("{file}.layers.{index}"), &format!("{here}.{name}"));
    }
    check(&both.official, Layout::Official, &both.here);
}

#[test]
fn what_is_missing_or_contradicts_is_an_error() {
    let both = Both::of(list());
    let changed = |change: &dyn Fn(&mut Tensors)| {
        let mut official = both.official.clone();
        change(&mut official);
        let mut checkpoint = open(&official);
        let renamed = make_canonical(&mut checkpoint).map(drop).map_err(|error| error.to_string());
        (checkpoint, renamed)
    };
    let qkv = "detector.backbone.vision_backbone.trunk.blocks.0.attn.qkv.weight";
    let (checkpoint, renamed) = changed(&|official| drop(official.remove(qkv)));
    let attention = checkpoint.root().push("detector_model.vision_encoder.backbone.layers.0.attention");
    assert!(renamed.is_ok());
    assert_eq!(attention.f32("q_proj.weight", &[2, 3]).unwrap_err().kind(), ErrorKind::Missing);

    let (_, renamed) = changed(&|official| official.get_mut(qkv).unwrap().shape = vec![2, 9]);
    assert!(renamed.is_err_and(|error| error.contains(qkv) && error.contains("3 equal parts")));

    let row = "tracker.model.interactive_sam_prompt_encoder.point_embeddings.1.weight";
    let (_, renamed) = changed(&|official| drop(official.remove(row)));
    assert!(renamed.is_err_and(|error| error.contains("point_embed.weight: part 1")));

    let twice = "detector_model.vision_encoder.backbone.layers.0.attention.q_proj.weight";
    let (_, renamed) = changed(&|official| drop(official.insert(twice.into(), Tensor::zeros(&[2, 3]))));
    assert!(renamed.is_err_and(|error| error.contains(twice) && error.contains(qkv)));
}

/// Tensors of both official files that pictures do not need, by the attributes of `Sam3TrackerBase` and `VideoTrackingMultiplex`.
const VIDEO: [&str; 22] = [
    "tracker.mask_downsample.weight",
    "tracker.transformer.encoder.layers.0.self_attn.q_proj.weight",
    "tracker.maskmem_backbone.pix_feat_proj.weight",
    "tracker.maskmem_tpos_enc",
    "tracker.no_mem_pos_enc",
    "tracker.no_obj_ptr",
    "tracker.no_obj_embed_spatial",
    "tracker.obj_ptr_proj.layers.0.weight",
    "tracker.obj_ptr_tpos_proj.weight",
    "tracker.model.interactive_mask_downsample.weight",
    "tracker.model.interactive_obj_ptr_proj.layers.0.weight",
    "tracker.model.sam_mask_decoder.iou_token.weight",
    "tracker.model.image_pe_layer.positional_encoding_gaussian_matrix",
    "tracker.model.transformer.encoder.layers.0.linear1.weight",
    "tracker.model.maskmem_backbone.mask_downsampler.encoder.0.weight",
    "tracker.model.maskmem_tpos_enc",
    "tracker.model.no_obj_ptr_linear.weight",
    "tracker.model.no_obj_embed_spatial",
    "tracker.model.output_valid_embed",
    "detector.backbone.vision_backbone.propagation_convs.0.conv_1x1.weight",
    "detector.backbone.vision_backbone.convs.3.conv_1x1.weight",
    "detector.backbone.vision_backbone.trunk.blocks.0.attn.freqs_cis",
];

#[test]
fn only_what_is_known_to_be_unneeded_may_be_left_over() {
    let both = Both::of(list());
    let left_over = |more: &str| {
        let mut official = both.official.clone();
        let names = VIDEO.iter().copied().chain([more]).filter(|name| !name.is_empty());
        official.extend(names.map(|name| (name.to_owned(), Tensor::zeros(&[2]))));
        let mut checkpoint = open(&official);
        make_canonical(&mut checkpoint).unwrap();
        for (name, tensor) in &both.here {
            checkpoint.root().f32(name, &tensor.shape).unwrap();
        }
        refuse_left_over(&checkpoint, "SAM 3", KNOWN_EXTRAS)
    };
    assert!(left_over("").is_ok());
    for unknown in ["detector.criterion.weight", "tracker.model.interactive_other.weight", "tracker.sam_mask_decoder.other.weight"] {
        let error = left_over(unknown).unwrap_err();
        assert!(error.to_string().contains("1 tensors have no place") && error.to_string().contains(unknown), "{error}");
    }
    let error = left_over("detector.transformer.decoder.norm.other").unwrap_err().to_string();
    assert!(
        error.contains("`detector.transformer.decoder.norm.other` (here `detector_model.detr_decoder.output_layer_norm.other`)"),
        "{error}"
    );
}

#[test]
fn the_list_is_as_long_as_the_published_file() {
    let tensors = |form: &str| match form {
        "wb" | "qkv" => 2,
        "qkvo" => 8,
        attention if attention.starts_with("mha:") => 4,
        _ => 1,
    };
    let count =
        |start: &str| list().filter(|line| line.official.starts_with(start)).map(|line| line.times * tensors(line.form)).sum::<usize>();
    // Of the 1166 tensors of its detector, 32 are rotations and 18 the third pyramid.
    assert_eq!(count("detector."), 1166 - 32 - 18);
    assert_eq!(count("tracker.model.interactive_sam_mask_decoder."), 131);
    assert_eq!(count("tracker.model.interactive_sam_prompt_encoder."), 17);
}

/// The names on the right of the list are those that transformers writes.
#[test]
fn the_list_holds_hugging_faces_names() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens/sam3_video/tiny112/model.safetensors");
    if !golden.is_file() {
        return maskline_testing::skip(format_args!("{} is missing", golden.display()));
    }
    let mut checkpoint = Checkpoint::open(&golden).unwrap();
    assert_eq!(make_canonical(&mut checkpoint).unwrap(), Some(Layout::HuggingFace));
    let listed = Both::of(list()).here;
    let is_extra = |name: &str| KNOWN_EXTRAS.iter().any(|part| name.contains(part));
    // Of numbered blocks, the list was expanded to two.
    let needed = |name: &str| !is_extra(name) && !name.split('.').any(|part| part.parse().is_ok_and(|number: usize| number > 1));
    let unlisted: Vec<&str> = checkpoint.names().filter(|name| needed(name) && !listed.contains_key(*name)).collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
    let first = |name: &&String| needed(name) && !name.contains(".1.");
    let unknown: Vec<&String> = listed.keys().filter(first).filter(|name| checkpoint.info(name).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
