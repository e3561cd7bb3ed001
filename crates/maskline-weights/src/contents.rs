//! What a reader finds in a file, and the names under which trainers wrap it.

use std::collections::BTreeMap;

use crate::attribute::{Attribute, Module};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::tensor::TensorInfo;

/// The plain values beside the tensors.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Attributes of the root module, then the top-level entries of the file, by key.
    pub(crate) root: Vec<(Attribute, Attribute)>,
    /// Inner modules, by dotted name.
    pub(crate) modules: BTreeMap<String, Module>,
}

/// Which of several sets of weights in one file was taken, and what stands beside it.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) taken: String,
    pub(crate) left: Vec<String>,
}

impl Choice {
    /// For people.
    pub(crate) fn note(&self) -> String {
        const SHOWN: usize = 6;
        let more = if self.left.len() > SHOWN { format!(" and {} more", self.left.len() - SHOWN) } else { String::new() };
        format!("weights: those under `{}`; left out: `{}`{more}", self.taken, self.left[..self.left.len().min(SHOWN)].join("`, `"))
    }
}

/// What a reader finds in a file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) tensors: Vec<(String, TensorInfo, Layout)>,
    pub(crate) skipped: BTreeMap<String, String>,
    pub(crate) facts: Facts,
    pub(crate) choices: Vec<Choice>,
}

/// Modules that `torch.compile`, FSDP and activation checkpoints put around others, wherever they are; no network calls its own so.
const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// Counters that the profiler `thop` leaves in every module, and the one of PyTorch's `AveragedModel`.
const COUNTERS: [&str; 3] = ["total_ops", "total_params", "n_averaged"];

impl Facts {
    /// The attributes of the outermost module come before the entries of the file.
    pub(crate) fn adopt_root_module(&mut self) {
        if let Some(Module { attributes: Attribute::Map(attributes), .. }) = self.modules.get("") {
            self.root.splice(0..0, attributes.iter().cloned());
        }
    }
}

impl Contents {
    /// Takes out what tools leave in the names and among the tensors without any meaning for the network.
    ///
    /// # Errors
    /// `Corrupt` if two tensors then have one name.
    pub(crate) fn clean(&mut self) -> Result<()> {
        let is_counter = |name: &str| COUNTERS.contains(&name.rsplit('.').next().unwrap_or(name));
        self.tensors.retain(|(name, ..)| !is_counter(name));
        self.skipped.retain(|name, _| !is_counter(name));
        if self.tensors.iter().any(|(name, ..)| is_wrapped(name)) {
            self.rename(|name| name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join("."));
        }
        self.tensors.sort_by(|left, right| left.0.cmp(&right.0));
        match self.tensors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some([(name, ..), _]) => Err(Error::corrupt(format!("{name:.200}: two tensors have this name"))),
            _ => Ok(()),
        }
    }

    /// The first segment of the names, if all tensors have the same one and more after it.
    pub(crate) fn common_prefix(&self) -> Option<&str> {
        common_prefix(self.tensors.iter().map(|(name, ..)| name).chain(self.skipped.keys()).map(String::as_str))
    }

    /// Takes a segment off all names; the attributes of the module of that name become those of the root.
    pub(crate) fn strip(&mut self, prefix: &str) {
        let dotted = format!("{prefix}.");
        let modules = std::mem::take(&mut self.facts.modules);
        self.facts.modules = stripped_modules(modules, prefix);
        let strip = |name: &str| name.strip_prefix(&dotted).unwrap_or(name).to_owned();
        self.tensors.iter_mut().for_each(|(name, ..)| *name = strip(name));
        self.skipped = std::mem::take(&mut self.skipped).into_iter().map(|(name, dtype)| (strip(&name), dtype)).collect();
    }

    fn rename(&mut self, to: impl Fn(&str) -> String) {
        self.tensors.iter_mut().for_each(|(name, ..)| *name = to(name));
        self.skipped = std::mem::take(&mut self.skipped).into_iter().map(|(name, dtype)| (to(&name), dtype)).collect();
        // Of a wrapper and the module in it, the inner one (the longer name) is the network's.
        let mut modules: Vec<(String, Module)> = std::mem::take(&mut self.facts.modules).into_iter().collect();
        modules.sort_by_key(|(name, _)| name.len());
        self.facts.modules = modules.into_iter().map(|(name, module)| (to(&name), module)).collect();
    }
}

fn is_wrapped(name: &str) -> bool {
    name.split('.').any(|part| WRAPPERS.contains(&part))
}

/// The modules below `prefix`, without it; the module of that name is the root.
pub(crate) fn stripped_modules(modules: BTreeMap<String, Module>, prefix: &str) -> BTreeMap<String, Module> {
    let dotted = format!("{prefix}.");
    let inner = modules.into_iter().filter_map(|(name, module)| {
        let name = if name == prefix { "" } else { name.strip_prefix(&dotted)? };
        Some((name.to_owned(), module))
    });
    inner.collect()
}

/// The first segment of these names, if all have the same one and more after it.
pub(crate) fn common_prefix<'n>(mut names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let (prefix, _) = names.next()?.split_once('.')?;
    let has_it = |name: &str| name.split_once('.').is_some_and(|(first, rest)| first == prefix && !rest.is_empty());
    names.all(has_it).then_some(prefix)
}
