//! What input a picture gets, and what of the options is outside its domain.

use maskline_models::{ModelInfo, Preprocess};
use maskline_vision::letterbox::Letterbox;

use crate::limits::{self, LARGEST_BATCH, LARGEST_SIDE};
use crate::{Concern, Error, ErrorKind, Image, InputSize, PredictOptions, Result};

/// What the sides of sizes are multiples of that exports were made for.
const FIXED_MULTIPLE: usize = 32;

/// Refuses what is outside its domain, for any picture; so many go through the network together at most.
pub(super) fn check(info: &ModelInfo, options: &PredictOptions, together: usize) -> Result<()> {
    let invalid = |name: &str| Error::new(ErrorKind::InvalidOption, name);
    options.check_shares()?;
    limits::check_count("batch", options.batch, LARGEST_BATCH)?;
    limits::check_count("max_detections", options.max_detections, usize::MAX)?;
    limits::check_count("top", options.top, usize::MAX)?;
    if let (Some(classes), Some(wanted)) = (info.classes(), &options.classes) {
        if let Some(unknown) = wanted.iter().find(|class| **class >= classes) {
            return Err(invalid("classes").expecting(format!("indices below {classes}")).but_found(unknown));
        }
        if wanted.is_empty() {
            return Err(invalid("classes").expecting("at least one").but_found("an empty list"));
        }
    }
    let [height, width] = largest(info, options)?;
    limits::input_length([info.fixed_batch.unwrap_or(together), height, width])?;
    Ok(())
}

/// Height and width of the network input for a picture; the options are in their domain.
pub(super) fn of_picture(info: &ModelInfo, options: &PredictOptions, image: &Image) -> Result<[usize; 2]> {
    let [height, width] = largest(info, options)?;
    match (options.size, &info.preprocess) {
        (InputSize::Rect(_), Preprocess::Letterbox { stride }) => {
            let (width, height) = Letterbox::rect(image.size(), width, *stride).map_err(Error::of_picture)?.target();
            Ok([height, width])
        }
        _ => Ok([height, width]),
    }
}

/// Height and width of the largest network input that a picture can get.
fn largest(info: &ModelInfo, options: &PredictOptions) -> Result<[usize; 2]> {
    let side = match options.size {
        InputSize::Default | InputSize::Rect(0) => info.default_size,
        InputSize::Square(side) | InputSize::Rect(side) => side,
    };
    let multiple = info.strict_multiple().unwrap_or(FIXED_MULTIPLE);
    let most = LARGEST_SIDE / multiple * multiple;
    let size = |kind| {
        Error::new(kind, "size")
            .expecting(format!("a multiple of {multiple} from {multiple} to {most}"))
            .but_found(side)
            .about(Concern::Options)
    };
    if side > most {
        return Err(size(ErrorKind::OverLimit));
    }
    if side == 0 || side % multiple != 0 {
        return Err(size(ErrorKind::InvalidOption));
    }
    let Some([height, width]) = info.fixed_size else { return Ok([side; 2]) };
    let asks_other = matches!(options.size, InputSize::Rect(_)) || (options.size != InputSize::Default && [side; 2] != [height, width]);
    if asks_other {
        let message = format!("size: this export takes {width} × {height} only");
        return Err(Error::new(ErrorKind::InvalidOption, message).with_help("export it with `dynamic=True`, or use its checkpoint"));
    }
    Ok([height, width])
}
