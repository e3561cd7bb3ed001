//! Sharing the picture's side among prompts and absorbing projections change nothing: an answer depends neither on its neighbours,
//! nor on the chunk, nor on the form in which the attention is computed.
#![allow(clippy::unwrap_used)]

mod asking;

use std::path::Path;

use asking::parts::{Parts, Tokens};
use asking::{MASK_SIDE, Place, Random, SIDE, SIZE, picture, shared};
use maskline::vision::mask::{Frame, Logits, upsample};
use maskline::{
    BundleOptions, Dialect, Embedding, Kernels, LoadOptions, MaskDecoder, MaskPrompt, Model, Multimask, Prompt, PromptMask, SegmentOptions,
};

/// Difference of logits over the largest logit of the mask. All forms are the same sums in another order: a sum of K products of f32
/// has a rounding error of about √K · 2⁻²⁴ of its terms (K ≤ 2048 here: 3e-6), and some twenty such sums and normalisations follow
/// each other, whose errors add up.
const LOGITS: f32 = 1e-4;
/// Difference of scores, which are sigmoids: of slope 1/4 at most, after sums of 256 products.
const SCORES: f32 = 1e-5;

/// The largest differences that were seen: of logits over their largest one, and of scores.
#[derive(Debug, Default)]
struct Seen {
    logits: f32,
    scores: f32,
    masks: usize,
}

impl Seen {
    /// Asserts that two answers are the same but for rounding.
    fn compare(&mut self, what: &str, [a, b]: [&PromptMask; 2]) {
        assert_eq!(a.candidate, b.candidate, "{what}: another of the masks was chosen");
        let pairs = || a.logits.data().iter().zip(b.logits.data());
        let largest = pairs().fold(0.0_f32, |largest, (a, b)| largest.max(a.abs()).max(b.abs()));
        let difference = pairs().fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(difference <= LOGITS * largest, "{what}: logits differ by {difference} of {largest}");
        assert!((a.score - b.score).abs() <= SCORES, "{what}: scores {} and {}", a.score, b.score);
        let presence = |mask: &PromptMask| mask.presence.unwrap();
        assert!((presence(a) - presence(b)).abs() <= LOGITS * presence(a).abs().max(1.0), "{what}: {:?} {:?}", a.presence, b.presence);
        self.logits = self.logits.max(difference / largest.max(f32::MIN_POSITIVE));
        self.scores = self.scores.max((a.score - b.score).abs());
        self.masks += 1;

        let (first, second) = (a.mask().unwrap(), b.mask().unwrap());
        if first != second {
            let logits = upsample(&a.logits, &Frame::Whole, [SIZE.1, SIZE.0]).unwrap();
            for (place, (bit, other)) in first.to_rows(1).iter().zip(second.to_rows(1)).enumerate() {
                let is_border = logits[place].abs() <= LOGITS * largest;
                assert!(*bit == other || is_border, "{what}: pixel {place} of logit {} differs", logits[place]);
            }
        }
    }

    fn compare_all(&mut self, what: &str, [a, b]: [&[PromptMask]; 2]) {
        assert!(a.len() == b.len() && !a.is_empty(), "{what}: {} and {} masks", a.len(), b.len());
        a.iter().zip(b).enumerate().for_each(|(i, (a, b))| self.compare(&format!("{what}, mask {i}"), [a, b]));
    }
}

fn ask(embedding: &Embedding, prompts: &[Prompt], (multimask, chunk): (Multimask, usize)) -> Vec<Vec<PromptMask>> {
    let options = SegmentOptions { multimask, chunk: Some(chunk), ..SegmentOptions::default() };
    embedding.segment(prompts, &options).unwrap().answers.into_iter().map(Result::unwrap).collect()
}

const MULTIMASKS: [Multimask; 3] = [Multimask::On, Multimask::Off, Multimask::Auto];

