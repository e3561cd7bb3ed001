//! What of a variant is here, and its coming and going, with a pip that is not one.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use maskline_runtime::{
    ErrorKind, LibraryOptions, Package, PackageState, Provider, Variant, create_folder, cuda_variant, examine, install, is_installed,
    packages, remove,
};

/// A home with a Python that says where its packages are, and whose pip writes down what it is asked for and fails.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let at = place.folder.path().display();
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = -c ]; then echo '{at}/site-packages'; exit; fi\ncat requirements.txt >> '{at}/asked'\nexit 1\n"
        );
        std::fs::write(place.path("python"), script).unwrap();
        std::fs::set_permissions(place.path("python"), PermissionsExt::from_mode(0o755)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, variant: Variant) -> LibraryOptions {
        LibraryOptions { variant, home: self.path("home"), python: Some(self.path("python")), ..LibraryOptions::default() }
    }

    /// Empty libraries among Python's packages.
    fn add(&self, libraries: &[&str]) {
        for library in libraries {
            let path = self.path("site-packages").join(library);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
    }

    /// A library where a fetch would have put it.
    fn pretend(&self, package: &Package, library: &str) {
        let folder = self.path("home").join("runtime").join(format!("{}-{}", package.name, package.version));
        create_folder(&folder).unwrap();
        std::fs::write(folder.join(library), "library").unwrap();
    }
}

fn state<'a>(packages: &'a [Package], name: &str) -> &'a PackageState {
    &packages.iter().find(|package| package.name == name).unwrap().state
}

#[test]
fn variants_with_cuda_take_its_libraries_too() {
    let place = Place::new();
    let names = |variant| packages(&place.options(variant)).unwrap().iter().map(|package| package.name).collect::<Vec<_>>();
    assert_eq!(names(Variant::Cpu), ["onnxruntime"]);
    assert_eq!(names(Variant::OpenVino), ["onnxruntime-openvino"]);
    let new = ["onnxruntime-gpu", "nvidia-cuda-runtime", "nvidia-cublas", "nvidia-curand", "nvidia-cuda-nvrtc", "nvidia-cudnn-cu13"];
    assert_eq!(names(Variant::Cuda13), new);
    assert!(names(Variant::Cuda12)[1..].iter().all(|name| name.ends_with("-cu12")));
    assert_ne!(Variant::Cuda12.version(), Variant::Cuda13.version());
}

#[test]
fn libraries_that_pytorch_brought_are_not_fetched() {
    let place = Place::new();
    let options = place.options(Variant::Cuda13);
    assert_eq!(state(&packages(&options).unwrap(), "onnxruntime-gpu"), &PackageState::Missing);
    place.add(&["nvidia/cu13/lib/libcublas.so.13", "nvidia/cu13/lib/libcublasLt.so.13", "nvidia/cu13/lib/libcudart.so.13"]);
    let found = packages(&options).unwrap();
    // Here, or in a toolkit of this machine's.
    assert!(matches!(state(&found, "nvidia-cublas"), PackageState::Elsewhere(_)), "{found:?}");
    place.add(&["nvidia/cudnn/lib/libcudnn.so.9", "nvidia_cudnn_cu13-9.20.0.48.dist-info/METADATA"]);
    assert!(matches!(state(&packages(&options).unwrap(), "nvidia-cudnn-cu13"), PackageState::Elsewhere(_)));
}

#[test]
fn install_asks_pip_for_the_pinned_file_and_tells_what_pip_says() {
    let place = Place::new();
    for variant in [Variant::Cuda12, Variant::Cuda13] {
        let error = install(&place.options(variant)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FetchFailed, "{error}");
        let asked = std::fs::read_to_string(place.path("asked")).unwrap();
        let pinned = format!("onnxruntime-gpu=={} --hash=sha256:", variant.version().unwrap());
        assert!(asked.lines().last().unwrap().starts_with(&pinned), "{asked}");
    }
    let offline = LibraryOptions { offline: true, ..place.options(Variant::Cuda13) };
    assert_eq!(install(&offline).unwrap_err().kind(), ErrorKind::Offline);
}

#[test]
fn what_was_fetched_is_removed_and_nothing_else() {
    let place = Place::new();
    place.add(&["nvidia/cu13/lib/libcudart.so.13"]);
    let (new, old) = (place.options(Variant::Cuda13), place.options(Variant::Cuda12));
    let all = packages(&new).unwrap();
    place.pretend(&all[0], "libonnxruntime.so.1.31.1");
    place.pretend(&all[2], "libcublas.so.13");
    place.pretend(&packages(&old).unwrap()[0], "libonnxruntime.so.1.26.0");
    assert!(is_installed(&new) && is_installed(&old));
    assert!(matches!(state(&packages(&new).unwrap(), "nvidia-cublas"), PackageState::Fetched(_)));
    assert_eq!(remove(&new).unwrap(), 2 * "library".len() as u64);
    assert!(!is_installed(&new) && is_installed(&old));
    assert!(place.path("site-packages/nvidia/cu13/lib/libcudart.so.13").exists());
    assert_eq!(remove(&new).unwrap(), 0);
}

#[test]
fn the_variant_for_cuda_is_the_one_that_is_installed() {
    let place = Place::new();
    let options = place.options(Variant::Cpu);
    place.pretend(&packages(&place.options(Variant::Cuda12)).unwrap()[0], "libonnxruntime.so.1.26.0");
    assert_eq!(cuda_variant(&options), Variant::Cuda12);
}

#[test]
fn a_changed_library_is_not_taken_for_an_installed_one() {
    let place = Place::new();
    let options = place.options(Variant::Cuda13);
    place.pretend(&packages(&options).unwrap()[0], "libonnxruntime.so.1.31.1");
    assert_eq!(install(&options).unwrap_err().kind(), ErrorKind::HashMismatch);
}

#[test]
fn what_is_missing_of_a_provider_is_told_with_the_command_that_mends_it() {
    let place = Place::new();
    let options = place.options(Variant::Cpu);
    let examine = |name: &str| examine(&name.parse::<Provider>().unwrap(), &options, None);
    assert!(examine("cpu").is_complete() && examine("cpu").mend.is_none());
    let openvino = examine("openvino");
    assert_eq!(openvino.mend.as_deref(), Some("maskline runtime install openvino"));
    let cuda = examine("cuda");
    let fact = |what: &str| cuda.facts.iter().find(|fact| fact.what == what).unwrap();
    assert!(!cuda.is_complete() && fact("runtime").is_missing);
    let mend = cuda.mend.as_deref().unwrap();
    assert!(mend.ends_with("maskline runtime install cuda13") || mend.ends_with("maskline runtime install cuda12"), "{mend}");
    if fact("driver").is_missing {
        assert!(mend.starts_with("install NVIDIA's driver"), "{mend}");
    }
    let tensorrt = examine("tensorrt");
    assert!(tensorrt.facts.iter().any(|fact| fact.what == "tensorrt"), "{tensorrt:?}");
}

#[test]
fn homes_of_others_are_not_written_to() {
    let place = Place::new();
    let file = place.path("file");
    std::fs::write(&file, "").unwrap();
    let error = install(&LibraryOptions { home: file, ..place.options(Variant::OpenVino) }).unwrap_err();
    assert!(error.help().is_some_and(|help| help.contains("MASKLINE_HOME")), "{error}");
    assert!(!Path::new("asked").exists());
}
