//! Operations counted from graphs, against counts by hand.
#![allow(clippy::unwrap_used)]

use maskline_onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};
use maskline_onnx::{
    AttentionOptions, Constant, ConvOptions, DType, Dialect, Dim, ErrorKind, Graph, GraphFile, PoolOptions, Sizes, Value, Work,
};
use proptest::prelude::*;
use prost::Message;

fn sizes<const N: usize>(sizes: [(&str, usize); N]) -> Sizes {
    sizes.into_iter().map(|(name, size)| (name.to_string(), size)).collect()
}

/// A built graph's count, which must be the same when the file says no shapes but those of its inputs.
fn built(dialect: Dialect, known: &Sizes, build: impl Fn(&mut Graph<'static>) -> maskline_onnx::Result<Value>) -> Work {
    let mut g = Graph::new("test", dialect);
    let y = build(&mut g).unwrap();
    g.output("y", &y).unwrap();
    let bytes = g.finish().unwrap().to_bytes().unwrap();
    let work = GraphFile::parse(&bytes).unwrap().work(known).unwrap();
    let mut model = ModelProto::decode(bytes.as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    graph.value_info.clear();
    graph.output[0].r#type = None;
    assert_eq!(GraphFile::parse(&model.encode_to_vec()).unwrap().work(known).unwrap(), work);
    work
}

fn flops(dialect: Dialect, shapes: &[&[usize]], build: impl Fn(&mut Graph<'static>, &[Value]) -> maskline_onnx::Result<Value>) -> f64 {
    let input = |g: &mut Graph<'static>, (i, shape): (usize, &&[usize])| {
        let mut dims: Vec<Dim> = shape.iter().map(|size| Dim::fixed(*size)).collect();
        dims[0] = Dim::symbol("batch");
        g.input(&format!("x{i}"), DType::F32, dims).unwrap()
    };
    let work = built(dialect, &sizes([("batch", shapes[0][0])]), |g| {
        let inputs: Vec<Value> = shapes.iter().enumerate().map(|x| input(g, x)).collect();
        build(g, &inputs)
    });
    assert_eq!(work.uncounted, Vec::<String>::new());
    work.flops
}

fn weight(g: &mut Graph<'static>, shape: &[usize]) -> Value {
    g.constant(Constant::f32(shape, vec![0.5; shape.iter().product()]).unwrap())
}

#[test]
fn matrix_products() {
    for dialect in [Dialect::Ort, Dialect::Portable] {
        // Leading axes broadcast: 3 · 5 products of [2, 7] and [7, 4].
        assert_eq!(
            flops(dialect, &[&[3, 5, 2, 7]], |g, x| {
                let w = weight(g, &[5, 7, 4]);
                g.matmul(&x[0], &w)
            }),
            2.0 * 15.0 * 56.0
        );
        assert_eq!(flops(dialect, &[&[3, 2, 7], &[3, 4, 7]], |g, x| g.matmul_transposed(&x[0], &x[1])), 2.0 * 3.0 * 56.0);
        let layer = |g: &mut Graph<'static>, x: &[Value]| {
            let (w, b) = (weight(g, &[4, 7]), weight(g, &[4]));
            g.linear(&x[0], &w, Some(&b))
        };
        assert_eq!(flops(dialect, &[&[9, 7]], layer), 2.0 * 9.0 * 28.0);
        assert_eq!(flops(dialect, &[&[9, 3, 7]], layer), 2.0 * 27.0 * 28.0);
    }
}

#[test]
fn convolutions() {
    let conv = |options: ConvOptions, shape: &'static [usize]| {
        flops(Dialect::Ort, &[&[2, 6, 11, 8]], move |g, x| {
            let w = weight(g, shape);
            g.conv(&x[0], &w, None, &options)
        })
    };
    // 11 × 8 at stride 2 with a border of 1 gives 6 × 4.
    assert_eq!(conv(ConvOptions::same(3, 2), &[10, 6, 3, 3]), 2.0 * (2.0 * 10.0 * 24.0) * 54.0);
    assert_eq!(conv(ConvOptions { groups: 6, ..ConvOptions::same(3, 1) }, &[6, 1, 3, 3]), 2.0 * (2.0 * 6.0 * 88.0) * 9.0);
    // Dilation 2 makes a kernel of 3 reach over 5.
    assert_eq!(conv(ConvOptions { dilation: [2, 2], ..ConvOptions::default() }, &[4, 6, 3, 3]), 2.0 * (2.0 * 4.0 * 28.0) * 54.0);
    let transposed = |g: &mut Graph<'static>, x: &[Value]| {
        let w = weight(g, &[6, 5, 2, 2]);
        let y = g.conv_transpose(&x[0], &w, None, &ConvOptions { stride: [2, 2], ..ConvOptions::default() })?;
        // [2, 5, 22, 16] seen by a product shows that the shape is right.
        let column = weight(g, &[16, 1]);
        g.matmul(&y, &column)
    };
    assert_eq!(flops(Dialect::Ort, &[&[2, 6, 11, 8]], transposed), 2.0 * (2.0 * 6.0 * 88.0) * 20.0 + 2.0 * (2.0 * 5.0 * 22.0) * 16.0);
    let pooled = |g: &mut Graph<'static>, x: &[Value]| {
        let x = g.max_pool(&x[0], &PoolOptions { kernel: [3, 3], stride: [2, 2], padding: [1; 4] })?;
        let w = weight(g, &[1, 6, 1, 1]);
        g.conv(&x, &w, None, &ConvOptions::default())
    };
    assert_eq!(flops(Dialect::Ort, &[&[2, 6, 11, 8]], pooled), 2.0 * (2.0 * 24.0) * 6.0);
}

