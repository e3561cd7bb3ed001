//! From checkpoint to bundle: built once, kept in the cache, plain ONNX.

mod manifest;
mod origin;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use maskline_models::{BuildOptions, Built, HeadBranch, MaskDecoder, ModelInfo, PartRole, SizeRule, SizeSource};
use maskline_onnx::{Dialect, Model as Graph, SaveOptions, Saver};
use maskline_runtime::{Cache, Entry, Key, hash_key};
use serde::{Deserialize, Serialize};

use self::manifest::{AssetRecord, Link, Manifest, PartFile};
use self::origin::Origin;
use crate::ModelSource;
use crate::{Calibration, Error, ErrorKind, Numbers, Result};

pub use self::origin::write_generated_weights;

/// Raised whenever the same checkpoint and options give another bundle, so that nothing stale is ever loaded.
const BUILDER_VERSION: u32 = 24;
/// Most pixels a side of the picture input.
const MOST_SIDE: usize = 8192;

/// What computes the layers of transformers in image encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernels {
    /// Whatever is faster, as far as is known.
    #[default]
    Auto,
    /// Operators of our own, [`Dialect::Native`]'s.
    Own,
    /// ONNX Runtime's.
    Ort,
}

impl Kernels {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Own, Self::Ort];

    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Own => "own",
            Self::Ort => "ort",
        }
    }
}

impl FromStr for Kernels {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kernels| kernels.name() == name);
        found.ok_or_else(|| format!("kernels: expected auto, own or ort, found {name}"))
    }
}

/// What a bundle is built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleOptions {
    /// Operators that the graphs may use. Those of [`Dialect::Native`] are for processors: models that another provider runs are built without
    /// them, and those that OpenVINO runs of standard ones alone.
    pub dialect: Dialect,
    /// Which mask decoder a promptable model gets. `None` for [`MaskDecoder::Native`] where the dialect has its operators, and
    /// [`MaskDecoder::Graph`] everywhere else.
    pub decoder: Option<MaskDecoder>,
    /// What computes the layers of image encoders.
    pub kernels: Kernels,
    /// What it is made of. `None` for what [`LoadOptions::precision`](crate::LoadOptions::precision) says for its provider, and for f32 where
    /// nobody says it.
    pub numbers: Option<Numbers>,
    /// The ranges that [`Numbers::Int8`] is made with. `None` for those that `maskline quantise` found and kept.
    pub calibration: Option<Arc<Calibration>>,
    /// `[count, dims]` of keypoints, where a checkpoint does not tell them apart.
    pub keypoint_shape: Option<[usize; 2]>,
    /// Which of a detector's two heads answers, where a checkpoint has two (YOLO26). `None` for the one that the reference predicts with.
    pub head: Option<HeadBranch>,
    /// Class names in the order of the classes, instead of those of the checkpoint; see [`parse_names`](crate::parse_names).
    pub labels: Option<Vec<String>>,
    /// Side of the picture input: what models that are built for one size are built for, and the default size of the others. `None` for
    /// what they were trained at.
    pub image_size: Option<usize>,
    /// Tokens of a text, padding among them, where the text encoder leaves it free (SAM3-LiteText's). `None` for as many as the reference's
    /// processor gives.
    pub context: Option<usize>,
    /// Facts that neither a checkpoint nor the `config.json` beside it tells, by the family's own keys.
    pub config: Option<serde_json::Value>,
    /// Also output the inner tensors that golden cases hold.
    pub taps: bool,
}

impl Default for BundleOptions {
    /// The operators that are fastest on this processor.
    fn default() -> Self {
        Self {
            dialect: if maskline_runtime::fast_instructions().is_some() { Dialect::Native } else { Dialect::Ort },
            decoder: None,
            kernels: Kernels::default(),
            numbers: None,
            calibration: None,
            keypoint_shape: None,
            head: None,
            labels: None,
            image_size: None,
            context: None,
            config: None,
            taps: false,
        }
    }
}

/// A built model on disk.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Directory of the bundle; provider artefacts lie in it too.
    pub directory: PathBuf,
    /// Whether it was built just now.
    pub built: bool,
    manifest: Manifest,
    /// Keeps everybody from pruning the directory while the bundle, or a model of it, lives.
    _in_use: Entry,
}

