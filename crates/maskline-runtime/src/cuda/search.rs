//! Where NVIDIA's libraries may lie.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::fetch;
use crate::library::LibraryOptions;
use crate::wheel::{CUDA, Wheel};

/// Folders of the system's own that its loader looks into.
const LOADER: [&str; 6] = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/usr/lib/wsl/lib"];
/// Folder of TensorRT's libraries among a Python's packages.
const TENSORRT: &str = "tensorrt_libs";

/// A folder that may hold libraries.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    /// The wheel that was fetched there, in maskline's own folder.
    pub(crate) wheel: Option<&'static Wheel>,
}

/// A library that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// See [`Place`].
    pub(crate) wheel: Option<&'static Wheel>,
}

/// The first of the places that holds a library.
pub(crate) fn find(places: &[Place], library: &str) -> Option<Found> {
    let at = |place: &Place| {
        let path = place.folder.join(library);
        path.is_file().then_some(Found { path, wheel: place.wheel })
    };
    places.iter().find_map(at)
}

/// The folders of `LD_LIBRARY_PATH`: the user's word, looked at first.
pub(crate) fn of_loader_path(variable: Option<&OsStr>) -> Vec<Place> {
    let folders = variable.map(|folders| std::env::split_paths(folders).collect::<Vec<_>>()).unwrap_or_default();
    folders.into_iter().filter(|folder| folder.is_absolute()).map(Place::of).collect()
}

/// Where the wheels for a version of CUDA are fetched to.
pub(crate) fn of_home(options: &LibraryOptions, major: u32) -> Vec<Place> {
    let rows = CUDA.iter().filter(|row| row.major == major);
    rows.map(|row| Place { folder: fetch::folder(&row.wheel, options), wheel: Some(&row.wheel) }).collect()
}

/// The toolkits of a version of CUDA below `/usr/local`, the newest first.
pub(crate) fn of_toolkits(local: &Path, major: u32) -> Vec<Place> {
    let mut toolkits = folders(local, |name| name.starts_with("cuda"));
    toolkits.reverse();
    let libraries = toolkits.iter().flat_map(|toolkit| [toolkit.join("lib64"), toolkit.join("targets/x86_64-linux/lib")]);
    // Some libraries have the same name in all versions.
    libraries.filter(|folder| folder.join(format!("libcudart.so.{major}")).is_file()).map(Place::of).collect()
}

/// The folders below a Python's packages (`site-packages`): those of NVIDIA's packages for a version of CUDA, which PyTorch brings, and
/// TensorRT's.
pub(crate) fn of_packages(site: &Path, major: u32) -> Vec<Place> {
    let other = if major == 12 { 13 } else { 12 };
    // cuDNN, cuRAND and TensorRT are called alike in the packages for all versions: what is said to be for the other one only is no use.
    let installed = folders(site, |name| name.ends_with(".dist-info"));
    let is_for = |major: u32, package: &str| {
        let start = package.replace('#', &major.to_string());
        installed.iter().any(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)))
    };
    let fits = |package: &str| is_for(major, package) || !is_for(other, package);
    let mut own = folders(&site.join("nvidia"), |name| name != format!("cu{other}") && fits(&format!("nvidia_{name}_cu#-")));
    // PyTorch's for CUDA 13 first, where all but cuDNN lie together.
    own.sort_by_key(|folder| !folder.ends_with(format!("cu{major}")));
    let tensorrt = fits("tensorrt_cu#_libs-").then(|| site.join(TENSORRT));
    own.iter().map(|folder| folder.join("lib")).chain(tensorrt).filter(|folder| folder.is_dir()).map(Place::of).collect()
}

/// Where the system's loader looks anyway.
pub(crate) fn of_loader() -> Vec<Place> {
    LOADER.iter().map(PathBuf::from).map(Place::of).collect()
}

impl Place {
    fn of(folder: PathBuf) -> Self {
        Self { folder, wheel: None }
    }
}

