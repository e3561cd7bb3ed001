//! What of a provider is on this machine, what is missing, and the command that mends it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cuda::{self, Asked, Toolkit};
use crate::error::{Error, ErrorKind, Result};
use crate::install::{cuda_variant, is_installed};
use crate::lane::{Job, Lane, LaneOptions, ModelSource};
use crate::library::{Library, LibraryOptions};
use crate::provider::Provider;
use crate::tensor::Tensor;
use crate::variant::Variant;
use crate::{fetch, trust};

/// What a provider needs, and what of it is here. That all is here does not mean that it works: [`try_provider`] shows that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// What was looked at, in the order in which it is needed.
    pub facts: Vec<Fact>,
    /// What to do about what is missing; `None` where nothing is.
    pub mend: Option<String>,
}

impl Examination {
    /// Whether all that the provider needs is here.
    pub fn is_complete(&self) -> bool {
        self.facts.iter().all(|fact| !fact.is_missing)
    }

    fn of(facts: Vec<Fact>, steps: Vec<String>) -> Self {
        Self { facts, mend: (!steps.is_empty()).then(|| steps.join("; then ")) }
    }
}

/// Something that a provider needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// `driver`, `cards`, `runtime`, `libraries`, `tensorrt`.
    pub what: &'static str,
    /// What was found, or what is missing.
    pub found: String,
    /// Whether it is missing.
    pub is_missing: bool,
}

impl Fact {
    fn there(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, found: found.into(), is_missing: false }
    }

    fn missing(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, found: found.into(), is_missing: true }
    }
}

/// Looks for all that a provider needs. Nothing is fetched, and nothing is loaded but the driver's library. `loaded` is the process's ONNX
/// Runtime, where it has one: with the provider in it, it is what is looked at, else what is in maskline's folder.
///
/// For NVIDIA's providers it starts `nvidia-smi` and, where libraries are not found without, a Python.
pub fn examine(provider: &Provider, options: &LibraryOptions, loaded: Option<&Library>) -> Examination {
    let loaded = loaded.filter(|library| library.providers().contains(&provider.name()));
    match provider {
        Provider::Cpu => Examination::of(vec![Fact::there("runtime", "every build has it")], Vec::new()),
        Provider::OpenVino(_) => {
            let (fact, _) = runtime(Variant::OpenVino, options, loaded);
            let steps = if fact.is_missing { vec![installing(Variant::OpenVino)] } else { Vec::new() };
            Examination::of(vec![fact], steps)
        }
        Provider::Cuda(_) | Provider::TensorRt(_) => of_nvidia(provider, options, loaded),
    }
}

fn installing(variant: Variant) -> String {
    format!("maskline runtime install {variant}")
}

/// The build that has the provider, and the library's path where it is there.
fn runtime(variant: Variant, options: &LibraryOptions, loaded: Option<&Library>) -> (Fact, Option<PathBuf>) {
    if let Some(library) = loaded {
        let found = format!("ONNX Runtime {}, {}", library.version(), library.path().display());
        return (Fact::there("runtime", found), Some(library.path().to_owned()));
    }
    let options = LibraryOptions { variant, ..options.clone() };
    let wheel = match variant.wheel() {
        Ok(wheel) => wheel,
        Err(error) => return (Fact::missing("runtime", error.message()), None),
    };
    if !is_installed(&options) {
        return (Fact::missing("runtime", format!("the variant {variant} is not installed")), None);
    }
    let folder = fetch::folder(wheel, &options);
    match trust::check(&folder, &options.home) {
        Ok(()) => (Fact::there("runtime", format!("{wheel} ({variant}), {}", folder.display())), Some(folder.join(wheel.library))),
        Err(error) => (Fact::missing("runtime", error.to_string()), None),
    }
}

