//! Small checkpoints of YOLO11 and YOLO26: all layers of 16 channels but the first, heads of few.

use super::{Module, Value, activation, concat, conv, conv2d, down, sppf, upsample};

const WIDTH: usize = 16;
const HALF: usize = WIDTH / 2;

fn block(class: &str) -> Module {
    Module::new(&format!("ultralytics.nn.modules.block.{class}"))
}

fn list(of: impl IntoIterator<Item = Module>) -> Module {
    gathered("ModuleList", of)
}

fn sequential(of: impl IntoIterator<Item = Module>) -> Module {
    gathered("Sequential", of)
}

fn gathered(class: &str, of: impl IntoIterator<Item = Module>) -> Module {
    let module = Module::new(&format!("torch.nn.modules.container.{class}"));
    of.into_iter().enumerate().fold(module, |module, (i, child)| module.child(i, child))
}

fn bare(conv: Module) -> Module {
    conv.with("act", Module::new("torch.nn.modules.linear.Identity"))
}

fn bottleneck(width: usize, hidden: usize) -> Module {
    block("Bottleneck").set("add", true).child("cv1", conv(width, hidden, 3)).child("cv2", conv(hidden, width, 3))
}

fn nested() -> Module {
    let hidden = HALF / 2;
    let module = block("C3k").child("cv1", conv(HALF, hidden, 1)).child("cv2", conv(HALF, hidden, 1));
    let inner = sequential([bottleneck(hidden, hidden), bottleneck(hidden, hidden)]);
    module.child("cv3", conv(2 * hidden, HALF, 1)).child("m", inner)
}

fn depthwise(width: usize) -> Module {
    let conv = Module { class: ("ultralytics.nn.modules.conv".into(), "DWConv".into()), ..conv(1, width, 3) };
    conv.say("conv", "groups", width as i64)
}

fn attention(width: usize) -> Module {
    let attention = block("Attention").set("num_heads", 1).set("head_dim", width as i64).set("key_dim", width as i64 / 2);
    let attention = attention.set("scale", (width as f64 / 2.0).powf(-0.5)).child("qkv", bare(conv(width, 2 * width, 1)));
    let attention = attention.child("proj", bare(conv(width, width, 1))).child("pe", bare(depthwise(width)));
    let ffn = sequential([conv(width, 2 * width, 1), bare(conv(2 * width, width, 1))]);
    block("PSABlock").set("add", true).child("attn", attention).child("ffn", ffn)
}

fn stage(input: usize, link: Module) -> Module {
    let module = block("C3k2").child("cv1", conv(input, WIDTH, 1)).child("cv2", conv(3 * HALF, WIDTH, 1));
    module.child("m", list([link]))
}

fn narrow(input: usize) -> Module {
    stage(input, bottleneck(HALF, HALF / 2))
}

fn c2psa() -> Module {
    let module = block("C2PSA").child("cv1", conv(WIDTH, WIDTH, 1)).child("cv2", conv(WIDTH, WIDTH, 1));
    module.child("m", sequential([attention(HALF)]))
}

/// Box, class and perhaps further branches of a head, whose names begin so.
fn with_branches(mut head: Module, prefix: &str, [bins, classes, extras]: [usize; 3]) -> Module {
    let plain = |output: usize| sequential([conv(WIDTH, 8, 3), conv(8, 8, 3), last(output)]);
    let light = || {
        let first = sequential([depthwise(WIDTH), conv(WIDTH, 8, 1)]);
        sequential([first, sequential([depthwise(8), conv(8, 8, 1)]), last(classes)])
    };
    head = head.child(format!("{prefix}cv2"), list((0..3).map(|_| plain(4 * bins))));
    head = head.child(format!("{prefix}cv3"), list((0..3).map(|_| light())));
    if extras > 0 {
        head = head.child(format!("{prefix}cv4"), list((0..3).map(|_| plain(extras))));
    }
    head
}

fn last(output: usize) -> Module {
    conv2d(8, output, 1).tensor("bias", &[output])
}

fn head(class: &str, [bins, classes, extras]: [usize; 3]) -> Module {
    let head = Module::new(&format!("ultralytics.nn.modules.head.{class}")).set("nc", classes as i64).set("nl", 3);
    let head = head.set("reg_max", bins as i64).set("stride", [8, 16, 32]);
    with_branches(head, "", [bins, classes, extras])
}