#[test]
fn attention_is_scores_and_weighted_sum_in_both_dialects() {
    for (queries, keys) in [(5, 300), (5, 7)] {
        let expected = 2.0 * 2.0 * (queries * keys) as f64 * (16.0 + 24.0);
        for dialect in [Dialect::Ort, Dialect::Portable] {
            let found = flops(dialect, &[&[2, queries, 16], &[2, keys, 16], &[2, keys, 24]], |g, x| {
                g.attention([&x[0], &x[1], &x[2]], &AttentionOptions { heads: 4, scale: None })
            });
            assert_eq!(found, expected, "{dialect:?} {queries} {keys}");
        }
    }
}

#[test]
fn prompts_are_merged_split_and_repeated() {
    let known = sizes([("prompts", 8), ("points", 2)]);
    let work = built(Dialect::Ort, &known, |g| {
        let x = g.input("x", DType::F32, [Dim::symbol("prompts"), Dim::symbol("points"), 4.into()])?;
        let token = weight(g, &[1, 1, 4]);
        let token = g.repeat_leading(&token, &x)?;
        let tokens = g.concat(&[&token, &x], 1)?;
        let rows = g.merge_leading(&tokens, "rows")?;
        let w = weight(g, &[5, 4]);
        let rows = g.linear(&rows, &w, None)?;
        let out = g.split_leading(&rows, &tokens)?;
        let last = g.slice(&out, 1, -1..i64::MAX)?;
        g.matmul_transposed(&last, &out)
    });
    assert_eq!(work.by_operator, [("Gemm".to_string(), 2.0 * 24.0 * 20.0), ("FusedMatMul".to_string(), 2.0 * 8.0 * 3.0 * 5.0)]);
    assert_eq!(work.flops, 960.0 + 240.0);
    let mut g = Graph::new("test", Dialect::Ort);
    let x = g.input("x", DType::F32, [Dim::symbol("prompts"), Dim::symbol("points").offset(1)]).unwrap();
    g.output("y", &x).unwrap();
    let file = GraphFile::parse(&g.finish().unwrap().to_bytes().unwrap()).unwrap();
    assert_eq!(file.unknowns(), ["points", "prompts"]);
    assert_eq!(file.sizes_for(&[("x", &[8, 3])]).unwrap(), known);
    for (shape, kind) in [((("x"), &[8, 3, 1][..]), ErrorKind::Shape), (("z", &[1][..]), ErrorKind::Invalid)] {
        assert_eq!(file.sizes_for(&[shape]).unwrap_err().kind(), kind);
    }
    let error = file.work(&sizes([("prompts", 8)])).unwrap_err();
    assert_eq!(error.to_string(), "expected a size for each unknown of the inputs, found none for points");
}