fn of_nvidia(provider: &Provider, options: &LibraryOptions, loaded: Option<&Library>) -> Examination {
    let own = Toolkit::new(options);
    let toolkit = loaded.map_or(&own, Library::toolkit);
    let variant = cuda_variant(options);
    let (runtime, path) = runtime(variant, options, loaded);
    let major = path.as_deref().and_then(cuda::major_of).or(variant.cuda_major()).unwrap_or(13);
    let mut facts = driver(toolkit, major);
    let mut steps = Vec::new();
    if facts.iter().any(|fact| fact.is_missing) {
        steps.push(format!("install NVIDIA's driver, {} or newer", cuda::oldest_driver(major)));
    }
    let (tensorrt, cuda): (Vec<Asked>, Vec<Asked>) =
        toolkit.survey(major, matches!(provider, Provider::TensorRt(_))).into_iter().partition(|asked| cuda::is_tensorrts(&asked.name));
    let libraries = libraries("libraries", &cuda);
    if runtime.is_missing || libraries.is_missing {
        steps.push(installing(cuda::variant_for(major)));
    }
    facts.extend([runtime, libraries]);
    if !tensorrt.is_empty() {
        let fact = self::libraries("tensorrt", &tensorrt);
        if fact.is_missing {
            steps.push(cuda::tensorrt_command(major));
        }
        facts.push(fact);
    }
    Examination::of(facts, steps)
}

fn driver(toolkit: &Toolkit, major: u32) -> Vec<Fact> {
    if !cuda::has_driver() {
        return vec![Fact::missing("driver", "none found (nvidia-smi / libcuda.so.1)")];
    }
    let machine = toolkit.machine();
    let version = machine.driver.as_deref().unwrap_or("of unknown version");
    let oldest = cuda::oldest_driver(major);
    let driver = match machine.driver_line() {
        Some(line) if line < oldest => Fact::missing("driver", format!("{version}; CUDA {major} needs {oldest} or newer")),
        _ => Fact::there("driver", version),
    };
    let names: Vec<String> = machine.cards.iter().map(ToString::to_string).collect();
    // Where nobody tells of cards there may be some all the same.
    let cards = if names.is_empty() { "none that nvidia-smi or the kernel tells of".into() } else { names.join(", ") };
    vec![driver, Fact::there("cards", cards)]
}

/// Whether all needed ones were found, and in which folders.
fn libraries(what: &'static str, asked: &[Asked]) -> Fact {
    let missing: Vec<String> =
        asked.iter().filter(|asked| asked.is_needed && asked.found.is_none()).map(|asked| asked.name.clone()).collect();
    if !missing.is_empty() {
        return Fact::missing(what, format!("{} not found", cuda::listed(&missing)));
    }
    let mut folders: Vec<&Path> = asked.iter().filter_map(|asked| asked.found.as_ref()?.path.parent()).collect();
    folders.sort_unstable();
    folders.dedup();
    Fact::there(what, folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "))
}

/// A graph of one addition, `y = x + x` for f32 `x` [3]: protobuf, opset 21.
pub(crate) const ADDITION: &[u8] =
    b"\x08\x0a:7\x0a\x0e\x0a\x01x\x0a\x01x\x12\x01y\x22\x03Add\x12\x03tryZ\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x03b\
    \x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x03B\x04\x0a\x00\x10\x15";

/// Lets a provider compute something small, and looks at the answer.
///
/// # Errors
/// `ProviderUnavailable` where the library has not the provider or it cannot start, `RunFailed` where it cannot compute or computes wrongly.
pub fn try_provider(library: &Arc<Library>, provider: &Provider) -> Result<()> {
    let options = LaneOptions { name: Some("a trial".into()), provider: provider.clone(), ..LaneOptions::default() };
    let lane = Lane::open(library, ModelSource::Bytes(ADDITION), &options)?;
    let outputs = lane.run(Job::new([("x", Tensor::new([3], vec![1.0_f32, 2.0, -3.0])?)]))?;
    let sum = outputs.f32("y")?.data.to_vec();
    if sum == [2.0, 4.0, -6.0] {
        return Ok(());
    }
    let error = Error::new(ErrorKind::RunFailed, format!("the {provider} provider computes wrongly"));
    Err(error.expecting("[2, 4, -6]").finding(format!("{sum:?}")))
}
