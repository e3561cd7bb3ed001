//! NVIDIA's own libraries, which ONNX Runtime's builds for CUDA need and do not hold: where they are, which are missing, and their
//! loading before a provider asks the system's loader for them, so that the user sets nothing.

mod elf;
mod machine;
mod search;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

pub(crate) use machine::Machine;
pub(crate) use search::Found;
use search::Place;

use crate::error::{Error, ErrorKind, Result};
use crate::library::LibraryOptions;
use crate::provider::Provider;
use crate::variant::Variant;
use crate::wheel::CudaRow;
use crate::{contents, pip, trust};

/// The driver's library.
const DRIVER: &str = "libcuda.so.1";
/// TensorRT's, each after those that it needs.
const TENSORRT: [&str; 2] = ["libnvinfer.so.10", "libnvonnxparser.so.10"];
/// The libraries of a version of CUDA, each after those that it needs; `true` where the build cannot do without.
fn libraries_of(major: u32) -> &'static [Wanted] {
    const fn always(name: &'static str) -> Wanted {
        Wanted { name, is_needed: true }
    }
    const fn if_there(name: &'static str) -> Wanted {
        Wanted { name, is_needed: false }
    }
    const CUDA_12: &[Wanted] = &[
        always("libcudart.so.12"),
        if_there("libnvrtc.so.12"),
        if_there("libnvJitLink.so.12"),
        always("libcublasLt.so.12"),
        always("libcublas.so.12"),
        always("libcurand.so.10"),
        always("libcufft.so.11"),
        always("libcudnn.so.9"),
    ];
    const CUDA_13: &[Wanted] = &[
        always("libcudart.so.13"),
        if_there("libnvrtc.so.13"),
        if_there("libnvJitLink.so.13"),
        always("libcublasLt.so.13"),
        always("libcublas.so.13"),
        always("libcurand.so.10"),
        if_there("libcufft.so.12"),
        always("libcudnn.so.9"),
    ];
    if major == 12 { CUDA_12 } else { CUDA_13 }
}

/// The parts of cuDNN, which lie beside it; which ones there are depends on its version.
const CUDNN: &str = "libcudnn.so.9";
const CUDNN_PARTS: [&str; 7] = [
    "libcudnn_graph.so.9",
    "libcudnn_ops.so.9",
    "libcudnn_heuristic.so.9",
    "libcudnn_adv.so.9",
    "libcudnn_cnn.so.9",
    "libcudnn_engines_precompiled.so.9",
    "libcudnn_engines_runtime_compiled.so.9",
];

/// A library by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    name: &'static str,
    is_needed: bool,
}

/// A library that a provider asks for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) is_needed: bool,
    pub(crate) found: Option<Found>,
}

/// What the search for NVIDIA's libraries is made with, and what it has found out already.
pub(crate) struct Toolkit {
    options: LibraryOptions,
    /// Where Python's packages are, once that was asked.
    packages: OnceLock<Vec<PathBuf>>,
    machine: OnceLock<Machine>,
    /// Names of the providers whose libraries are in the process.
    prepared: Mutex<Vec<&'static str>>,
}

impl Toolkit {
    pub(crate) fn new(options: &LibraryOptions) -> Self {
        let prepared = Mutex::default();
        Self { options: options.clone(), packages: OnceLock::new(), machine: OnceLock::new(), prepared }
    }

    /// Driver and cards, looked at once.
    pub(crate) fn machine(&self) -> &Machine {
        self.machine.get_or_init(Machine::look)
    }

    /// Loads what a provider of the ONNX Runtime at `runtime` needs of NVIDIA's; nothing for providers that are not NVIDIA's, and for builds
    /// that hold it all.
    ///
    /// # Errors
    /// `ProviderUnavailable` where the driver or a library is missing, with the way out; `HashMismatch` and `Untrusted` for a fetched library
    /// that was changed, or that others may change.
    pub(crate) fn prepare(&self, provider: &Provider, runtime: &Path) -> Result<()> {
        let is_tensorrt = matches!(provider, Provider::TensorRt(_));
        if !is_tensorrt && !matches!(provider, Provider::Cuda(_)) {
            return Ok(());
        }
        let Some(major) = major_of(runtime) else { return Ok(()) };
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if prepared.contains(&provider.name()) {
            return Ok(());
        }
        if !has_driver() {
            let message = format!("the {provider} provider cannot start: no NVIDIA driver was found (nvidia-smi / {DRIVER})");
            return Err(Error::new(ErrorKind::ProviderUnavailable, message).with_help(driver_help(major)));
        }
        let missing = self.bring_all_in(&self.survey(major, is_tensorrt))?;
        if missing.is_empty() {
            prepared.push(provider.name());
            return Ok(());
        }
        let message = format!("the {provider} provider cannot start: {} not found", listed(&missing));
        Err(Error::new(ErrorKind::ProviderUnavailable, message).with_help(library_help(&missing, major)))
    }