#[test]
fn every_value_says_its_shape() {
    let mut g = Graph::new("test", Dialect::Ort);
    let x = g.input("x", DType::F32, [Dim::symbol("batch"), 3.into(), Dim::symbol("rows").times(32), 8.into()]).unwrap();
    let w = weight(&mut g, &[2, 3, 3, 3]);
    let y = g.conv(&x, &w, None, &ConvOptions::same(3, 2)).unwrap();
    let y = g.sigmoid(&y).unwrap();
    let half = g.cast(&y, DType::F16).unwrap();
    let y = g.cast(&half, DType::F32).unwrap();
    g.output("y", &y).unwrap();
    let graph = ModelProto::decode(g.finish().unwrap().to_bytes().unwrap().as_slice()).unwrap().graph.unwrap();
    let text = |info: &ValueInfoProto| {
        let tensor = info.r#type.clone().unwrap().tensor_type.unwrap();
        let dim = |d: DimensionProto| d.dim_param.unwrap_or_else(|| d.dim_value.unwrap().to_string());
        let dims: Vec<String> = tensor.shape.unwrap().dim.into_iter().map(dim).collect();
        format!("{} {} {}", info.name, tensor.elem_type, dims.join(","))
    };
    let found: Vec<String> = graph.value_info.iter().map(text).collect();
    assert_eq!(found, ["Conv:0 1 batch,2,16*rows,4", "Sigmoid:0 1 batch,2,16*rows,4", "Cast:0 10 batch,2,16*rows,4"]);
}

// Graphs of others, which this crate does not build.

fn port(name: &str, shape: &[&str]) -> ValueInfoProto {
    let dim = |text: &&str| match text.parse() {
        Ok(size) => DimensionProto { dim_value: Some(size), dim_param: None },
        Err(_) => DimensionProto { dim_value: None, dim_param: (!text.is_empty()).then(|| text.to_string()) },
    };
    let shape = Some(TensorShapeProto { dim: shape.iter().map(dim).collect() });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(TensorTypeProto { elem_type: 1, shape }) }) }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(value), r#type: 2, ..Default::default() }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: values.to_vec(), r#type: 7, ..Default::default() }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: Some(value.into()), r#type: 3, ..Default::default() }
}

/// `domain.Operator` on named inputs.
fn node(kind: &str, inputs: &[&str], output: &str, attribute: &[AttributeProto]) -> NodeProto {
    let (domain, op_type) = kind.rsplit_once('.').unwrap_or(("", kind));
    NodeProto {
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        name: format!("the {op_type}"),
        op_type: op_type.into(),
        attribute: attribute.to_vec(),
        domain: domain.into(),
    }
}

fn whole_numbers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto { dims: vec![values.len() as i64], data_type: 7, int64_data: values.to_vec(), name: name.into(), ..Default::default() }
}

fn bytes_of(input: Vec<ValueInfoProto>, node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Vec<u8> {
    let graph = GraphProto { node, input, initializer, ..Default::default() };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 18 }];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..Default::default() }.encode_to_vec()
}

fn of_one(kind: &str, shapes: &[&[&str]], attributes: &[AttributeProto]) -> maskline_onnx::Result<Work> {
    let names: Vec<String> = (0..shapes.len()).map(|i| if shapes[i] == ["-"] { String::new() } else { format!("x{i}") }).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ports = names.iter().zip(shapes).filter(|(name, _)| !name.is_empty()).map(|(name, shape)| port(name, shape)).collect();
    GraphFile::parse(&bytes_of(ports, vec![node(kind, &names, "y", attributes)], vec![]))?.work(&Sizes::new())
}

