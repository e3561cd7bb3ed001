//! The models that can be pulled by name: one static table.
//!
//! Sizes are estimates from published parameter counts (four bytes each; YOLOv8's checkpoints hold two): the exact size is the
//! hub's to say. Repositories, licences and gates are those of the model cards.

/// A model with a name, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// Name, as in `maskline pull NAME`.
    pub name: &'static str,
    /// Family of the model.
    pub family: &'static str,
    /// Published architecture; several checkpoints may share one.
    pub architecture: &'static str,
    /// `owner/name` on the hub.
    pub repository: &'static str,
    /// Branch, tag or commit. A commit is all that is ever taken; of a branch or tag, the first pull says which commit it stands for.
    pub revision: &'static str,
    /// Files of the repository that are needed; the checkpoint is the first.
    pub files: &'static [&'static str],
    /// About how many bytes all files have together.
    pub bytes: u64,
    /// Licence of the weights.
    pub licence: &'static str,
    /// Whether the hub wants the licence accepted, and a token.
    pub gated: bool,
}

/// Whether a revision is a commit, which always stands for the same files.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Entry {
    /// The commit, if the registry names one.
    pub fn pinned(&self) -> Option<&'static str> {
        Some(self.revision).filter(|revision| is_commit(revision))
    }

    /// The name that a file of the repository has on disk: the checkpoint is called as the model is, so that answers name it.
    pub(crate) fn local_name(&self, file: &str) -> String {
        match file.rsplit_once('.') {
            Some((_, extension)) if self.files.first() == Some(&file) => format!("{}.{extension}", self.name),
            _ => file.to_string(),
        }
    }
}

/// All models that can be pulled.
pub fn registry() -> &'static [Entry] {
    REGISTRY
}

/// The entry of a name.
pub fn find(name: &str) -> Option<&'static Entry> {
    REGISTRY.iter().find(|entry| entry.name == name)
}

const TRANSFORMERS: &[&str] = &["model.safetensors", "config.json"];
/// With the vocabulary of the text encoder, and how text is cleaned before it is cut. The same in one file, `tokenizer.json`, some of the repositories lack.
const TOKENIZER: &[&str] =
    &["model.safetensors", "config.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"];

const BASE: Entry = Entry {
    name: "",
    family: "",
    architecture: "",
    repository: "",
    revision: "main",
    files: TRANSFORMERS,
    bytes: 0,
    licence: "Apache-2.0",
    gated: false,
};
const SAM2: Entry = Entry { family: "sam2", ..BASE };
const SAM: Entry = Entry { family: "sam1", ..BASE };
const EFFICIENTVIT: Entry = Entry { family: "efficientvit_sam", repository: "mit-han-lab/efficientvit-sam", ..BASE };
const OWLVIT: Entry = Entry { family: "owlvit", files: TOKENIZER, ..BASE };
const OWLV2: Entry = Entry { family: "owlv2", files: TOKENIZER, ..BASE };
const YOLOV8: Entry = Entry { family: "yolov8", repository: "Ultralytics/YOLOv8", licence: "AGPL-3.0", ..BASE };

