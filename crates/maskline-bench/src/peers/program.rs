//! The programs, and which of them runs what.

use std::fmt;
use std::str::FromStr;

use maskline::ModelInfo;

use super::error::{Error, ErrorKind, Result};
use super::scripts;

/// A program that maskline is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Program {
    /// The model's PyTorch code: transformers for SAM 2.1, SAM 3, OWL-ViT and OWLv2, segment_anything for the other SAMs, ultralytics'
    /// network for YOLOv8.
    PyTorch,
    /// ONNX Runtime's Python package on maskline's portable graphs.
    OnnxRuntimePython,
    /// ultralytics' own `predict`, of a checkpoint in PyTorch, of an ONNX export in ONNX Runtime.
    Ultralytics,
}

/// Something that a user does until the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Installs the packages.
    Install,
    /// Makes graphs of the checkpoint.
    Export,
    /// Writes a script: the program is a library.
    Script {
        /// Lines of ours, without blank ones and comments, and without what it shares with others.
        lines: usize,
    },
    /// Has it answer: this is the last step.
    Run(&'static str),
}

/// Which class of which script runs a model, and the modules that it imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) module: &'static str,
    pub(super) class: &'static str,
    pub(super) needs: &'static [&'static str],
    pub(super) reads: Reads,
}

/// What a script takes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    Checkpoint,
    /// A checkpoint, or the existing export that stands for it.
    CheckpointOrExport,
    Graphs,
}

/// A virtual environment that programs share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packages {
    /// Name of its folder.
    pub(super) name: &'static str,
    /// The pinned list.
    pub(super) requirements: &'static str,
    /// What is said before it is fetched.
    pub(super) size: &'static str,
}

const ONNX_RUNTIME: Packages = Packages {
    name: "onnxruntime",
    requirements: include_str!("../../peers/requirements-onnxruntime.txt"),
    size: "about 90 MB to fetch, 350 MB on disk",
};

const TORCH: Packages = Packages {
    name: "torch",
    requirements: include_str!("../../peers/requirements-torch.txt"),
    size: "on Linux x86-64 about 3 GB to fetch and 5 GB on disk, as PyTorch's published wheel needs its CUDA libraries even without a \
           GPU; elsewhere less",
};

/// A script and what it runs: what is not in this list, no other program runs.
struct Entry {
    program: Program,
    /// Families, by their names, and the one task of theirs.
    families: &'static [&'static str],
    task: &'static str,
    module: &'static str,
    class: &'static str,
    needs: &'static [&'static str],
}

const SAM_2: &[&str] = &["sam2"];
const SAM_3: &[&str] = &["sam3"];
const FIRST_SAM: &[&str] = &["sam1", "mobile_sam", "efficientvit_sam"];
const SAM: &[&str] = &["sam2", "sam1", "mobile_sam", "efficientvit_sam"];
const YOLO: &[&str] = &["yolov8", "yolo11", "yolo26"];
const OWL: &[&str] = &["owlvit", "owlv2"];

/// All scripts: a new family is a name in a row, or a row.
const SCRIPTS: [Entry; 9] = [
    Entry {
        program: Program::OnnxRuntimePython,
        families: SAM,
        task: "promptable",
        module: "onnx_promptable",
        class: "OnnxRuntime",
        needs: &["onnxruntime", "numpy", "PIL", "cv2", "pycocotools"],
    },
    Entry {
        program: Program::OnnxRuntimePython,
        families: YOLO,
        task: "detect",
        module: "onnx_detector",
        class: "Detector",
        needs: &["onnxruntime", "numpy", "PIL", "cv2"],
    },
    Entry {
        program: Program::OnnxRuntimePython,
        families: OWL,
        task: "find",
        module: "onnx_owl",
        class: "OnnxRuntime",
        needs: &["onnxruntime", "numpy", "PIL", "cv2"],
    },
    Entry {
        program: Program::PyTorch,
        families: SAM_2,
        task: "promptable",
        module: "torch_sam2",
        class: "Transformers",
        needs: &["torch", "transformers", "safetensors", "numpy", "PIL", "pycocotools"],
    },
    Entry {
        program: Program::PyTorch,
        families: SAM_3,
        task: "concepts",
        module: "torch_sam3",
        class: "Transformers",
        needs: &["torch", "torchvision", "transformers", "safetensors", "numpy", "PIL", "pycocotools"],
    },
    Entry {
        program: Program::PyTorch,
        families: FIRST_SAM,
        task: "promptable",
        module: "torch_sam",
        class: "PyTorch",
        needs: &["torch", "segment_anything", "safetensors", "numpy", "PIL", "pycocotools"],
    },
    Entry {
        program: Program::PyTorch,
        families: OWL,
        task: "find",
        module: "torch_owl",
        class: "Transformers",
        needs: &["torch", "torchvision", "transformers", "safetensors", "numpy", "PIL"],
    },
    Entry {
        program: Program::PyTorch,
        families: YOLO,
        task: "detect",
        module: "ultralytics_detector",
        class: "PyTorch",
        needs: &["torch", "ultralytics", "safetensors", "numpy", "PIL", "cv2"],
    },
    Entry {
        program: Program::Ultralytics,
        families: YOLO,
        task: "detect",
        module: "ultralytics_detector",
        class: "Ultralytics",
        needs: &["torch", "ultralytics", "safetensors", "numpy", "PIL", "cv2"],
    },
];

