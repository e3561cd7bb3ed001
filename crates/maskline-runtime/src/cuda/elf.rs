//! Which libraries a shared library names as those that it needs.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::path::Path;

/// Kinds of segments and of entries of the dynamic section (System V ABI, chapter 5).
const SEGMENT_LOADED: u32 = 1;
const SEGMENT_DYNAMIC: u32 = 2;
const ENTRY_END: u64 = 0;
const ENTRY_NEEDED: u64 = 1;
const ENTRY_NAMES: u64 = 5;
/// More than any library has; what says more is damaged.
const MOST_SEGMENTS: u16 = 256;
const MOST_DYNAMIC: u64 = 1 << 20;
const LONGEST_NAME: usize = 255;

/// The names, in the library's order.
///
/// # Errors
/// `InvalidData` for all but 64-bit little-endian ELF files, which is what Linux has on x86_64 and aarch64.
pub(crate) fn needed(library: &Path) -> Result<Vec<String>> {
    let mut file = File::open(library)?;
    let segments = segments(&mut file)?;
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == SEGMENT_DYNAMIC) else { return Ok(Vec::new()) };
    if dynamic.bytes > MOST_DYNAMIC {
        return Err(damaged());
    }
    let mut table = vec![0; usize::try_from(dynamic.bytes).map_err(|_| damaged())?];
    read_at(&mut file, dynamic.offset, &mut table)?;
    let (mut offsets, mut names) = (Vec::new(), None);
    for entry in table.chunks_exact(16) {
        let value = number(&entry[8..]);
        match number(entry) {
            ENTRY_END => break,
            ENTRY_NEEDED => offsets.push(value),
            ENTRY_NAMES => names = Some(value),
            _ => {}
        }
    }
    let Some(names) = names.and_then(|address| offset_of(address, &segments)) else { return Ok(Vec::new()) };
    offsets.into_iter().map(|offset| name(&mut file, names.saturating_add(offset))).collect()
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    bytes: u64,
}

fn segments(file: &mut File) -> Result<Vec<Segment>> {
    let mut header = [0; 64];
    read_at(file, 0, &mut header)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(damaged());
    }
    let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (start, size, count) = (number(&header[32..]), short(54), short(56));
    if size < 56 || count > MOST_SEGMENTS {
        return Err(damaged());
    }
    let mut table = vec![0; usize::from(size) * usize::from(count)];
    read_at(file, start, &mut table)?;
    let segment = |row: &[u8]| Segment {
        kind: u32::from_le_bytes([row[0], row[1], row[2], row[3]]),
        offset: number(&row[8..]),
        address: number(&row[16..]),
        bytes: number(&row[32..]),
    };
    Ok(table.chunks_exact(usize::from(size)).map(segment).collect())
}

/// Where in the file an address of the loaded library is.
fn offset_of(address: u64, segments: &[Segment]) -> Option<u64> {
    let holds =
        |segment: &&Segment| segment.kind == SEGMENT_LOADED && address >= segment.address && address - segment.address < segment.bytes;
    segments.iter().find(holds).and_then(|segment| segment.offset.checked_add(address - segment.address))
}

fn name(file: &mut File, offset: u64) -> Result<String> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::with_capacity(LONGEST_NAME);
    file.take(LONGEST_NAME as u64).read_to_end(&mut bytes)?;
    let end = bytes.iter().position(|byte| *byte == 0).ok_or_else(damaged)?;
    String::from_utf8(bytes[..end].to_vec()).map_err(|_| damaged())
}

fn read_at(file: &mut File, offset: u64, buffer: &mut [u8]) -> Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

/// The first eight bytes, which the caller has seen to be there.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn damaged() -> Error {
    Error::new(ErrorKind::InvalidData, "not a 64-bit ELF library")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library of three segments' worth of nothing but the names that it needs.
    fn library(names: &[&str]) -> Vec<u8> {
        let (table, address): (u64, u64) = (64 + 2 * 56, 0x1000);
        let dynamic_bytes = 16 * (names.len() as u64 + 2);
        let strings = table + dynamic_bytes;
        let mut dynamic = Vec::new();
        let mut text = vec![0];
        for name in names {
            dynamic.extend([ENTRY_NEEDED, text.len() as u64]);
            text.extend(name.bytes().chain([0]));
        }
        dynamic.extend([ENTRY_NAMES, address + strings, ENTRY_END, 0]);
        let whole = strings + text.len() as u64;
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&2_u16.to_le_bytes());
        for (kind, start, size) in [(SEGMENT_LOADED, 0, whole), (SEGMENT_DYNAMIC, table, dynamic_bytes)] {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 4]);
            for value in [start, address + start, 0, size, size, 8] {
                bytes.extend(value.to_le_bytes());
            }
        }
        bytes.extend(dynamic.iter().flat_map(|value| value.to_le_bytes()));
        bytes.extend(text);
        bytes.resize(bytes.len() + LONGEST_NAME, 0);
        bytes
    }

    #[test]
    fn names_are_read_and_what_is_no_library_is_told() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("lib.so");
        let of = |bytes: &[u8]| {
            std::fs::write(&file, bytes).expect("file");
            needed(&file)
        };
        assert_eq!(of(&library(&["libcudart.so.13", "libc.so.6"])).expect("names"), ["libcudart.so.13", "libc.so.6"]);
        assert!(of(&library(&[])).expect("none").is_empty());
        for broken in [&b"#!/bin/sh"[..], &library(&["libc.so.6"])[..100], b""] {
            assert!(of(broken).is_err());
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_very_program_needs_the_c_library() {
        let program = std::env::current_exe().expect("this program");
        assert!(needed(&program).expect("names").iter().any(|name| name.starts_with("libc.so")), "{}", program.display());
    }
}
