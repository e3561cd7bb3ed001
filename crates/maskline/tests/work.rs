//! Operations of whole networks, counted from their graphs, against published figures.
#![allow(clippy::unwrap_used)]

use maskline::{Bundle, BundleOptions, Dialect, Engine, EngineOptions, Kernels, ModelSource};
use maskline_onnx::proto::ModelProto;
use maskline_onnx::{GraphFile, Sizes, Work};
use prost::Message;

/// Counts each graph of an architecture in both dialects; the counts must be the same, and the same without the shapes that the file
/// says of inner values.
fn count(architecture: &str, sizes: &Sizes) -> Vec<(String, Work)> {
    let cache = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { cache: cache.path().into(), ..EngineOptions::default() }).unwrap();
    let build = |dialect| {
        let source = ModelSource::Synthetic { architecture: architecture.into(), seed: 1 };
        engine.build(source, &BundleOptions { dialect, ..BundleOptions::default() }).unwrap()
    };
    let count = |bundle: &Bundle| -> Vec<(String, Work)> {
        bundle.parts().map(|(name, file)| (name.to_string(), GraphFile::read(&file).unwrap().work(sizes).unwrap())).collect()
    };
    let bundle = build(Dialect::Ort);
    let works = count(&bundle);
    for ((name, work), (_, portable)) in works.iter().zip(count(&build(Dialect::Portable))) {
        assert_eq!((work.flops, &work.uncounted), (portable.flops, &portable.uncounted), "{name}");
        assert_eq!(work.uncounted, Vec::<String>::new(), "{name}");
    }
    for ((name, file), (_, work)) in bundle.parts().zip(&works) {
        let mut model = ModelProto::decode(std::fs::read(file).unwrap().as_slice()).unwrap();
        model.graph.as_mut().unwrap().value_info.clear();
        assert_eq!(&GraphFile::parse(&model.encode_to_vec()).unwrap().work(sizes).unwrap(), work, "{name}");
    }
    works
}

fn sizes<const N: usize>(sizes: [(&str, usize); N]) -> Sizes {
    sizes.into_iter().map(|(name, size)| (name.to_string(), size)).collect()
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() < tolerance, "found {found:e}, expected {expected:e}");
}

#[test]
fn yolov8n_is_as_published() {
    // ultralytics' table: 8.7 GFLOP at 640.
    let works = count("yolov8n", &sizes([("batch", 1), ("rows", 20), ("columns", 20)]));
    assert_close(works[0].1.flops, 8.7e9, 0.01);
    let batch = count("yolov8n", &sizes([("batch", 4), ("rows", 20), ("columns", 10)]));
    assert_eq!(batch[0].1.flops, 2.0 * works[0].1.flops);
}

#[test]
fn encoders_are_as_published() {
    let known = sizes([("batch", 1), ("prompts", 8), ("points", 2)]);
    // Zhang et al. 2024 (EfficientViT-SAM), table 1: 35 and 39 thousand million multiply-adds.
    assert_close(count("efficientvit-sam-l0", &known)[0].1.flops, 2.0 * 35e9, 0.01);
    assert_close(count("mobile-sam", &known)[0].1.flops, 2.0 * 39e9, 0.01);
}

/// Sizes of all of SAM 2's graphs, of so many pictures, with eight prompts or two objects of each: seven memories and 16 pointers.
fn sam2_sizes(pictures: usize) -> Sizes {
    let of_objects = [("objects", 2 * pictures), ("memories", 7), ("pointers", 64), ("rows", 256), ("columns", 256)];
    let of_prompts = [("batch", pictures), ("prompts", 8 * pictures), ("points", 2)];
    of_prompts.into_iter().chain(of_objects).map(|(name, size)| (name.to_string(), size)).collect()
}

