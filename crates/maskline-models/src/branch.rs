//! Models that are one branch of a checkpoint: a trainer saved a loss, averaged weights or a teacher beside them.

use maskline_weights::Checkpoint;

use crate::family::{Family, family_in};
use crate::{Error, ErrorKind, Result};

/// Segments in front of a model's own names.
const MOST_SEGMENTS: usize = 4;
/// Branches looked at; a network has a few thousand modules.
const MOST_BRANCHES: usize = 20_000;

/// Which weights people mean, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Averaged,
    Model,
    Aside,
}

/// By the words of a prefix: `model_ema.module`, `net`, `teacher`.
fn rank(prefix: &str) -> Rank {
    let prefix = prefix.to_lowercase();
    let has = |known: &[&str]| prefix.split(['.', '_', '-']).any(|word| known.contains(&word));
    if prefix.contains("teacher") || has(&["target", "momentum", "frozen", "reference", "ref", "old", "previous"]) {
        Rank::Aside
    } else if has(&["ema", "swa", "averaged", "average", "avg", "shadow"]) {
        Rank::Averaged
    } else {
        Rank::Model
    }
}

struct Branch {
    rank: Rank,
    prefix: String,
    family: &'static dyn Family,
}

/// The prefix of the branch that is the model, and its family; `None` if no family knows any branch.
pub(crate) fn choose(checkpoint: &Checkpoint) -> Result<Option<(String, &'static dyn Family)>> {
    let mut found: Vec<Branch> = Vec::new();
    let (mut pending, mut looked) = (vec![(checkpoint.root(), 0)], 0);
    while let Some((scope, depth)) = pending.pop() {
        if let Some(family) = family_in(&scope) {
            found.push(Branch { rank: rank(scope.name()), prefix: scope.name().to_owned(), family });
        } else if depth < MOST_SEGMENTS && looked < MOST_BRANCHES {
            let inner = scope.children();
            looked += inner.len();
            pending.extend(inner.into_iter().map(|name| (scope.push(name), depth + 1)));
        }
    }
    let Some(best) = found.iter().map(|branch| branch.rank).min() else { return Ok(None) };
    found.retain(|branch| branch.rank == best);
    found.sort_by(|left, right| left.prefix.cmp(&right.prefix));
    if found.len() > 1 {
        return Err(ambiguous(checkpoint, &found));
    }
    refuse_adapters(checkpoint)?;
    Ok(found.pop().map(|branch| (branch.prefix, branch.family)))
}

fn ambiguous(checkpoint: &Checkpoint, branches: &[Branch]) -> Error {
    let shown: Vec<&str> = branches.iter().take(6).map(|branch| branch.prefix.as_str()).collect();
    let message = format!("the checkpoint holds {} models, and nothing tells which is meant: `{}`", branches.len(), shown.join("`, `"));
    let help = "save the one that you mean alone: torch.save(that_model.state_dict(), \"model.pt\")";
    Error::new(ErrorKind::UnknownModel, message).at(checkpoint.path()).with_help(help)
}

/// What stands beside a model is left out; these would change its answers.
fn refuse_adapters(checkpoint: &Checkpoint) -> Result<()> {
    let children = checkpoint.root().children();
    let is_adapter = |name: &&String| name.to_lowercase().contains("adapter") || name.to_lowercase().contains("lora");
    match children.iter().find(is_adapter) {
        Some(name) => {
            let message = format!("`{name}` stands beside the model: computed without it the answers would be others");
            let help = "merge it into the model's weights, and save those";
            Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()).with_help(help))
        }
        None => Ok(()),
    }
}