    /// Loads libraries one after the other; the names of those that are needed and nowhere.
    fn bring_all_in(&self, survey: &[Asked]) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for asked in survey {
            if !self.bring_in(asked)? && asked.is_needed {
                missing.push(asked.name.clone());
            }
        }
        Ok(missing)
    }

    /// Loads a library, from where it was found or else from where the loader finds it. Whether it is in the process now.
    fn bring_in(&self, asked: &Asked) -> Result<bool> {
        let Some(Found { path, wheel }) = &asked.found else { return Ok(ort::util::preload_dylib(&asked.name).is_ok()) };
        if let (Some(wheel), Some(folder)) = (wheel, path.parent()) {
            trust::check(folder, &self.options.home)?;
            contents::check(folder, wheel)?;
        }
        match ort::util::preload_dylib(path) {
            Ok(()) => Ok(true),
            Err(_) if !asked.is_needed => Ok(false),
            Err(error) => {
                // The loader's own words.
                let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                let message = format!("NVIDIA's library cannot be loaded: {reason}");
                let error = Error::new(ErrorKind::ProviderUnavailable, message).at(path.display());
                Err(error.with_help("`maskline doctor` says which libraries are taken from where"))
            }
        }
    }

    /// The libraries that are needed for a version of CUDA, in the order in which they must be loaded.
    pub(crate) fn survey(&self, major: u32, with_tensorrt: bool) -> Vec<Asked> {
        let tensorrt = TENSORRT.iter().map(|name| Wanted { name, is_needed: true }).filter(|_| with_tensorrt);
        let mut survey = Vec::new();
        for Wanted { name, is_needed } in libraries_of(major).iter().copied().chain(tensorrt) {
            let found = self.find(name, major);
            let folder = found.as_ref().filter(|_| name == CUDNN).and_then(|found| found.path.parent());
            let part = |part: &str| {
                let path = folder?.join(part);
                let found = Found { path, wheel: found.as_ref().and_then(|found| found.wheel) };
                found.path.is_file().then(|| Asked { name: part.to_owned(), is_needed: false, found: Some(found) })
            };
            let parts: Vec<Asked> = CUDNN_PARTS.iter().filter_map(|name| part(name)).collect();
            survey.push(Asked { name: name.to_owned(), is_needed, found });
            survey.extend(parts);
        }
        survey
    }

    /// Looks for a library where the user says, in maskline's folder, among the system's toolkits, among Python's packages (only then is
    /// Python asked), and where the loader looks.
    pub(crate) fn find(&self, library: &str, major: u32) -> Option<Found> {
        let variable = std::env::var_os("LD_LIBRARY_PATH");
        let mut near = search::of_loader_path(variable.as_deref());
        near.extend(search::of_home(&self.options, major));
        near.extend(search::of_toolkits(Path::new("/usr/local"), major));
        search::find(&near, library).or_else(|| {
            let mut far: Vec<Place> = self.packages().iter().flat_map(|site| search::of_packages(site, major)).collect();
            far.extend(search::of_loader());
            search::find(&far, library)
        })
    }

    fn packages(&self) -> &[PathBuf] {
        self.packages.get_or_init(|| pip::package_folders(&self.options))
    }

    /// What belongs to the key of artefacts that a provider makes; `None` for providers that are not NVIDIA's, and where the card or TensorRT is
    /// not known.
    pub(crate) fn key(&self, provider: &Provider, runtime: &Path) -> Option<String> {
        // They decide which card a number means.
        let order = ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"].map(|name| std::env::var_os(name).unwrap_or_default());
        match provider {
            // What the kernel says takes no time, and is enough where nothing is kept that was compiled for a card.
            Provider::Cuda(options) => {
                let machine = Machine::of_kernel().identity().or_else(|| self.machine().identity())?;
                Some(format!("{machine} {order:?} {}", options.device_id))
            }
            Provider::TensorRt(options) => {
                let (machine, tensorrt) = (self.machine().identity()?, self.tensorrt_identity(runtime)?);
                Some(format!("{machine} {order:?} {tensorrt} {}", options.engine_key()))
            }
            Provider::Cpu | Provider::OpenVino(_) => None,
        }
    }

    /// What tells TensorRT's builds apart: the library's file, its length and its time; `None` where it is not found.
    fn tensorrt_identity(&self, runtime: &Path) -> Option<String> {
        let path = self.find(TENSORRT[0], major_of(runtime)?)?.path.canonicalize().ok()?;
        let facts = path.metadata().ok()?;
        Some(format!("{} {} {:?}", path.display(), facts.len(), facts.modified().ok()))
    }
}

