//! The header of a safetensors file: the input is its JSON, the length in front and as much data as it tells of behind are right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Headers that tell of more are refused, as those of files that were cut off.
const MOST_DATA: u64 = 1 << 20;

fuzz_target!(|header: &[u8]| {
    let json: Value = serde_json::from_slice(header).unwrap_or_default();
    let ends = json.as_object().into_iter().flatten().filter_map(|(_, tensor)| tensor["data_offsets"][1].as_u64());
    let data = ends.max().unwrap_or(0).min(MOST_DATA);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.resize(bytes.len() + data as usize, 0x3c);
    maskline_fuzz::read_checkpoint("model.safetensors", &bytes);
});
