//! A finder of words that is small enough to be asked often: OWLv2 of one block each, with a vocabulary of single letters.

use std::fmt::Write as _;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, json};

/// Widths of the picture's tower and of the words', and hidden widths of both.
const PICTURE: usize = 24;
const WORDS: usize = 16;
const HIDDEN: usize = 32;
/// Letters, letters that end a word, start and end.
pub const VOCABULARY: usize = 514;

/// Writes a checkpoint with its configuration and its tokenizer into a folder, which is made.
pub fn write(folder: &Path) {
    write_without_tokenizer(folder, VOCABULARY);
    write_tokenizer(folder);
}

/// The same with an embedding of so many tokens, and no tokenizer beside it.
pub fn write_without_tokenizer(folder: &Path, vocabulary: usize) {
    std::fs::create_dir_all(folder).unwrap();
    let tower = |width: usize, more: serde_json::Value| {
        let mut tower = json!({"hidden_size": width, "intermediate_size": HIDDEN, "num_attention_heads": 2, "num_hidden_layers": 1, "layer_norm_eps": 1e-5});
        tower.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tower
    };
    let config = json!({
        "architectures": ["Owlv2ForObjectDetection"], "model_type": "owlv2", "projection_dim": WORDS,
        "text_config": tower(WORDS, json!({"vocab_size": vocabulary, "max_position_embeddings": 16, "hidden_act": "quick_gelu"})),
        "vision_config": tower(PICTURE, json!({"image_size": 64, "patch_size": 16, "num_channels": 3, "hidden_act": "quick_gelu"})),
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let tensors = tensors(vocabulary);
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape)| {
            let bytes = values(&name, &shape).iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    std::fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Every letter is a token.
fn write_tokenizer(folder: &Path) {
    let mut vocabulary = Map::new();
    for end in ["", "</w>"] {
        for byte in 0..=u8::MAX {
            vocabulary.insert(format!("{}{end}", letter(byte)), json!(vocabulary.len()));
        }
    }
    for special in ["<|startoftext|>", "<|endoftext|>"] {
        vocabulary.insert(special.into(), json!(vocabulary.len()));
    }
    std::fs::write(folder.join("vocab.json"), json!(vocabulary).to_string()).unwrap();
    std::fs::write(folder.join("merges.txt"), "#version: 0.2\n").unwrap();
}

/// The letter that stands for a byte in vocabularies of the CLIP family: itself where it can be seen, else one from 256 on.
fn letter(byte: u8) -> char {
    let is_seen = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let hidden = (0..byte).filter(|other| !is_seen(*other)).count() as u32;
    if is_seen(byte) { byte.into() } else { char::from_u32(256 + hidden).unwrap() }
}

/// Names and shapes.
fn tensors(vocabulary: usize) -> Vec<(String, Vec<usize>)> {
    let mut all: Vec<(String, Vec<usize>)> = Vec::new();
    let mut add = |name: &str, shape: &[usize]| all.push((name.to_owned(), shape.to_vec()));
    for (tower, width) in [("text_model", WORDS), ("vision_model", PICTURE)] {
        let layer = format!("owlv2.{tower}.encoder.layers.0");
        for norm in ["layer_norm1", "layer_norm2"] {
            add(&format!("{layer}.{norm}.weight"), &[width]);
            add(&format!("{layer}.{norm}.bias"), &[width]);
        }
        for (part, from, to) in [("mlp.fc1", width, HIDDEN), ("mlp.fc2", HIDDEN, width)] {
            add(&format!("{layer}.{part}.weight"), &[to, from]);
            add(&format!("{layer}.{part}.bias"), &[to]);
        }
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            add(&format!("{layer}.self_attn.{part}.weight"), &[width, width]);
            add(&format!("{layer}.self_attn.{part}.bias"), &[width]);
        }
    }
    let vision = "owlv2.vision_model";
    let norms = [
        ("owlv2.text_model.final_layer_norm".to_owned(), WORDS),
        (format!("{vision}.pre_layernorm"), PICTURE),
        (format!("{vision}.post_layernorm"), PICTURE),
        ("layer_norm".to_owned(), PICTURE),
    ];
    for (norm, width) in norms {
        add(&format!("{norm}.weight"), &[width]);
        add(&format!("{norm}.bias"), &[width]);
    }
    add("owlv2.text_model.embeddings.token_embedding.weight", &[vocabulary, WORDS]);
    add("owlv2.text_model.embeddings.position_embedding.weight", &[16, WORDS]);
    add("owlv2.text_projection.weight", &[WORDS, WORDS]);
    add(&format!("{vision}.embeddings.class_embedding"), &[PICTURE]);
    add(&format!("{vision}.embeddings.patch_embedding.weight"), &[PICTURE, 3, 16, 16]);
    add(&format!("{vision}.embeddings.position_embedding.weight"), &[17, PICTURE]);
    let heads = [
        ("class_head.dense0", WORDS),
        ("class_head.logit_scale", 1),
        ("class_head.logit_shift", 1),
        ("box_head.dense0", PICTURE),
        ("box_head.dense1", PICTURE),
        ("box_head.dense2", 4),
        ("objectness_head.dense0", PICTURE),
        ("objectness_head.dense1", PICTURE),
        ("objectness_head.dense2", 1),
    ];
    for (head, width) in heads {
        add(&format!("{head}.weight"), &[width, PICTURE]);
        add(&format!("{head}.bias"), &[width]);
    }
    all
}

/// Ones for norms, nothing for biases, else numbers that look random and are always the same (FNV-1a, then xorshift).
fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let count = shape.iter().product();
    if name.contains("norm") || name.ends_with(".bias") {
        return vec![if name.ends_with(".weight") { 1.0 } else { 0.0 }; count];
    }
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 2_f32.powi(23) - 1.0
    };
    (0..count).map(|_| next() * 0.5).collect()
}

/// A list of phrases that are all different.
pub fn phrases(count: usize) -> String {
    let mut list = String::new();
    (0..count).for_each(|index| writeln!(list, "thing {index}").unwrap());
    list
}