/// The version of CUDA that an ONNX Runtime is made for, as its CUDA provider's file says; `None` where it has no such file, or one that
/// needs no CUDA of its own.
pub(crate) fn major_of(runtime: &Path) -> Option<u32> {
    let provider = runtime.with_file_name("libonnxruntime_providers_cuda.so");
    let needed = elf::needed(&provider).ok()?;
    needed.iter().find_map(|name| name.strip_prefix("libcudart.so.")?.split('.').next()?.parse().ok())
}

/// The variant for a version of CUDA.
pub(crate) fn variant_for(major: u32) -> Variant {
    if major == 12 { Variant::Cuda12 } else { Variant::Cuda13 }
}

/// The oldest line of drivers that runs a version of CUDA (NVIDIA's release notes of CUDA 12 and 13).
pub(crate) fn oldest_driver(major: u32) -> u32 {
    if major == 12 { 525 } else { 580 }
}

pub(crate) fn driver_help(major: u32) -> String {
    format!(
        "install NVIDIA's driver, {} or newer, or choose another provider; `maskline doctor` says what else is missing",
        oldest_driver(major)
    )
}

/// The command that brings missing libraries.
pub(crate) fn library_help(missing: &[String], major: u32) -> String {
    if missing.iter().all(|name| is_tensorrts(name)) {
        return format!("install TensorRT 10 (`{}`), or choose the provider cuda", tensorrt_command(major));
    }
    format!("maskline runtime install {}", variant_for(major))
}

/// Whether a library is TensorRT's.
pub(crate) fn is_tensorrts(library: &str) -> bool {
    TENSORRT.contains(&library)
}

/// The command that brings TensorRT 10, into the user's Python: its packages fetch the libraries from NVIDIA's own servers, and so cannot be
/// pinned.
pub(crate) fn tensorrt_command(major: u32) -> String {
    format!("python3 -m pip install 'tensorrt-cu{major}-libs<11'")
}

/// Bytes of TensorRT's libraries; `None` where one of them is not here.
pub(crate) fn tensorrt_bytes(toolkit: &Toolkit, major: u32) -> Option<u64> {
    // What a link leads to is as large as it is.
    TENSORRT.iter().map(|library| Some(toolkit.find(library, major)?.path.metadata().ok()?.len())).sum()
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [first @ .., before, last] => first.iter().map(|name| format!("{name}, ")).collect::<String>() + before + " and " + last,
        _ => names.concat(),
    }
}

/// Whether the driver's library is there.
pub(crate) fn has_driver() -> bool {
    ort::util::preload_dylib(DRIVER).is_ok()
}