fn model(layers: Vec<Module>) -> Module {
    let sequential = Module::new("torch.nn.modules.container.Sequential");
    let last = layers.len() - 1;
    let sequential = layers.into_iter().enumerate().fold(sequential, |sequential, (i, layer)| {
        let from: Value = match i {
            12 => [-1, 6].into(),
            15 => [-1, 4].into(),
            18 => [-1, 13].into(),
            21 => [-1, 10].into(),
            23 if i == last => [16, 19, 22].into(),
            _ => (-1).into(),
        };
        sequential.child(i, layer.set("f", from).set("i", i as i64))
    });
    Module::new("ultralytics.nn.tasks.DetectionModel").child("model", sequential)
}

fn backbone() -> Vec<Module> {
    vec![
        down(3, 8),
        down(8, WIDTH),
        narrow(WIDTH),
        down(WIDTH, WIDTH),
        narrow(WIDTH),
        down(WIDTH, WIDTH),
        stage(WIDTH, nested()),
        down(WIDTH, WIDTH),
        stage(WIDTH, nested()),
    ]
}

fn detector(pool: Module, [inner, last]: [Module; 2], head: Module) -> Module {
    let mut layers = backbone();
    layers.extend([pool, c2psa(), upsample(), concat(), stage(2 * WIDTH, inner.clone()), upsample(), concat()]);
    layers.extend([stage(2 * WIDTH, inner.clone()), down(WIDTH, WIDTH), concat(), stage(2 * WIDTH, inner)]);
    layers.extend([down(WIDTH, WIDTH), concat(), stage(2 * WIDTH, last), head]);
    model(layers)
}

/// A YOLO11, saying of itself what the published ones say.
pub(crate) fn yolo11(classes: usize) -> Module {
    detector(sppf(WIDTH), [bottleneck(HALF, HALF / 2), nested()], head("Detect", [4, classes, 0]))
}

/// A YOLO26 with this head and so many further channels.
pub(crate) fn yolo26(class: &str, [classes, extras]: [usize; 2]) -> Module {
    let pool = bare_pool();
    let last = sequential([bottleneck(HALF, HALF / 2), attention(HALF)]);
    let head = with_branches(head(class, [1, classes, extras]), "one2one_", [1, classes, extras]);
    detector(pool, [nested(), last], head)
}

fn bare_pool() -> Module {
    let mut pool = sppf(WIDTH).set("n", 3).set("add", true);
    *pool.at("cv1") = bare(pool.at("cv1").clone());
    pool
}

/// A classifier of YOLO11 or YOLO26, which are the same.
pub(crate) fn classifier(classes: usize) -> Module {
    let linear = Module::new("torch.nn.modules.linear.Linear").tensor("weight", &[classes, 8]).tensor("bias", &[classes]);
    let pool = Module::new("torch.nn.modules.pooling.AdaptiveAvgPool2d").set("output_size", 1);
    let head = Module::new("ultralytics.nn.modules.head.Classify").child("conv", conv(WIDTH, 8, 1)).child("pool", pool);
    let mut layers = backbone();
    layers.extend([c2psa(), head.child("linear", linear)]);
    model(layers)
}

/// Another activation of a convolution.
pub(crate) fn activated(mut model: Module, conv: &str, class: &str) -> Module {
    *model.at(conv).at("act") = activation(class);
    model
}

/// A head without one of its two halves, as fusing leaves it.
pub(crate) fn fused(mut model: Module, is_dropped: fn(&str) -> bool) -> Module {
    model.at("model.23").children.retain(|(name, _)| !is_dropped(name));
    model
}

/// Layers of a pose head: keypoints, and how far they deviate.
pub(crate) fn with_keypoints(mut model: Module, [count, dims]: [usize; 2]) -> Module {
    let head = model.at("model.23");
    for prefix in ["", "one2one_"] {
        let hidden = list((0..3).map(|_| sequential([conv(WIDTH, 8, 3), conv(8, 8, 3)])));
        head.children.push((format!("{prefix}cv4"), hidden));
        head.children.push((format!("{prefix}cv4_kpts"), list((0..3).map(|_| last(count * dims)))));
        head.children.push((format!("{prefix}cv4_sigma"), list((0..3).map(|_| last(count * 2)))));
    }
    model
}
