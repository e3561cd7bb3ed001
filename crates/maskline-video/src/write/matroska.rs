//! Raw frames with their times, in the plainest file that has both: Matroska (RFC 9559) with one track and a cluster per frame.

use std::io::{Result, Write};

/// Elements, by their ids.
mod id {
    pub(super) const EBML: u32 = 0x1a45_dfa3;
    pub(super) const EBML_VERSION: u32 = 0x4286;
    pub(super) const EBML_READ_VERSION: u32 = 0x42f7;
    pub(super) const DOC_TYPE: u32 = 0x4282;
    pub(super) const DOC_TYPE_VERSION: u32 = 0x4287;
    pub(super) const DOC_TYPE_READ_VERSION: u32 = 0x4285;
    pub(super) const SEGMENT: u32 = 0x1853_8067;
    pub(super) const INFO: u32 = 0x1549_a966;
    pub(super) const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
    pub(super) const TRACKS: u32 = 0x1654_ae6b;
    pub(super) const TRACK_ENTRY: u32 = 0xae;
    pub(super) const TRACK_NUMBER: u32 = 0xd7;
    pub(super) const TRACK_UID: u32 = 0x73c5;
    pub(super) const TRACK_TYPE: u32 = 0x83;
    pub(super) const CODEC_ID: u32 = 0x86;
    pub(super) const VIDEO: u32 = 0xe0;
    pub(super) const PIXEL_WIDTH: u32 = 0xb0;
    pub(super) const PIXEL_HEIGHT: u32 = 0xba;
    pub(super) const COLOUR_SPACE: u32 = 0x002e_b524;
    pub(super) const CLUSTER: u32 = 0x1f43_b675;
    pub(super) const TIMESTAMP: u32 = 0xe7;
    pub(super) const SIMPLE_BLOCK: u32 = 0xa3;
}

/// A size that is not told: until the file ends.
const UNTOLD_SIZE: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/// Bytes of R, G, B, 24 bits each pixel.
const RGB_24: &[u8] = b"RGB\x18";
/// Track 1, at the cluster's own time, a key frame.
const BLOCK_HEADER: [u8; 4] = [0x81, 0, 0, 0x80];

/// Begins the file. Times are in nanoseconds.
pub(super) fn write_header(out: &mut impl Write, (width, height): (usize, usize)) -> Result<()> {
    let header = [
        number(id::EBML_VERSION, 1),
        number(id::EBML_READ_VERSION, 1),
        element(id::DOC_TYPE, b"matroska"),
        number(id::DOC_TYPE_VERSION, 4),
        number(id::DOC_TYPE_READ_VERSION, 2),
    ];
    let video = [number(id::PIXEL_WIDTH, width as u64), number(id::PIXEL_HEIGHT, height as u64), element(id::COLOUR_SPACE, RGB_24)];
    let track = [
        number(id::TRACK_NUMBER, 1),
        number(id::TRACK_UID, 1),
        number(id::TRACK_TYPE, 1),
        element(id::CODEC_ID, b"V_UNCOMPRESSED"),
        element(id::VIDEO, &video.concat()),
    ];
    out.write_all(&element(id::EBML, &header.concat()))?;
    out.write_all(&id_bytes(id::SEGMENT))?;
    out.write_all(&UNTOLD_SIZE)?;
    out.write_all(&element(id::INFO, &number(id::TIMESTAMP_SCALE, 1)))?;
    out.write_all(&element(id::TRACKS, &element(id::TRACK_ENTRY, &track.concat())))
}

/// Writes one frame.
pub(super) fn write_frame(out: &mut impl Write, nanoseconds: u64, pixels: &[u8]) -> Result<()> {
    let time = number(id::TIMESTAMP, nanoseconds);
    let block = [id_bytes(id::SIMPLE_BLOCK), size_bytes(BLOCK_HEADER.len() + pixels.len())].concat();
    out.write_all(&id_bytes(id::CLUSTER))?;
    out.write_all(&size_bytes(time.len() + block.len() + BLOCK_HEADER.len() + pixels.len()))?;
    out.write_all(&[time, block, BLOCK_HEADER.to_vec()].concat())?;
    out.write_all(pixels)
}

fn element(id: u32, content: &[u8]) -> Vec<u8> {
    [&id_bytes(id), &size_bytes(content.len()), content].concat()
}

fn number(id: u32, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// Ids tell their own length.
fn id_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// The longest form of a size: a marker and seven bytes.
fn size_bytes(size: usize) -> Vec<u8> {
    (size as u64 | 1 << 56).to_be_bytes().to_vec()
}