/// Where the libraries of a package of CUDA's are already, other than in maskline's folder: the first of them, where all are there.
pub(crate) fn elsewhere(toolkit: &Toolkit, package: &CudaRow) -> Option<PathBuf> {
    let places = package.provides.iter().map(|library| toolkit.find(library, package.major));
    let found: Option<Vec<Found>> = places.collect();
    let first = found?.into_iter().next()?;
    first.wheel.is_none().then_some(first.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheel::CUDA;

    #[test]
    fn every_fetched_package_brings_a_library_that_is_asked_for() {
        for row in CUDA {
            let asked = libraries_of(row.major);
            assert!(row.provides.iter().all(|library| asked.iter().any(|wanted| wanted.name == *library)), "{}", row.wheel);
        }
        for major in [12, 13] {
            let brought = |name: &str| CUDA.iter().any(|row| row.major == major && row.provides.contains(&name));
            assert!(libraries_of(major).iter().filter(|wanted| wanted.is_needed).all(|wanted| brought(wanted.name)), "{major}");
        }
    }

    #[test]
    fn what_needs_another_is_loaded_after_it() {
        for major in [12, 13] {
            let names: Vec<&str> = libraries_of(major).iter().map(|wanted| wanted.name).collect();
            let at = |start: &str| names.iter().position(|name| name.starts_with(start));
            assert!(at("libcudart.") < at("libcublasLt.") && at("libcublasLt.") < at("libcublas."), "{names:?}");
            assert!(at("libnvrtc.") < at("libcudnn.") && at("libcublas.") < at("libcudnn."), "{names:?}");
        }
    }

    /// Python as far as this crate asks it for anything: it says where its packages are.
    #[cfg(unix)]
    fn python(folder: &Path, packages: &Path) -> PathBuf {
        let script = folder.join("python");
        std::fs::write(&script, format!("#!/bin/sh\necho '{}'\n", packages.display())).expect("a script");
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a script");
        script
    }

    /// Makes an empty library that needs others; `None` where there is no compiler.
    #[cfg(target_os = "linux")]
    fn compile(library: &Path, needed: &[&Path]) -> Option<()> {
        let name = library.file_name().and_then(|name| name.to_str()).expect("a name");
        std::fs::create_dir_all(library.parent().expect("a folder")).expect("folder");
        let mut cc = std::process::Command::new("cc");
        cc.args(["-shared", "-xc", "/dev/null", "-o"]).arg(library).arg(format!("-Wl,-soname,{name}"));
        let made = cc.args(["-xnone", "-Wl,--no-as-needed"]).args(needed).output().ok()?;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn libraries_among_pythons_packages_are_loaded_so_that_the_loader_need_not_find_them() {
        let place = tempfile::tempdir().expect("folder");
        let site = place.path().join("site-packages");
        let own = |name: &str| site.join("nvidia/cu13/lib").join(name);
        let names = ["libcudart.so.13", "libnvrtc.so.13", "libcublasLt.so.13", "libcurand.so.10"].map(own);
        let cublas = own("libcublas.so.13");
        let cudnn = site.join("nvidia/cudnn/lib/libcudnn.so.9");
        let all = || {
            names.iter().try_for_each(|name| compile(name, &[]))?;
            // No folder is written into them: what they need is found only because it is in the process already.
            compile(&cublas, &[&names[2]])?;
            compile(&cudnn, &[&cublas])
        };
        let Some(()) = all() else { return maskline_testing::skip("there is no C compiler") };
        let home = place.path().join("home");
        let options = LibraryOptions { python: Some(python(place.path(), &site)), home, ..LibraryOptions::default() };
        let toolkit = Toolkit::new(&options);
        let survey = toolkit.survey(13, false);
        assert_eq!(toolkit.bring_all_in(&survey).expect("loaded"), Vec::<String>::new());
        let loaded = std::fs::read_to_string("/proc/self/maps").expect("what is in this process");
        for library in names.iter().chain([&cublas, &cudnn]) {
            let name = library.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(loaded.contains(name), "{name}");
        }
        let provider = place.path().join("libonnxruntime_providers_cuda.so");
        compile(&provider, &[&names[0], &cublas]).expect("the compiler");
        assert_eq!(major_of(&place.path().join("libonnxruntime.so.1.31.1")), Some(13));
        assert_eq!(major_of(&site.join("libonnxruntime.so.1.31.1")), None);
    }

    #[test]
    #[cfg(unix)]
    fn what_is_nowhere_is_named() {
        let place = tempfile::tempdir().expect("folder");
        let options = LibraryOptions {
            python: Some(python(place.path(), place.path())),
            home: place.path().join("home"),
            ..LibraryOptions::default()
        };
        let asked = |name: &str, is_needed| Asked { name: name.into(), is_needed, found: None };
        let survey = [asked("libabsent.so.13", true), asked("libunneeded.so.13", false), asked("libabsentLt.so.13", true)];
        let missing = Toolkit::new(&options).bring_all_in(&survey).expect("looked");
        assert_eq!(missing, ["libabsent.so.13", "libabsentLt.so.13"]);
        let broken = place.path().join("libbroken.so.13");
        std::fs::write(&broken, "no library").expect("file");
        let found = Some(Found { path: broken.clone(), wheel: None });
        let survey = [Asked { name: "libbroken.so.13".into(), is_needed: true, found }];
        let error = Toolkit::new(&options).bring_all_in(&survey).expect_err("no library");
        assert_eq!((error.kind(), error.place()), (ErrorKind::ProviderUnavailable, Some(&*broken.to_string_lossy())));
    }

    #[test]
    fn the_way_out_is_one_command() {
        assert_eq!(library_help(&["libcublas.so.13".into(), TENSORRT[0].into()], 13), "maskline runtime install cuda13");
        assert_eq!(library_help(&["libcufft.so.11".into()], 12), "maskline runtime install cuda12");
        assert!(library_help(&[TENSORRT[0].into()], 12).contains("'tensorrt-cu12-libs<11'"));
        assert_eq!(listed(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