/// The folders within a folder whose names are wished for, sorted by name.
fn folders(within: &Path, is_wished: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(within).into_iter().flatten().flatten();
    let named = entries.filter(|entry| is_wished(&entry.file_name().to_string_lossy())).map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = named.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes empty files, with the folders around them.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("folder");
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(path, "").expect("file");
        }
        root
    }

    fn found(places: &[Place], root: &Path, library: &str) -> Option<String> {
        find(places, library).map(|found| found.path.strip_prefix(root).expect("below").display().to_string())
    }

    #[test]
    fn pytorchs_packages_are_found_for_their_version_of_cuda_alone() {
        let new = tree(&[
            "nvidia/cu13/lib/libcudart.so.13",
            "nvidia/cu13/lib/libcurand.so.10",
            "nvidia/cudnn/lib/libcudnn.so.9",
            "nvidia_cudnn_cu13-9.20.0.48.dist-info/METADATA",
        ]);
        let places = of_packages(new.path(), 13);
        assert_eq!(found(&places, new.path(), "libcudart.so.13").as_deref(), Some("nvidia/cu13/lib/libcudart.so.13"));
        assert_eq!(found(&places, new.path(), "libcudnn.so.9").as_deref(), Some("nvidia/cudnn/lib/libcudnn.so.9"));
        let places = of_packages(new.path(), 12);
        assert!(["libcudnn.so.9", "libcurand.so.10"].iter().all(|library| found(&places, new.path(), library).is_none()));
        let old = tree(&[
            "nvidia/cublas/lib/libcublas.so.12",
            "nvidia/curand/lib/libcurand.so.10",
            "nvidia/cudnn/lib/libcudnn.so.9",
            "nvidia_cudnn_cu12-9.10.2.21.dist-info/METADATA",
            "nvidia_curand_cu12-10.3.9.90.dist-info/METADATA",
        ]);
        let places = of_packages(old.path(), 12);
        assert_eq!(found(&places, old.path(), "libcurand.so.10").as_deref(), Some("nvidia/curand/lib/libcurand.so.10"));
        assert!(found(&places, old.path(), "libcublas.so.12").is_some() && found(&places, old.path(), "libcudnn.so.9").is_some());
        let places = of_packages(old.path(), 13);
        assert!(["libcudnn.so.9", "libcurand.so.10"].iter().all(|library| found(&places, old.path(), library).is_none()));
    }

    #[test]
    fn tensorrts_package_is_found() {
        let site = tree(&["tensorrt_libs/libnvinfer.so.10", "tensorrt_cu13_libs-10.16.1.11.dist-info/METADATA"]);
        assert!(find(&of_packages(site.path(), 13), "libnvinfer.so.10").is_some());
        assert!(find(&of_packages(site.path(), 12), "libnvinfer.so.10").is_none());
    }

    #[test]
    fn the_newest_toolkit_of_the_version_is_taken() {
        let local = tree(&[
            "cuda-12.8/lib64/libcudart.so.12",
            "cuda-12.8/lib64/libcurand.so.10",
            "cuda-13.0/lib64/libcudart.so.13",
            "cuda-13.0/lib64/libcurand.so.10",
            "cuda-13.2/targets/x86_64-linux/lib/libcudart.so.13",
            "other/lib64/libcudart.so.13",
        ]);
        let of = |major, library| found(&of_toolkits(local.path(), major), local.path(), library);
        assert_eq!(of(13, "libcudart.so.13").as_deref(), Some("cuda-13.2/targets/x86_64-linux/lib/libcudart.so.13"));
        assert_eq!(of(13, "libcurand.so.10").as_deref(), Some("cuda-13.0/lib64/libcurand.so.10"));
        assert_eq!(of(12, "libcurand.so.10").as_deref(), Some("cuda-12.8/lib64/libcurand.so.10"));
        assert_eq!(of(12, "libcublas.so.12"), None);
    }

    #[test]
    fn of_the_loaders_variable_only_absolute_folders_count() {
        let folder = tree(&["libcudart.so.13"]);
        let absolute = folder.path().to_owned();
        let variable = std::env::join_paths([Path::new("relative"), Path::new(""), &absolute]).expect("a list");
        let places = of_loader_path(Some(&variable));
        assert_eq!(places.len(), 1);
        assert!(find(&places, "libcudart.so.13").is_some() && of_loader_path(None).is_empty());
    }

    #[test]
    fn what_was_fetched_is_looked_for_in_the_folders_of_its_version() {
        let options = LibraryOptions { home: PathBuf::from("/home"), ..LibraryOptions::default() };
        let places = of_home(&options, 12);
        assert!(places.iter().all(|place| place.wheel.is_some_and(|wheel| wheel.package.ends_with("-cu12"))));
        assert!(places.iter().any(|place| place.folder == Path::new("/home/runtime/nvidia-cublas-cu12-12.8.4.1")));
        assert_eq!(places.len() + of_home(&options, 13).len(), CUDA.len());
    }
}
