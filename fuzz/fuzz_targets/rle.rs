//! COCO's masks: compressed run lengths in any text, and segmentations as JSON (polygons and run lengths).
#![no_main]

use libfuzzer_sys::fuzz_target;
use maskline_vision::Mask;
use maskline_vision::mask::Rle;

fuzz_target!(|bytes: &[u8]| {
    let [height, width, rest @ ..] = bytes else { return };
    let size = [usize::from(*height), usize::from(*width)];
    if let Ok(json) = serde_json::from_slice(rest)
        && let Ok(mask) = Mask::from_coco_segmentation(&json, [size[1], size[0]])
    {
        assert_eq!([mask.height(), mask.width()], size);
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let Ok(rle) = Rle::from_coco_string(size, text) else { return };
    assert_eq!(Rle::from_coco_string(size, &rle.to_coco_string()).ok().as_ref(), Some(&rle), "the text of the runs is the runs");
    let Ok(mask) = Mask::from_rle(&rle) else { return };
    let again = Mask::from_rle(&mask.to_rle()).expect("a mask's own runs");
    assert_eq!((mask.area(), mask.bounds()), (again.area(), again.bounds()));
});
