//! What a provider takes on a machine that has nothing of it.

use crate::cuda::{self, Toolkit};
use crate::error::Result;
use crate::install::{PackageState, cuda_variant, packages};
use crate::library::LibraryOptions;
use crate::provider::Provider;
use crate::staging::tree_size;
use crate::variant::Variant;

/// What must be brought to a machine before a provider runs there; NVIDIA's driver is not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Bytes on disk of all of it: as they are here, and of packages that are not in maskline's folder as they are pinned. `None` where
    /// something is neither: TensorRT that is not here.
    pub bytes: Option<u64>,
    /// The commands that bring it, in their order; none where the first run fetches it.
    pub commands: Vec<String>,
}

/// What a provider takes, whatever of it is here. Nothing is fetched.
///
/// For NVIDIA's providers it may start a Python, to ask where its packages are.
///
/// # Errors
/// `LibraryNotFound` where there is no build with the provider for this platform.
pub fn needs(provider: &Provider, options: &LibraryOptions) -> Result<Needs> {
    let variant = match provider {
        Provider::Cpu => Variant::Cpu,
        Provider::OpenVino(_) => Variant::OpenVino,
        Provider::Cuda(_) | Provider::TensorRt(_) => cuda_variant(options),
    };
    let options = LibraryOptions { variant, ..options.clone() };
    let mut bytes: u64 = 0;
    for package in packages(&options)? {
        bytes += match &package.state {
            PackageState::Fetched(folder) => tree_size(folder),
            // Elsewhere lies more than what is used, and one cannot tell which.
            PackageState::Elsewhere(_) | PackageState::Missing => package.unpacked_bytes,
        };
    }
    let Some(major) = variant.cuda_major() else { return Ok(Needs { bytes: Some(bytes), commands: Vec::new() }) };
    let install = format!("maskline runtime install {variant}");
    if !matches!(provider, Provider::TensorRt(_)) {
        return Ok(Needs { bytes: Some(bytes), commands: vec![install] });
    }
    let tensorrt = cuda::tensorrt_bytes(&Toolkit::new(&options), major);
    Ok(Needs { bytes: tensorrt.map(|tensorrt| bytes + tensorrt), commands: vec![install, cuda::tensorrt_command(major)] })
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_here_is_as_large_as_it_is_pinned_and_what_is_here_as_it_is() {
        let home = tempfile::tempdir().expect("a folder");
        let options = LibraryOptions { home: home.path().to_owned(), ..LibraryOptions::default() };
        let of = |name: &str| needs(&name.parse().expect("a provider"), &options).expect("for this platform");
        let pinned = packages(&options).expect("for this platform")[0].unpacked_bytes;
        assert_eq!(of("cpu"), Needs { bytes: Some(pinned), commands: vec![] });
        assert!(of("openvino").bytes > Some(pinned) && of("openvino").commands.is_empty(), "the first run fetches it");
        let cuda = of("cuda");
        assert!(cuda.bytes > Some(1 << 30), "with CUDA's own libraries: {cuda:?}");
        assert!(cuda.commands.len() == 1 && cuda.commands[0].starts_with("maskline runtime install cuda1"), "{cuda:?}");
        assert!(of("tensorrt").commands.len() == 2 && of("tensorrt").commands[0] == cuda.commands[0]);
        let variant = LibraryOptions { variant: Variant::Cpu, ..options.clone() };
        let wheel = Variant::Cpu.wheel().expect("for this platform");
        let folder = crate::fetch::folder(wheel, &variant);
        let library = folder.join(wheel.library);
        std::fs::create_dir_all(library.parent().expect("a folder")).expect("a folder");
        std::fs::write(&library, [0; 1000]).expect("a file");
        assert_eq!(of("cpu").bytes, Some(1000));
    }
}