#[test]
fn sam2_differs_from_torch_by_what_is_folded() {
    let works = count("sam2.1-tiny", &sam2_sizes(1));
    let [encoder, decoder] = [0, 1].map(|i| works[i].1.flops);
    // transformers' vision encoder and `conv_s0`, `conv_s1`, as torch.utils.flop_counter counts them, in thousand millions.
    let torch = 291.067_395_072 + 1.073_741_824 + 0.536_870_912;
    // The neck's 1 × 1 convolutions are folded into those two, and two levels that nothing reads are left out.
    let neck = 7.650_410_496 - 2.013_265_920;
    // Its attention computes scores of heads with heads, which it throws away, and projects the cells that fill up windows.
    let thrown_away = 1.469_546_496;
    // Keys, values and queries of the decoder's first look at the picture are part of the encoder.
    let moved_here = 0.805_306_368;
    assert_close(encoder, (torch - neck - thrown_away + moved_here) * 1e9, 1e-9);
    let twice = count("sam2.1-tiny", &sam2_sizes(2));
    assert_eq!(twice[0].1.flops, 2.0 * encoder);
    assert_eq!(twice[1].1.flops, 2.0 * decoder);
}

#[test]
fn the_folded_decoder_does_what_is_written_of_it() {
    let cache = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { cache: cache.path().into(), ..EngineOptions::default() }).unwrap();
    let works =
        [(Dialect::Ort, Kernels::Ort), (Dialect::Native, Kernels::Ort), (Dialect::Native, Kernels::Own)].map(|(dialect, kernels)| {
            let source = ModelSource::Synthetic { architecture: "sam2.1-tiny".into(), seed: 1 };
            let bundle = engine.build(source, &BundleOptions { dialect, kernels, ..BundleOptions::default() }).unwrap();
            assert_eq!(bundle.kernels(), Some(kernels));
            let known = sizes([("batch", 1), ("prompts", 1), ("points", 3)]);
            let works: Vec<Work> = bundle.parts().take(2).map(|(_, file)| GraphFile::read(&file).unwrap().work(&known).unwrap()).collect();
            assert!(works.iter().all(|work| work.uncounted.is_empty()), "{works:?}");
            works
        });
    let [[encoder, decoder], [native_encoder, native_decoder], [own_encoder, own_decoder]] =
        works.each_ref().map(|works| [works[0].flops, works[1].flops]);
    // docs/decoder.md: for each of 4,096 cells, with nine tokens. The graph also takes the tokens back through projections of the cells.
    let saved = 2.0 * 4096.0 * (228_608.0 - 120_508.0);
    assert_close(decoder - native_decoder, saved, 0.01);
    // What the image's side has more: two blocks' keys, values and queries, the last keys and values, rows, and the first convolution.
    let rows = (17.0 + 128.0) + (17.0 + 256.0 + 1.0);
    assert_close(native_encoder - encoder, 2.0 * 4096.0 * 256.0 * (5.0 * 128.0 + rows + 256.0), 0.001);
    assert_eq!(own_decoder, native_decoder);
    // With layers of our own, cells that fill windows up are not projected, and ask for nothing: windows of 14 in three blocks and in the first of
    // the last stage, whose queries are pooled, and of 7 in the last block.
    let projected = |cells: f64, input: f64, output: f64| 2.0 * cells * input * 3.0 * output;
    let asked = |queries: f64, keys: f64, width: f64| 4.0 * queries * keys * width;
    let [of_14, of_7] = [70.0 * 70.0 - 64.0 * 64.0, 35.0 * 35.0 - 32.0 * 32.0];
    let blocks = 3.0 * (projected(of_14, 384.0, 384.0) + asked(of_14, 196.0, 384.0));
    let pooling = projected(of_14, 384.0, 768.0) + asked(of_7, 196.0, 768.0);
    let last = projected(of_7, 768.0, 768.0) + asked(of_7, 49.0, 768.0);
    assert_close(native_encoder - own_encoder, blocks + pooling + last, 1e-9);
}
