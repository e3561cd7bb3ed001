//! What a model takes and gives, as metadata and configurations tell it.

use std::sync::Arc;

use crate::app::App;
use crate::fault::{Fault, Result};
use crate::models::{Named, Served, Slot, part_of};

use super::datatype::Datatype;
use super::{high, raw};

/// What runs all of them, as configurations name it.
pub(super) const BACKEND: &str = "maskline";
/// The only version that a model has.
pub(super) const VERSION: &str = "1";

/// What a model takes and gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Signature {
    pub(super) name: String,
    /// What runs it.
    pub(super) platform: &'static str,
    /// Most rows of a request, where the first size of all its tensors counts them; 0 where none does.
    pub(super) max_batch: usize,
    pub(super) inputs: Vec<TensorSignature>,
    pub(super) outputs: Vec<TensorSignature>,
}

/// An input or output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorSignature {
    pub(super) name: String,
    pub(super) datatype: Datatype,
    /// All sizes, that of rows too; `None` where they are free.
    pub(super) shape: Vec<Option<usize>>,
    /// Whether a request may leave it out.
    pub(super) is_optional: bool,
}

impl TensorSignature {
    pub(super) fn new(name: &str, datatype: Datatype, shape: &[Option<usize>]) -> Self {
        Self { name: name.to_owned(), datatype, shape: shape.to_vec(), is_optional: false }
    }

    pub(super) fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// Sizes as the protocol has them: -1 where they are free.
    pub(super) fn sizes(&self) -> Vec<i64> {
        // Of tensors that fit into memory.
        self.shape.iter().map(|size| size.map_or(-1, |size| size as i64)).collect()
    }

    /// As [`TensorSignature::sizes`], without that of rows where the model counts them.
    pub(super) fn dims(&self, max_batch: usize) -> Vec<i64> {
        self.sizes().split_off(usize::from(max_batch > 0).min(self.shape.len()))
    }
}

/// Which model, and which version of it.
#[derive(Debug, Clone, serde::Deserialize)]
pub(super) struct Which {
    pub(super) model: String,
    #[serde(default)]
    pub(super) version: Option<String>,
}

impl Which {
    pub(super) fn new(model: impl Into<String>, version: impl Into<String>) -> Self {
        Self { model: model.into(), version: Some(version.into()).filter(|version| !version.is_empty()) }
    }

    /// What it names.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) fn find(&self, app: &App) -> Result<Named> {
        let named = app.models.named(&self.model)?;
        match self.version.as_deref() {
            None | Some(VERSION) => Ok(named),
            Some(other) => {
                let shown: String = other.chars().take(40).flat_map(char::escape_debug).collect();
                let model: String = self.model.chars().take(100).collect();
                Err(Fault::not_found(format!("`{model}` has no version `{shown}`")).with_help(format!("its version is {VERSION}")))
            }
        }
    }

    /// Whether it answers now, or will by itself when it is asked.
    pub(super) fn is_ready(&self, app: &App) -> Result<bool> {
        let named = self.find(app)?;
        let status = named.slot().status();
        Ok(status.state.answers() || status.is_idle)
    }

    /// What it takes and gives; a model that went idle is loaded for that.
    ///
    /// # Errors
    /// `NotFound`; `NotReady` where it is not loaded.
    pub(super) async fn signature(&self, app: &Arc<App>) -> Result<Signature> {
        let named = self.find(app)?;
        let slot = named.slot();
        if slot.status().is_idle {
            app.models.load(slot).await?;
        }
        let served = slot.served().ok_or_else(|| {
            let message = format!("`{}` is {}", slot.name(), slot.status().state.name());
            Fault::from(maskline::Error::new(maskline::ErrorKind::Unavailable, message))
        })?;
        match (named.part(), served) {
            (Some(part), served) => Ok(raw::signature(&self.model, &open(served, part.to_owned()).await?)),
            (None, Served::Graph(part)) => Ok(raw::signature(&self.model, &part)),
            (None, Served::Asked(answerer)) => Ok(high::Form::of(&answerer).signature(&self.model)),
        }
    }
}

/// A network of what is served, which may have to be opened.
pub(super) async fn open(served: Served, part: String) -> Result<maskline::Part> {
    let opening = tokio::task::spawn_blocking(move || part_of(&served, &part));
    opening.await.unwrap_or_else(|_| Err(crate::app::panicked("opening the network")))
}

impl Named {
    /// The model of it, or that it is a part of.
    pub(super) fn slot(&self) -> &Arc<Slot> {
        match self {
            Self::Whole(slot) | Self::Part { slot, .. } => slot,
        }
    }

    /// The network that is meant, where it is not the model.
    pub(super) fn part(&self) -> Option<&str> {
        match self {
            Self::Whole(_) => None,
            Self::Part { part, .. } => Some(part),
        }
    }
}