#[rustfmt::skip]
const REGISTRY: &[Entry] = &[
    Entry { name: "sam2.1-tiny", architecture: "sam2.1-tiny", repository: "facebook/sam2.1-hiera-tiny", bytes: 156_000_000, ..SAM2 },
    Entry { name: "sam2.1-small", architecture: "sam2.1-small", repository: "facebook/sam2.1-hiera-small", bytes: 184_000_000, ..SAM2 },
    Entry { name: "sam2.1-base-plus", architecture: "sam2.1-base-plus", repository: "facebook/sam2.1-hiera-base-plus", bytes: 323_000_000, ..SAM2 },
    Entry { name: "sam2.1-large", architecture: "sam2.1-large", repository: "facebook/sam2.1-hiera-large", bytes: 898_000_000, ..SAM2 },
    Entry {
        name: "mobile-sam", family: "mobile_sam", architecture: "mobile-sam", repository: "dhkim2810/MobileSAM",
        files: &["mobile_sam.pt"], bytes: 40_000_000, ..BASE
    },
    Entry { name: "sam-vit-base", architecture: "sam-vit-base", repository: "facebook/sam-vit-base", bytes: 375_000_000, ..SAM },
    Entry { name: "sam-vit-large", architecture: "sam-vit-large", repository: "facebook/sam-vit-large", bytes: 1_250_000_000, ..SAM },
    Entry { name: "sam-vit-huge", architecture: "sam-vit-huge", repository: "facebook/sam-vit-huge", bytes: 2_560_000_000, ..SAM },
    Entry { name: "efficientvit-sam-l0", architecture: "efficientvit-sam-l0", files: &["efficientvit_sam_l0.pt"], bytes: 139_000_000, ..EFFICIENTVIT },
    Entry { name: "efficientvit-sam-l1", architecture: "efficientvit-sam-l1", files: &["efficientvit_sam_l1.pt"], bytes: 191_000_000, ..EFFICIENTVIT },
    Entry { name: "efficientvit-sam-l2", architecture: "efficientvit-sam-l2", files: &["efficientvit_sam_l2.pt"], bytes: 245_000_000, ..EFFICIENTVIT },
    Entry { name: "efficientvit-sam-xl0", architecture: "efficientvit-sam-xl0", files: &["efficientvit_sam_xl0.pt"], bytes: 468_000_000, ..EFFICIENTVIT },
    Entry { name: "efficientvit-sam-xl1", architecture: "efficientvit-sam-xl1", files: &["efficientvit_sam_xl1.pt"], bytes: 812_000_000, ..EFFICIENTVIT },
    Entry { name: "yolov8n", architecture: "yolov8n", files: &["yolov8n.pt"], bytes: 6_500_000, ..YOLOV8 },
    Entry { name: "yolov8s", architecture: "yolov8s", files: &["yolov8s.pt"], bytes: 22_500_000, ..YOLOV8 },
    Entry { name: "yolov8m", architecture: "yolov8m", files: &["yolov8m.pt"], bytes: 52_000_000, ..YOLOV8 },
    Entry { name: "yolov8l", architecture: "yolov8l", files: &["yolov8l.pt"], bytes: 87_500_000, ..YOLOV8 },
    Entry { name: "yolov8x", architecture: "yolov8x", files: &["yolov8x.pt"], bytes: 136_500_000, ..YOLOV8 },
    Entry { name: "yolov8n-seg", architecture: "yolov8n-seg", files: &["yolov8n-seg.pt"], bytes: 6_800_000, ..YOLOV8 },
    Entry { name: "yolov8s-seg", architecture: "yolov8s-seg", files: &["yolov8s-seg.pt"], bytes: 23_600_000, ..YOLOV8 },
    Entry { name: "yolov8m-seg", architecture: "yolov8m-seg", files: &["yolov8m-seg.pt"], bytes: 54_600_000, ..YOLOV8 },
    Entry { name: "yolov8l-seg", architecture: "yolov8l-seg", files: &["yolov8l-seg.pt"], bytes: 92_000_000, ..YOLOV8 },
    Entry { name: "yolov8x-seg", architecture: "yolov8x-seg", files: &["yolov8x-seg.pt"], bytes: 143_600_000, ..YOLOV8 },
    Entry { name: "yolov8n-pose", architecture: "yolov8n-pose", files: &["yolov8n-pose.pt"], bytes: 6_600_000, ..YOLOV8 },
    Entry { name: "yolov8s-pose", architecture: "yolov8s-pose", files: &["yolov8s-pose.pt"], bytes: 23_200_000, ..YOLOV8 },
    Entry { name: "yolov8m-pose", architecture: "yolov8m-pose", files: &["yolov8m-pose.pt"], bytes: 52_800_000, ..YOLOV8 },
    Entry { name: "yolov8l-pose", architecture: "yolov8l-pose", files: &["yolov8l-pose.pt"], bytes: 88_800_000, ..YOLOV8 },
    Entry { name: "yolov8x-pose", architecture: "yolov8x-pose", files: &["yolov8x-pose.pt"], bytes: 138_800_000, ..YOLOV8 },
    Entry { name: "yolov8n-cls", architecture: "yolov8n-cls", files: &["yolov8n-cls.pt"], bytes: 5_400_000, ..YOLOV8 },
    Entry { name: "yolov8s-cls", architecture: "yolov8s-cls", files: &["yolov8s-cls.pt"], bytes: 12_800_000, ..YOLOV8 },
    Entry { name: "yolov8m-cls", architecture: "yolov8m-cls", files: &["yolov8m-cls.pt"], bytes: 34_000_000, ..YOLOV8 },
    Entry { name: "yolov8l-cls", architecture: "yolov8l-cls", files: &["yolov8l-cls.pt"], bytes: 75_000_000, ..YOLOV8 },
    Entry { name: "yolov8x-cls", architecture: "yolov8x-cls", files: &["yolov8x-cls.pt"], bytes: 114_800_000, ..YOLOV8 },
    Entry { name: "owlvit-base-patch32", architecture: "owlvit-base-patch32", repository: "google/owlvit-base-patch32", bytes: 613_000_000, ..OWLVIT },
    Entry { name: "owlvit-base-patch16", architecture: "owlvit-base-patch16", repository: "google/owlvit-base-patch16", bytes: 613_000_000, ..OWLVIT },
    Entry { name: "owlvit-large-patch14", architecture: "owlvit-large-patch14", repository: "google/owlvit-large-patch14", bytes: 1_740_000_000, ..OWLVIT },
    Entry { name: "owlv2-base", architecture: "owlv2-base", repository: "google/owlv2-base-patch16-ensemble", bytes: 620_000_000, ..OWLV2 },
    Entry { name: "owlv2-base-plain", architecture: "owlv2-base", repository: "google/owlv2-base-patch16", bytes: 620_000_000, ..OWLV2 },
    Entry { name: "owlv2-base-finetuned", architecture: "owlv2-base", repository: "google/owlv2-base-patch16-finetuned", bytes: 620_000_000, ..OWLV2 },
    Entry { name: "owlv2-large", architecture: "owlv2-large", repository: "google/owlv2-large-patch14-ensemble", bytes: 1_750_000_000, ..OWLV2 },
    Entry { name: "owlv2-large-plain", architecture: "owlv2-large", repository: "google/owlv2-large-patch14", bytes: 1_750_000_000, ..OWLV2 },
    Entry { name: "owlv2-large-finetuned", architecture: "owlv2-large", repository: "google/owlv2-large-patch14-finetuned", bytes: 1_750_000_000, ..OWLV2 },
    Entry {
        name: "sam3", family: "sam3", architecture: "sam3", repository: "facebook/sam3",
        files: TOKENIZER, bytes: 3_440_000_000, licence: "SAM License", gated: true, ..BASE
    },
    Entry {
        name: "sam3.1", family: "sam3", architecture: "sam3", repository: "facebook/sam3.1",
        files: &["sam3.1_multiplex.pt"], bytes: 3_500_000_000, licence: "SAM License", gated: true, ..BASE
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_safe_as_folders() {
        for (index, entry) in REGISTRY.iter().enumerate() {
            let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            assert!(!entry.name.starts_with('.') && entry.name.chars().all(safe), "{}", entry.name);
            assert!(REGISTRY[..index].iter().all(|other| other.name != entry.name), "{} is twice there", entry.name);
            assert!(entry.files.iter().all(|file| !file.is_empty() && file.chars().all(safe)), "{:?}", entry.files);
            assert!(entry.repository.split('/').count() == 2 && !entry.family.is_empty() && entry.bytes > 0, "{entry:?}");
        }
    }

    #[test]
    fn the_checkpoint_is_called_as_the_model_is() {
        let entry = find("sam2.1-tiny").expect("entry");
        assert_eq!(entry.local_name("model.safetensors"), "sam2.1-tiny.safetensors");
        assert_eq!(entry.local_name("config.json"), "config.json");
    }

    #[test]
    fn every_entry_is_of_an_architecture_that_can_be_built() {
        for Entry { name, family, architecture, .. } in REGISTRY {
            let known = maskline::families().iter().map(|known| known.description()).find(|known| known.name == *family);
            assert!(known.is_some_and(|known| known.architectures.contains(architecture)), "{name}: {family}, {architecture}");
        }
    }
}
