//! Phrasings of a word, whose likenesses are averaged.

/// CLIP's seven best phrasings (Radford et al. 2021, `notebooks/Prompt_Engineering_for_ImageNet.ipynb`), which OWL's published figures
/// are measured with: the mean of their logits. `{}` is the word.
pub(super) const TEMPLATES: [&str; 7] = [
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
];

/// A word in all phrasings.
pub(super) fn phrasings(word: &str) -> Vec<String> {
    TEMPLATES.iter().map(|template| template.replace("{}", word)).collect()
}