impl Bundle {
    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        &self.manifest.info
    }

    /// What it is made of.
    pub fn numbers(&self) -> Numbers {
        self.manifest.numbers
    }

    /// What computes the layers of its image encoder; `None` where it has none.
    pub fn kernels(&self) -> Option<Kernels> {
        let encoder = self.info().parts.iter().find(|part| part.role == PartRole::ImageEncoder)?;
        let file = self.manifest.files.get(&encoder.name)?;
        Some(if file.has_own_layers { Kernels::Own } else { Kernels::Ort })
    }

    /// Files of the parts, by name, in the order of [`ModelInfo::parts`].
    pub fn parts(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        let files = &self.manifest.files;
        let file = |name: &str| files.get(name).map(|part| self.directory.join(&part.file));
        self.info().parts.iter().filter_map(move |part| Some((part.name.as_str(), file(&part.name)?)))
    }

    /// Bytes of a part's weights outside of its file, wherever they lie: its own, those that it shares with other parts, and those that
    /// it reads in the checkpoint. `None` where there is no such part.
    pub fn weights_bytes(&self, part: &str) -> Option<u64> {
        self.manifest.files.get(part).map(|part| part.weights_bytes)
    }

    /// Whether weights of a part are of half precision where they lie, which its optimised graph would hold at twice the size.
    pub(crate) fn has_half(&self, part: &str) -> bool {
        self.manifest.files.get(part).is_some_and(|part| part.has_half)
    }

    /// The content of a file that the family gave the bundle, such as a tokenizer; it is what it was when the bundle was built.
    ///
    /// # Errors
    /// `Failed` if there is none of this name, `Io` if it cannot be read or was changed since.
    pub fn asset(&self, name: &str) -> Result<Vec<u8>> {
        match self.manifest.assets.iter().find(|asset| asset.name == name) {
            Some(asset) => asset.read(&self.directory),
            None => {
                let message = format!("{}: the bundle has no asset `{name}`", self.directory.display());
                Err(Error::new(ErrorKind::Failed, message))
            }
        }
    }

    /// Names of its [assets](Self::asset).
    pub fn assets(&self) -> impl Iterator<Item = &str> {
        self.manifest.assets.iter().map(|asset| asset.name.as_str())
    }

    /// The name that the bundle of a model has.
    pub(crate) fn name_of(source: &ModelSource, options: &BundleOptions) -> Result<String> {
        options.check()?;
        Ok(Origin::open(source)?.key(options)?.to_string())
    }

    /// The bundle of a model, from the cache or built now.
    pub(crate) fn open(cache: &Cache, source: &ModelSource, options: &BundleOptions) -> Result<Self> {
        options.check()?;
        let origin = Origin::open(source)?;
        let mut bundle = Self::at(cache, origin.key(options)?, &|directory| origin.build(options, directory))?;
        if let Some(side) = options.image_size {
            give_size(&mut bundle.manifest.info, side)?;
        }
        Ok(bundle)
    }

    /// The bundle of a key, which is made again where somebody changed a linked checkpoint or damaged the directory.
    fn at(cache: &Cache, key: Key, make: &dyn Fn(&Path) -> Result<()>) -> Result<Self> {
        let entry = cache.get_or_build(&key, make)?;
        let was_built = entry.built;
        match Self::read(entry) {
            // What a loaded model still uses stays where it is, and the new one gets a place of its own.
            Err(_) if !was_built => {
                let is_free = cache.remove(&key).is_ok();
                let next = if is_free { key } else { hash_key(["beside", &key.to_string()]) };
                Self::at(cache, next, make)
            }
            answer => answer,
        }
    }

    fn read(entry: Entry) -> Result<Self> {
        let directory = entry.path.as_path();
        let manifest = Manifest::read(directory)?;
        manifest.check(directory)?;
        Ok(Self { directory: directory.to_path_buf(), built: entry.built, manifest, _in_use: entry })
    }
}

impl BundleOptions {
    /// Whether layers are to be operators of our own, or whatever is faster: only arithmetic in f32 has them, as other numbers rewrite graphs
    /// operator by operator.
    fn own_layers(&self) -> Option<bool> {
        let is_plain = matches!(self.numbers.unwrap_or_default(), Numbers::F32 | Numbers::F16Weights);
        match self.kernels {
            Kernels::Auto if is_plain && self.dialect == Dialect::Native => None,
            Kernels::Own => Some(is_plain && self.dialect == Dialect::Native),
            Kernels::Auto | Kernels::Ort => Some(false),
        }
    }

