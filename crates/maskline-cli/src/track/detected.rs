//! What a detector finds on the first frame, as prompts.

use maskline::{Error, ErrorKind, Image, InputSize, Model, ObjectId, PredictOptions, Prompt};

use super::arguments::Track;
use super::prompts::{Asked, Title};

/// What is followed because a detector found it.
pub(super) struct Found {
    pub(super) asked: Vec<Asked>,
    pub(super) titles: Vec<(ObjectId, Title)>,
}

/// Asks a detector about a frame; objects are numbered behind `highest`, the best score first.
///
/// # Errors
/// `BadInput` where nothing is found, and as [`Model::predict`].
pub(super) fn detect(model: &Model, image: &Image, arguments: &Track, Wanted { classes, highest }: Wanted) -> Result<Found, Error> {
    let options = PredictOptions {
        size: arguments.compute.size.map_or(InputSize::Default, InputSize::Square),
        conf: arguments.asked.conf,
        iou: arguments.asked.iou,
        classes,
        ..PredictOptions::default()
    };
    let found = model.predict(image, &options)?;
    if found.objects.is_empty() && highest == 0 {
        let least = options.conf.or(model.usual().conf).unwrap_or_default();
        let error = Error::new(ErrorKind::BadInput, format!("{} finds nothing above {least} on the first frame", model.name()));
        return Err(error.with_help("begin on another frame with --from, or lower --conf"));
    }
    let numbered = || (highest + 1..).zip(&found.objects);
    let asked = numbered().map(|(object, found)| Asked { object, prompt: Prompt::bounds(found.bounds) });
    let titles = numbered().map(|(object, found)| (object, Title { label: found.label.clone(), class_id: found.class_id }));
    Ok(Found { asked: asked.collect(), titles: titles.collect() })
}

/// Which objects are wanted, and from which number on.
pub(super) struct Wanted {
    pub(super) classes: Option<Vec<usize>>,
    pub(super) highest: ObjectId,
}