impl Program {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PyTorch, Self::OnnxRuntimePython, Self::Ultralytics];

    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::PyTorch => "pytorch",
            Self::OnnxRuntimePython => "onnxruntime-python",
            Self::Ultralytics => "ultralytics",
        }
    }

    /// Whether this program runs models like this one.
    pub fn runs(self, info: &ModelInfo) -> bool {
        self.lookup(info).is_some()
    }

    /// Whether it reads the checkpoint, where there is one; else it reads the portable graphs.
    pub fn reads_checkpoint(self) -> bool {
        self != Self::OnnxRuntimePython
    }

    /// The modules without which the program runs nothing at all.
    pub(super) fn core(self) -> &'static [&'static str] {
        match self {
            Self::PyTorch => &["torch", "safetensors", "numpy", "PIL"],
            Self::OnnxRuntimePython => &["onnxruntime", "numpy", "PIL", "cv2"],
            Self::Ultralytics => &["ultralytics", "torch", "safetensors", "numpy", "PIL", "cv2"],
        }
    }

    pub(super) fn packages(self) -> Packages {
        match self {
            Self::OnnxRuntimePython => ONNX_RUNTIME,
            Self::PyTorch | Self::Ultralytics => TORCH,
        }
    }

    /// What a user of it does until the first answer, the checkpoint being there.
    ///
    /// # Errors
    /// `Unsupported` if it does not run the model.
    pub fn steps(self, info: &ModelInfo) -> Result<Vec<Step>> {
        let script = self.script(info)?;
        Ok(match self {
            Self::PyTorch => vec![Step::Install, Step::Script { lines: scripts::lines(script.module) }, Step::Run("run the script")],
            Self::OnnxRuntimePython => {
                vec![Step::Install, Step::Export, Step::Script { lines: scripts::lines(script.module) }, Step::Run("run the script")]
            }
            Self::Ultralytics => vec![Step::Install, Step::Run("yolo predict")],
        })
    }

    /// The script for a model.
    pub(super) fn script(self, info: &ModelInfo) -> Result<Script> {
        self.lookup(info).ok_or_else(|| {
            let others: Vec<&str> = Self::ALL.into_iter().filter(|program| program.runs(info)).map(Self::name).collect();
            let message = format!("{self} does not run {} ({}, {})", info.architecture, info.family, info.task);
            let help = match others.as_slice() {
                [] => "no other program does: leave --against away for this model".to_owned(),
                _ => format!("those that do: {}", others.join(", ")),
            };
            Error::new(ErrorKind::Unsupported, message).help(&help)
        })
    }

    fn lookup(self, info: &ModelInfo) -> Option<Script> {
        let runs =
            |entry: &&Entry| entry.program == self && entry.families.contains(&info.family.as_str()) && entry.task == info.task.name();
        let Entry { module, class, needs, .. } = SCRIPTS.iter().find(runs)?;
        let reads = match self {
            Self::PyTorch => Reads::Checkpoint,
            Self::OnnxRuntimePython => Reads::Graphs,
            Self::Ultralytics => Reads::CheckpointOrExport,
        };
        Some(Script { module, class, needs, reads })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Program {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|program| program.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::new(ErrorKind::InvalidArgument, format!("program to compare with: expected one of {names}, found `{text}`"))
        })
    }
}