    /// Refuses numbers that no model can have, before memory is asked for them.
    fn check(&self) -> Result<()> {
        if let Some(side) = self.image_size.filter(|side| *side > MOST_SIDE) {
            let message = format!("size: found {side}, the limit is {MOST_SIDE} pixels a side");
            return Err(Error::new(ErrorKind::OverLimit, message));
        }
        if self.decoder == Some(MaskDecoder::Native) && self.dialect != Dialect::Native {
            let why = format!("the native mask decoder is not to be had: the graphs are built in the dialect `{}`", self.dialect.name());
            let help = "it needs a processor with AVX2 and FMA, AVX-512 or NEON, and the provider cpu; leave the decoder to maskline";
            return Err(Error::new(ErrorKind::Unavailable, why).with_help(help));
        }
        if self.kernels == Kernels::Own && self.own_layers() == Some(false) {
            let error = Error::new(ErrorKind::Unavailable, "kernels of our own are not to be had");
            let error = error.expecting("a processor with AVX2 and FMA, AVX-512 or NEON, the provider cpu, and f32");
            return Err(error.with_help("leave the kernels to maskline (auto)"));
        }
        match self.keypoint_shape {
            Some([count, dims]) if !(1..=1 << 16).contains(&count) || !(2..=3).contains(&dims) => {
                let error = Error::new(ErrorKind::InvalidOption, "keypoint shape").expecting("[count, 2] or [count, 3]");
                Err(error.but_found(format!("[{count}, {dims}]")))
            }
            _ => Ok(()),
        }
    }
}

/// The size that the caller wishes as the default one, where the graph takes any.
fn give_size(info: &mut ModelInfo, side: usize) -> Result<()> {
    match info.size_rule() {
        SizeRule::Own => return Ok(()),
        SizeRule::Exported { size } if size != [side; 2] => {
            let message = format!("size: this export takes {} × {} only, found {side}", size[1], size[0]);
            return Err(Error::new(ErrorKind::InvalidOption, message).with_help("export it with `dynamic=True`, or use its checkpoint"));
        }
        SizeRule::Any { multiple } if side == 0 || !side.is_multiple_of(multiple) => {
            let expected = format!("a multiple of {multiple} from {multiple} up");
            return Err(Error::new(ErrorKind::InvalidOption, "size").expecting(expected).but_found(side));
        }
        SizeRule::Built { .. } | SizeRule::Exported { .. } | SizeRule::Any { .. } => {}
    }
    (info.default_size, info.size_from) = (side, SizeSource::Given);
    Ok(())
}

fn build_options(options: &BundleOptions, architecture: Option<String>) -> BuildOptions {
    BuildOptions {
        dialect: options.dialect,
        decoder: options.decoder.unwrap_or(MaskDecoder::Native),
        own_layers: options.own_layers(),
        architecture,
        keypoint_shape: options.keypoint_shape,
        head: options.head,
        labels: options.labels.clone(),
        image_size: options.image_size,
        context: options.context,
        config: options.config.clone(),
        taps: options.taps,
    }
}

/// The parts that whole pictures go through, rewritten: what integers gain most of, and lose least. The others stay f32.
fn quantised<'w>(built: Built<'w>, rewrite: impl Fn(&str, Graph<'w>) -> Result<Graph<'w>>) -> Result<Built<'w>> {
    const ROLES: [PartRole; 4] = [PartRole::ImageEncoder, PartRole::Detector, PartRole::Classifier, PartRole::Segmenter];
    let names: Vec<&str> = built.parts().iter().filter(|part| ROLES.contains(&part.role)).map(|part| part.name).collect();
    built.rewritten(|part, graph| if names.contains(&part) { rewrite(part, graph) } else { Ok(graph) })
}

/// What is said where nobody has looked for ranges.
pub(crate) fn uncalibrated() -> Error {
    let error = Error::new(ErrorKind::InvalidOption, "int8: the ranges of this model's tensors are not known");
    error.with_help("look for them on pictures like those that it will see: `maskline quantise MODEL photos/`, with the same options")
}

