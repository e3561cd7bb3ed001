//! The bytes of these checkpoints. All tensors are views of one storage, whose numbers are positive as variances must be.

use super::{Module, Value};

fn numbers(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| (0.5 + ((i * 37) % 89) as f32 / 89.0).to_le_bytes()).collect()
}

fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn int(out: &mut Vec<u8>, value: i64) {
    out.extend([0x8a, 8]);
    out.extend(value.to_le_bytes());
}

fn global(out: &mut Vec<u8>, (module, name): (&str, &str)) {
    out.extend(format!("c{module}\n{name}\n").as_bytes());
}

fn value(out: &mut Vec<u8>, of: &Value) {
    match of {
        Value::None => out.push(b'N'),
        Value::Bool(true) => out.push(0x88),
        Value::Bool(false) => out.push(0x89),
        Value::Int(number) => int(out, *number),
        Value::Float(number) => {
            out.push(b'G');
            out.extend(number.to_be_bytes());
        }
        Value::Str(string) => text(out, string),
        Value::List(items) => {
            out.extend(b"](");
            items.iter().for_each(|item| value(out, item));
            out.push(b'e');
        }
        Value::Map(entries) => {
            out.extend(b"}(");
            entries.iter().for_each(|(key, item)| {
                value(out, key);
                value(out, item);
            });
            out.push(b'u');
        }
    }
}

fn sizes(out: &mut Vec<u8>, values: impl Iterator<Item = usize>) {
    out.push(b'(');
    values.for_each(|size| int(out, size as i64));
    out.push(b't');
}

fn tensor(out: &mut Vec<u8>, shape: &[usize], total: usize) {
    global(out, ("torch._utils", "_rebuild_tensor_v2"));
    out.extend(b"((");
    text(out, "storage");
    global(out, ("torch", "FloatStorage"));
    text(out, "0");
    text(out, "cpu");
    int(out, total as i64);
    out.extend(b"tQ");
    int(out, 0);
    sizes(out, shape.iter().copied());
    sizes(out, (0..shape.len()).map(|axis| count(&shape[axis + 1..])));
    out.push(0x89);
    global(out, ("collections", "OrderedDict"));
    out.extend(b")RtR");
}

fn module(out: &mut Vec<u8>, of: &Module, total: usize) {
    global(out, (&of.class.0, &of.class.1));
    out.extend(b")\x81}(");
    text(out, "_parameters");
    out.extend(b"}(");
    for (name, shape) in &of.tensors {
        text(out, name);
        tensor(out, shape, total);
    }
    out.push(b'u');
    text(out, "_buffers");
    out.push(b'}');
    text(out, "_modules");
    out.extend(b"}(");
    for (name, child) in &of.children {
        text(out, name);
        module(out, child, total);
    }
    out.push(b'u');
    for (key, attribute) in &of.attributes {
        text(out, key);
        value(out, attribute);
    }
    out.extend(b"ub");
}

pub(super) fn pickled(model: &Module, entries: &[(&str, Value)]) -> Vec<u8> {
    let total = model.state_dict().iter().map(|(_, shape)| count(shape)).max().unwrap_or(0);
    let mut pickle = vec![0x80, 2];
    pickle.extend(b"}(");
    text(&mut pickle, "model");
    module(&mut pickle, model, total);
    for (key, entry) in entries {
        text(&mut pickle, key);
        value(&mut pickle, entry);
    }
    pickle.extend(b"u.");
    zip(&[("m/data.pkl", &pickle), ("m/byteorder", b"little"), ("m/data/0", &numbers(total))])
}

/// A zip archive of stored entries.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let offset = body.len() as u32;
        let mut common: Vec<u8> = [20_u16, 0, 0, 0, 0x21].iter().flat_map(|field| field.to_le_bytes()).collect();
        [0, data.len() as u32, data.len() as u32].iter().for_each(|field| common.extend(field.to_le_bytes()));
        common.extend((name.len() as u16).to_le_bytes());
        body.extend(b"PK\x03\x04");
        body.extend(&common);
        body.extend([0, 0]);
        body.extend(name.as_bytes());
        body.extend(*data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 12]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (offset, length, count) = (body.len() as u32, directory.len() as u32, entries.len() as u16);
    body.extend(directory);
    body.extend(b"PK\x05\x06\0\0\0\0");
    body.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    body.extend(length.to_le_bytes());
    body.extend(offset.to_le_bytes());
    body.extend([0, 0]);
    body
}

pub(super) fn safetensors(model: &Module, prefix: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    if !metadata.is_empty() {
        let entries = metadata.iter().map(|(key, value)| ((*key).to_owned(), serde_json::Value::from(*value)));
        header.insert("__metadata__".into(), serde_json::Value::Object(entries.collect()));
    }
    for (name, shape) in model.state_dict() {
        let start = data.len();
        data.extend(numbers(count(&shape)));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(format!("{prefix}{name}"), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}