#[test]
fn operators_of_other_programs() {
    let heads = [int("q_num_heads", 4), int("kv_num_heads", 2)];
    let three: &[&[&str]] = &[&["2", "5", "16"], &["2", "7", "8"], &["2", "7", "12"]];
    type Case<'a> = (&'a str, &'a [&'a [&'a str]], &'a [AttributeProto], f64);
    let cases: [Case<'_>; 12] = [
        ("Attention", &[&["2", "4", "5", "8"], &["2", "4", "7", "8"], &["2", "4", "7", "6"]], &[], 2.0 * 2.0 * 4.0 * 35.0 * 14.0),
        // Four heads of queries share two of keys and values: a head is 4 wide for keys, 6 for values.
        ("Attention", three, &heads, 2.0 * 2.0 * 35.0 * (16.0 + 24.0)),
        (
            "com.microsoft.Attention",
            &[&["2", "5", "16"], &["16", "48"]],
            &[int("num_heads", 4)],
            2.0 * 2.0 * 5.0 * 16.0 * 48.0 + 2.0 * 2.0 * 25.0 * 32.0,
        ),
        (
            "com.microsoft.FusedConv",
            &[&["1", "3", "8", "8"], &["4", "3", "3", "3"]],
            &[text("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])],
            2.0 * 64.0 * 27.0,
        ),
        ("ConvInteger", &[&["1", "3", "8", "8"], &["4", "3", "3", "3"]], &[], 2.0 * 144.0 * 27.0),
        ("Gemm", &[&["7", "9"], &["7", "4"]], &[int("transA", 1)], 2.0 * 9.0 * 28.0),
        ("MatMul", &[&["7"], &["3", "7", "4"]], &[], 2.0 * 3.0 * 28.0),
        ("com.microsoft.FusedMatMul", &[&["3", "7", "9"], &["3", "7", "4"]], &[int("transA", 1)], 2.0 * 3.0 * 9.0 * 28.0),
        ("com.microsoft.FusedMatMul", &[&["9", "3", "7"], &["3", "7", "4"]], &[int("transBatchA", 1)], 2.0 * 3.0 * 9.0 * 28.0),
        ("QLinearMatMul", &[&["9", "7"], &[], &[], &["7", "4"]], &[], 2.0 * 9.0 * 28.0),
        ("Einsum", &[&["2", "3", "5"], &["2", "5", "4"]], &[text("equation", "b i k, b k j -> b i j")], 2.0 * 120.0),
        ("Einsum", &[&["2", "3"], &["2", "3"]], &[text("equation", "ij,ij->ij")], 0.0),
    ];
    for (kind, shapes, attributes, expected) in cases {
        // Conv's own output shape must be worked out; QLinearMatMul's is of no use to anybody here.
        let work = of_one(kind, shapes, attributes).unwrap();
        assert_eq!((work.flops, work.uncounted.len()), (expected, 0), "{kind} {shapes:?}");
    }
}

#[test]
fn what_is_not_counted_is_named() {
    let ellipsis = [text("equation", "...ik,...kj->...ij")];
    assert_eq!(of_one("Einsum", &[&["2", "3"], &["3", "4"]], &ellipsis).unwrap().uncounted, ["Einsum"]);
    assert_eq!(of_one("LSTM", &[&["2", "3", "4"]], &[]).unwrap().uncounted, ["LSTM"]);
    assert_eq!(of_one("ai.own.Thing", &[&["2"]], &[]).unwrap().uncounted, ["ai.own.Thing"]);
    // Keys and values packed into the queries.
    let packed = of_one("com.microsoft.MultiHeadAttention", &[&["2", "5", "4", "3", "8"]], &[int("num_heads", 4)]).unwrap();
    assert_eq!((packed.flops, packed.uncounted), (0.0, vec!["com.microsoft.MultiHeadAttention".to_string()]));
}

#[test]
fn a_product_of_unknown_size_is_an_error_that_names_the_first_unknown_value() {
    let nodes = vec![
        node("NonZero", &["x"], "found", &[]),
        node("Transpose", &["found"], "places", &[ints("perm", &[1, 0])]),
        node("Relu", &["places"], "rows", &[]),
        node("MatMul", &["rows", "w"], "y", &[]),
    ];
    let bytes = bytes_of(vec![port("x", &["4", "4"]), port("w", &["2", "3"])], nodes, vec![]);
    let error = GraphFile::parse(&bytes).unwrap().work(&Sizes::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    let message = "the operations of `the MatMul` (MatMul) cannot be counted: the file does not say the shape of `found`, and what its \
                   operator NonZero gives cannot be told from the graph";
    assert_eq!(error.to_string(), message);
    // Nothing is silently low where operands do not fit, either.
    assert_eq!(of_one("MatMul", &[&["2", "3"], &["4", "5"]], &[]).unwrap_err().kind(), ErrorKind::Shape);
    assert!(of_one("MatMul", &[&["2", ""], &["4", "5"]], &[]).unwrap_err().to_string().contains("x0[1]"));
}

#[test]
fn a_small_file_does_not_ask_for_much_memory() {
    // Each takes a value by itself, which nearly doubles the axes: 2^40 after 40 of them.
    let names: Vec<String> = (0..=40).map(|i| format!("v{i}")).collect();
    let mut nodes: Vec<NodeProto> = names.windows(2).map(|pair| node("Gather", &[&pair[0], &pair[0]], &pair[1], &[])).collect();
    nodes.push(node("MatMul", &["v40", "v0"], "y", &[]));
    let error = GraphFile::parse(&bytes_of(vec![port("v0", &["2", "2"])], nodes, vec![])).unwrap().work(&Sizes::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.to_string().contains("the shape of `v6`"), "{error}");

    // A name as long as the file: named for each axis, and in the reason that goes from value to value.
    let long = "x".repeat(1 << 20);
    let file = GraphFile::parse(&bytes_of(vec![port(&long, &[""; 1 << 18])], vec![], vec![])).unwrap();
    assert_eq!(file.unknowns(), Vec::<String>::new());
    let mut nodes = vec![node("NonZero", &["z"], &long, &[]), node("Relu", &[&long], "v0", &[])];
    nodes.extend((0..1 << 14).map(|i| node("Relu", &[&format!("v{i}")], &format!("v{}", i + 1), &[])));
    nodes.push(node("MatMul", &["v0", "z"], "y", &[]));
    let error = GraphFile::parse(&bytes_of(vec![port("z", &["2", "2"])], nodes, vec![])).unwrap().work(&Sizes::new()).unwrap_err();
    assert!(error.to_string().len() < 1000, "{error}");
}

#[test]
fn shapes_that_the_graph_computes_are_followed() {
    // [batch, 6, height, width] → [batch, 6, height · width], as exports write it, and of that the first two columns.
    let nodes = vec![
        node("Shape", &["x"], "sizes", &[]),
        node("Gather", &["sizes", "zero"], "batch", &[]),
        node("Unsqueeze", &["batch", "axis"], "leading", &[]),
        node("Concat", &["leading", "six", "minus"], "target", &[int("axis", 0)]),
        node("Reshape", &["x", "target"], "flat", &[]),
        node("MatMul", &["flat", "w"], "y", &[]),
        node("Slice", &["flat", "axis", "two", "two"], "part", &[]),
        node("MatMul", &["v", "part"], "z", &[]),
    ];
    let zero = TensorProto { dims: vec![], ..whole_numbers("zero", &[0]) };
    let number = |name: &str, value: i64| whole_numbers(name, &[value]);
    let constants = vec![zero, number("axis", 0), number("six", 6), number("minus", -1), number("two", 2)];
    let ports = vec![port("x", &["batch", "6", "height", "width"]), port("w", &["35", "3"]), port("v", &["4", "6"])];
    let file = GraphFile::parse(&bytes_of(ports, nodes, constants)).unwrap();
    assert_eq!(file.unknowns(), ["batch", "height", "width"]);
    let work = file.work(&file.sizes_for(&[("x", &[3, 6, 5, 7])]).unwrap()).unwrap();
    assert_eq!(work.flops, 2.0 * 18.0 * 35.0 * 3.0 + 2.0 * 3.0 * 4.0 * 6.0 * 2.0);
    assert_eq!(work.weight_bytes, 8.0 * 5.0);
}

proptest! {
    #[test]
    fn any_bytes_are_counted_or_an_error(at in 0_usize..600, to in any::<u8>(), cut in 0_usize..600) {
        let nodes = vec![
            node("Conv", &["x", "w"], "a", &[ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])]),
            node("Pad", &["a", "pads"], "b", &[]),
            node("Reshape", &["b", "target"], "c", &[]),
            node("Split", &["c"], "d", &[int("axis", 1)]),
            node("MatMul", &["d", "m"], "e", &[]),
        ];
        let constants = vec![whole_numbers("pads", &[0, 0, 1, 1, 0, 0, 1, 1]), whole_numbers("target", &[0, 4, -1])];
        let ports = vec![port("x", &["1", "3", "8", "8"]), port("w", &["4", "3", "3", "3"]), port("m", &["36", "2*n"])];
        let mut bytes = bytes_of(ports, nodes, constants);
        let at = at % bytes.len();
        bytes[at] = to;
        if cut > 300 {
            bytes.truncate(cut);
        }
        if let Ok(file) = GraphFile::parse(&bytes) {
            let known: Sizes = file.unknowns().into_iter().map(|name| (name, usize::from(to))).collect();
            if let Ok(work) = file.work(&known) {
                prop_assert!(work.flops >= 0.0);
            }
        }
    }
}