/// Random prompts in random chunks, and each of them alone.
fn neighbours_change_nothing(model: &Model, (mask_side, cases): (usize, usize)) -> Seen {
    let mut random = Random(17);
    let mut seen = Seen::default();
    for case in 0..cases {
        let embedding = model.embed(&picture(case as u64, SIZE)).unwrap();
        // The first ones are the ends of the range.
        let count = [1, 64].get(case).copied().unwrap_or_else(|| 1 + random.below(64));
        let chunk = [64, 64, 1].get(case).copied().unwrap_or_else(|| 1 + random.below(64));
        let prompts: Vec<Prompt> = (0..count).map(|_| random.prompt(SIZE, mask_side)).collect();
        let multimask = MULTIMASKS[case % 3];
        let together = ask(&embedding, &prompts, (multimask, chunk));
        for (index, prompt) in prompts.iter().enumerate() {
            let alone = ask(&embedding, std::slice::from_ref(prompt), (multimask, 1));
            assert_eq!(together[index][0].prompt, index);
            seen.compare_all(&format!("case {case}, prompt {index} of {count} by {chunk}"), [&together[index], &alone[0]]);
        }
    }
    eprintln!("{}: {seen:?}", model.name());
    seen
}

#[test]
fn neighbours_and_chunks_change_nothing() {
    let place = Place::new();
    let model = place.synthetic(LoadOptions::default());
    let seen = neighbours_change_nothing(&model, (MASK_SIDE, 7));
    assert!(seen.masks > 200, "only {} masks were compared", seen.masks);
}

#[test]
fn neighbours_and_chunks_change_nothing_for_a_checkpoint() {
    let Some(checkpoint) = shared("goldens/sam2_image/tiny128") else { return };
    let place = Place::new();
    let model = place.engine.load(&checkpoint, &LoadOptions::default()).unwrap();
    let seen = neighbours_change_nothing(&model, (32, 15));
    assert!(seen.masks > 500, "only {} masks were compared", seen.masks);
}

/// Random prompts to two models that must be the same.
fn are_equal([one, other]: [&Model; 2], mask_side: usize) -> Seen {
    let mut random = Random(5);
    let mut seen = Seen::default();
    for (case, multimask) in MULTIMASKS.into_iter().enumerate() {
        let image = picture(case as u64, SIZE);
        let prompts: Vec<Prompt> = (0..32).map(|_| random.prompt(SIZE, mask_side)).collect();
        let [a, b] = [one, other].map(|model| ask(&model.embed(&image).unwrap(), &prompts, (multimask, 8)));
        for (index, (a, b)) in a.iter().zip(&b).enumerate() {
            seen.compare_all(&format!("{multimask:?}, prompt {index}"), [a, b]);
        }
    }
    eprintln!("{}: {seen:?}", one.name());
    seen
}

fn portable() -> LoadOptions {
    LoadOptions { bundle: BundleOptions { dialect: Dialect::Portable, ..BundleOptions::default() }, ..LoadOptions::default() }
}

/// Boxes, or so many clicks, as tokens of the square.
fn tokens(random: &mut Random, (points, with_mask): (usize, bool)) -> Tokens {
    let count = 24 * points;
    let coords = (0..2 * count).map(|_| random.up_to(SIDE as f32)).collect();
    let kinds = (0..count).map(|_| random.below(5) as i64).collect();
    let masks = with_mask.then(|| (0..24 * MASK_SIDE * MASK_SIDE).map(|_| random.up_to(20.0) - 10.0).collect());
    Tokens { points, coords, kinds, masks }
}

/// Largest difference over the largest value.
fn difference([a, b]: [&[f32]; 2]) -> f32 {
    assert!(a.len() == b.len() && a.iter().chain(b).all(|value| value.is_finite()));
    let largest = a.iter().chain(b).fold(0.0_f32, |largest, value| largest.max(value.abs()));
    a.iter().zip(b).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs())) / largest
}