/// Writes a built model into an empty directory. The manifest comes last.
fn save(built: Built<'_>, options: &BundleOptions, directory: &Path) -> Result<()> {
    if options.labels.is_some() && built.info().classes().is_none() {
        let message = format!("names of classes: a {} has no classes", built.info().architecture);
        return Err(Error::new(ErrorKind::InvalidOption, message).with_help("leave them out"));
    }
    if let Some(head) = options.head.filter(|_| built.info().classes().is_none()) {
        let message = format!("head: a {} is no detector, and has no {} head", built.info().architecture, head.name());
        return Err(Error::new(ErrorKind::InvalidOption, message).with_help("leave it out"));
    }
    let numbers = options.numbers.unwrap_or_default();
    let mut manifest = Manifest::new(built.info().clone(), numbers);
    let built = match (numbers, numbers.half()) {
        (_, Some(half)) => built.rewritten(|_, graph| Ok::<_, Error>(graph.in_half(half).map_err(maskline_models::Error::from)?))?,
        (Numbers::Observed, None) => quantised(built, |_, graph| Ok(graph.observed().map_err(maskline_models::Error::from)?))?,
        (Numbers::Int8, None) => {
            let calibration = options.calibration.as_deref().ok_or_else(uncalibrated)?;
            quantised(built, |part, graph| calibration.quantise(part, graph))?
        }
        _ => built,
    };
    let mut saver = Saver::new(directory, SaveOptions::default());
    for part in built.parts() {
        let saved = saver.save(part.name, &part.model)?;
        let file = PathBuf::from(saved.model.file_name().unwrap_or_default());
        let (weights_bytes, has_half, has_own_layers) = (saved.external_bytes, saved.has_half, part.model.has_own_layers());
        manifest.files.insert(part.name.to_string(), PartFile { file, weights_bytes, has_half, has_own_layers });
    }
    manifest.links = saver.links().map(|link| Link::of(directory, Path::new(link))).collect::<Result<_>>()?;
    manifest.assets = built.assets().iter().map(|asset| AssetRecord::write(asset, directory)).collect::<Result<_>>()?;
    manifest.write(directory)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use maskline_models::{Asset, PartInfo, family_of_architecture};
    use maskline_weights::Source;

    use super::*;

    /// The bundle of the smallest architecture, with assets that no family has yet.
    fn bundle(cache: &Cache, assets: &[Asset]) -> Result<Bundle> {
        let source = Source::generated(1);
        let options = BuildOptions { architecture: Some("yolov8n".into()), ..BuildOptions::default() };
        let family = family_of_architecture("yolov8n").unwrap();
        let of_assets = |assets: &[Asset]| family.build(&source, &options).unwrap().with_assets(assets.to_vec());
        Bundle::at(cache, hash_key(["test"]), &|directory| save(of_assets(assets), &BundleOptions::default(), directory))
    }

    #[test]
    fn assets_are_read_back_as_they_were_given_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let asset = |name: &str| Asset { name: name.into(), bytes: vec![7; 2000] };
        let built = bundle(&cache, &[asset("tokenizer.json"), asset("names.txt")]).unwrap();
        assert_eq!(built.assets().collect::<Vec<_>>(), ["tokenizer.json", "names.txt"]);
        assert_eq!(built.asset("tokenizer.json").unwrap(), [7; 2000]);
        assert_eq!(built.asset("absent").unwrap_err().kind(), ErrorKind::Failed);
        // Of the same length, and no longer the same.
        let path = built.directory.join("assets/tokenizer.json");
        std::fs::write(&path, [8; 2000]).unwrap();
        let error = built.asset("tokenizer.json").unwrap_err();
        assert!(error.kind() == ErrorKind::Io && error.to_string().contains("tokenizer.json"), "{error}");
        drop(built);
        // Cut off: the bundle is made again.
        std::fs::write(path, [7; 20]).unwrap();
        let again = bundle(&cache, &[asset("tokenizer.json")]).unwrap();
        assert!(again.built && again.asset("tokenizer.json").unwrap() == [7; 2000]);
    }

    #[test]
    fn an_asset_stays_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        for name in ["", "..", "../manifest.json", "/etc/passwd", "a/b", "a\\b", "c\0"] {
            let error = bundle(&cache, &[Asset { name: name.into(), bytes: vec![1] }]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Failed, "{name}: {error}");
        }
        let twice = vec![Asset { name: "a".into(), bytes: vec![1] }; 2];
        assert_eq!(bundle(&cache, &twice).unwrap_err().kind(), ErrorKind::Io);
    }

    #[test]
    fn parts_are_told_with_what_they_read_and_a_bundle_that_lost_one_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let built = bundle(&cache, &[]).unwrap();
        assert_eq!(built.info().parts, [PartInfo { name: "detector".into(), role: PartRole::Detector, eager: true }]);
        let weights = std::fs::metadata(built.directory.join("detector.weights")).unwrap().len();
        let told = built.weights_bytes("detector").unwrap();
        assert!(told <= weights && told > weights * 99 / 100, "{told} of {weights}, which has room between tensors");
        assert_eq!(built.weights_bytes("mask_decoder"), None);
        let manifest = built.directory.join("manifest.json");
        drop(built);
        let text = std::fs::read_to_string(&manifest).unwrap().replace("\"name\": \"detector\"", "\"name\": \"lost\"");
        std::fs::write(&manifest, text).unwrap();
        assert!(bundle(&cache, &[]).unwrap().built);
    }
}
