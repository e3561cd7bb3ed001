//! Bringing a variant of ONNX Runtime to this machine when asked, with what else it needs, and taking it away again.

use std::path::PathBuf;

use crate::cuda::{self, Machine, Toolkit};
use crate::disk::check_room;
use crate::error::Result;
use crate::library::LibraryOptions;
use crate::staging::{remove_dir, tree_size};
use crate::variant::Variant;
use crate::wheel::{CUDA, CudaRow, Wheel};
use crate::{fetch, home, staging};

/// A package that a variant consists of: ONNX Runtime's build, or one of CUDA's own libraries.
#[derive(Debug, Clone)]
pub struct Package {
    /// What it is called: `ONNX Runtime`, `cuBLAS`.
    pub title: &'static str,
    /// Its name on PyPI.
    pub name: &'static str,
    /// The pinned version.
    pub version: &'static str,
    /// Bytes to fetch.
    pub download_bytes: u64,
    /// Bytes on disk, once it is there.
    pub unpacked_bytes: u64,
    /// Whether it is here.
    pub state: PackageState,
}

/// Whether a package is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageState {
    /// In maskline's own folder: this one.
    Fetched(PathBuf),
    /// Its libraries were here before, this one among them, and are used: PyTorch's, a toolkit's.
    Elsewhere(PathBuf),
    /// Nowhere.
    Missing,
}

impl Package {
    fn of(wheel: &'static Wheel, options: &LibraryOptions, elsewhere: impl FnOnce() -> Option<PathBuf>) -> Self {
        let folder = fetch::folder(wheel, options);
        let state = if folder.join(wheel.library).is_file() {
            PackageState::Fetched(folder)
        } else {
            elsewhere().map_or(PackageState::Missing, PackageState::Elsewhere)
        };
        let Wheel { title, package, version, bytes, unpacked, .. } = *wheel;
        Self { title, name: package, version, download_bytes: bytes, unpacked_bytes: unpacked, state }
    }
}

/// CUDA's packages for a variant.
fn cuda_rows(variant: Variant) -> impl Iterator<Item = &'static CudaRow> {
    CUDA.iter().filter(move |row| variant.cuda_major() == Some(row.major))
}

/// The packages of the options' variant, ONNX Runtime first. Nothing is fetched; what lies there is not verified, as it is whenever it is
/// loaded.
///
/// Of variants with CUDA it may start a Python, to ask where its packages are.
///
/// # Errors
/// `LibraryNotFound` where the variant does not exist for this platform.
pub fn packages(options: &LibraryOptions) -> Result<Vec<Package>> {
    let toolkit = Toolkit::new(options);
    let runtime = Package::of(options.variant.wheel()?, options, || None);
    let rows = cuda_rows(options.variant).map(|row| Package::of(&row.wheel, options, || cuda::elsewhere(&toolkit, row)));
    Ok(std::iter::once(runtime).chain(rows).collect())
}

/// Whether ONNX Runtime of the options' variant is in maskline's folder.
pub fn is_installed(options: &LibraryOptions) -> bool {
    options.variant.wheel().is_ok_and(|wheel| fetch::folder(wheel, options).join(wheel.library).is_file())
}

/// Fetches those packages of the options' variant that are nowhere on this machine into maskline's folder, each checked against its hash. The
/// user's Python stays as it is.
///
/// # Errors
/// As [`locate`](crate::locate).
pub fn install(options: &LibraryOptions) -> Result<Vec<Package>> {
    home::check_home(&options.home)?;
    let missing = |package: &&Package| package.state == PackageState::Missing;
    let before = packages(options)?;
    let needed = before.iter().filter(missing).map(|package| package.download_bytes + package.unpacked_bytes).sum();
    check_room(&options.home, needed, &format!("fetching the variant {}", options.variant))?;
    // What lies there already is verified too.
    fetch::cached_or_fetched(options.variant.wheel()?, options)?;
    for row in cuda_rows(options.variant) {
        let is_elsewhere = |package: &Package| package.name == row.wheel.package && matches!(package.state, PackageState::Elsewhere(_));
        if !before.iter().any(is_elsewhere) {
            fetch::cached_or_fetched(&row.wheel, options)?;
        }
    }
    packages(options)
}

/// Removes the packages of the options' variant from maskline's folder, and nothing that lies elsewhere. Returns the bytes that were freed.
///
/// # Errors
/// `Io`; `LibraryNotFound` where the variant does not exist for this platform.
pub fn remove(options: &LibraryOptions) -> Result<u64> {
    let mut freed = 0;
    for wheel in std::iter::once(options.variant.wheel()?).chain(cuda_rows(options.variant).map(|row| &row.wheel)) {
        let folder = fetch::folder(wheel, options);
        if !folder.is_dir() {
            continue;
        }
        let _lock = fetch::lock(wheel, options)?;
        staging::remove_leftovers(&folder)?;
        freed += tree_size(&folder);
        remove_dir(&folder)?;
    }
    Ok(freed)
}

/// The variant with CUDA that is for this machine: the one that is installed; where both or none are, the one that its driver can run.
pub fn cuda_variant(options: &LibraryOptions) -> Variant {
    let is_there = |variant| is_installed(&LibraryOptions { variant, ..options.clone() });
    let is_old = Machine::of_kernel().driver_line().is_some_and(|line| line < cuda::oldest_driver(13));
    match (is_there(Variant::Cuda12), is_there(Variant::Cuda13)) {
        (true, false) => Variant::Cuda12,
        (false, true) => Variant::Cuda13,
        _ if is_old => Variant::Cuda12,
        _ => Variant::Cuda13,
    }
}