#[test]
fn portable_decoders_give_the_same_answers() {
    // The same embedding for both: generated weights make the trunk's attention so steep that rounding grows a hundredfold in it. And the same
    // whatever the encoder's own kernels do.
    let place = Place::new();
    let graph = BundleOptions { decoder: Some(MaskDecoder::Graph), kernels: Kernels::Ort, ..BundleOptions::default() };
    let ort = LoadOptions { bundle: graph, ..LoadOptions::default() };
    let [ort, portable] = [ort, portable()].map(|options| Parts::of(&place.synthetic(options)));
    let embedding = ort.encode(&picture(9, SIZE));
    let mut random = Random(31);
    for (points, with_mask) in [(1, false), (2, false), (3, false), (9, false), (1, true), (3, true), (6, true)] {
        let tokens = tokens(&mut random, (points, with_mask));
        let (a, b) = (ort.decode(&embedding, &tokens), portable.decode(&embedding, &tokens));
        let [logits, presence] = [[&a.logits, &b.logits], [&a.presence, &b.presence]].map(|pair| difference(pair.map(Vec::as_slice)));
        let scores = a.scores.iter().zip(&b.scores).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        eprintln!("{points} tokens, mask {with_mask}: logits {logits:e}, presence {presence:e}, scores {scores:e}");
        assert!(logits <= LOGITS && presence <= LOGITS && scores <= SCORES, "{points} {with_mask}: {logits} {presence} {scores}");
    }
}

#[test]
fn portable_graphs_of_a_checkpoint_give_the_same_answers() {
    let Some(checkpoint) = shared("goldens/sam2_image/tiny128") else { return };
    let place = Place::new();
    let load = |options: &LoadOptions| place.engine.load(&checkpoint, options).unwrap();
    are_equal([&load(&LoadOptions::default()), &load(&portable())], 32);
}

/// A copy of a checkpoint whose mask prompts all become what stands for no mask: the last convolution gives nothing but its bias,
/// which is that embedding.
fn without_masks(from: &Path, to: &Path) {
    let mut bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let place = |name: &str| {
        let offset = |i: usize| 8 + length + header[name]["data_offsets"][i].as_u64().unwrap() as usize;
        offset(0)..offset(1)
    };
    let no_mask = bytes[place("prompt_encoder.no_mask_embed.weight")].to_vec();
    bytes[place("prompt_encoder.mask_embed.conv3.weight")].fill(0);
    bytes[place("prompt_encoder.mask_embed.conv3.bias")].copy_from_slice(&no_mask);
    std::fs::write(to.join("model.safetensors"), bytes).unwrap();
    std::fs::copy(from.join("config.json"), to.join("config.json")).unwrap();
}

#[test]
fn a_mask_prompt_that_says_nothing_is_none() {
    // Prompts without a mask share the cells of the picture, those with one have cells of their own: two graphs, one function.
    let Some(checkpoint) = shared("goldens/sam2_image/tiny128") else { return };
    let place = Place::new();
    without_masks(&checkpoint, place.folder.path());
    let model = place.engine.load(place.folder.path(), &LoadOptions::default()).unwrap();
    let embedding = model.embed(&picture(3, SIZE)).unwrap();
    let mut random = Random(23);
    let mut seen = Seen::default();
    let mut plain: Vec<Prompt> = (0..90).map(|_| Prompt { mask: None, ..random.prompt(SIZE, 32) }).collect();
    plain.retain(|prompt| prompt.bounds.is_some() || !prompt.clicks.is_empty());
    let mut masked = |prompt: &Prompt| {
        let logits = (0..32 * 32).map(|_| random.up_to(8.0) - 4.0).collect();
        prompt.clone().with_mask(MaskPrompt::Logits(Logits::new(logits, [32; 2]).unwrap()))
    };
    let with_mask: Vec<Prompt> = plain.iter().map(&mut masked).collect();
    for multimask in [Multimask::On, Multimask::Off] {
        let [a, b] = [&plain, &with_mask].map(|prompts| ask(&embedding, prompts, (multimask, 8)));
        for (index, (a, b)) in a.iter().zip(&b).enumerate() {
            seen.compare_all(&format!("{multimask:?}, prompt {index}"), [a, b]);
        }
    }
    eprintln!("no mask: {seen:?}");
    assert!(seen.masks > 200, "only {} masks were compared", seen.masks);
    // With the weights as they are, a mask says something.
    let model = place.engine.load(&checkpoint, &LoadOptions::default()).unwrap();
    let embedding = model.embed(&picture(3, SIZE)).unwrap();
    let [a, b] = [&plain[0], &with_mask[0]].map(|prompt| ask(&embedding, std::slice::from_ref(prompt), (Multimask::Off, 1)));
    assert_ne!(a[0][0].logits, b[0][0].logits);
}
