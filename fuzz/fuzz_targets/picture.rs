//! Pictures of all formats, as pictures and as rough masks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maskline_vision::decode::{DecodeOptions, SixteenBits, decode, exif_orientation, mask_of_picture};

fuzz_target!(|bytes: &[u8]| {
    let options = DecodeOptions { max_pixels: 1 << 16, ..DecodeOptions::default() };
    let _ = exif_orientation(bytes);
    if let Ok(picture) = decode(bytes, &options) {
        assert!(picture.width() as u64 * picture.height() as u64 <= options.max_pixels);
        assert!(decode(bytes, &DecodeOptions { sixteen_bits: SixteenBits::HighByte, ..options.clone() }).is_ok());
    }
    let _ = mask_of_picture(bytes, &options);
});
