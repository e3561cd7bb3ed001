//! How much two forms of a model agree: what of one's answers the other gives too, on pictures that nobody has labelled.

use maskline::{ClassScore, Concept, Error, Image, Model, Object, PredictOptions, Prompt, Result, SegmentOptions};

/// Clicks along each side of a picture.
const CLICKS: usize = 4;
/// Least intersection over union of two boxes that are the same object.
const SAME: f64 = 0.5;
/// What a model that takes words is asked for.
const PHRASES: [&str; 4] = ["a person", "an animal", "a vehicle", "a piece of furniture"];

/// What a model says of a picture that it is asked about as its users would.
#[derive(Debug, Clone)]
pub enum Said {
    /// A mask for each of a grid of clicks.
    Masks(Vec<Object>),
    /// What it finds.
    Objects(Vec<Object>),
    /// Classes by falling probability.
    Classes(Vec<ClassScore>),
}

/// Asks a model about a picture: a grid of clicks, some words, or what it finds.
///
/// # Errors
/// As the model's.
pub fn ask(model: &Model, image: &Image) -> Result<Said> {
    let info = model.info();
    if info.takes_prompts() {
        let (width, height) = image.size();
        let place = |at: usize, side: usize| (at as f32 + 0.5) / CLICKS as f32 * side as f32;
        let clicks = (0..CLICKS * CLICKS).map(|at| Prompt::click(place(at % CLICKS, width), place(at / CLICKS, height)));
        let found = model.find(image, &clicks.collect::<Vec<_>>(), &SegmentOptions::default())?;
        if let Some((_, error)) = found.errors().next() {
            return Err(Error::new(error.kind(), error.to_string()));
        }
        return Ok(Said::Masks(found.into_objects()));
    }
    if info.takes_words() {
        let concepts = PHRASES.map(Concept::text);
        return Ok(Said::Objects(model.find_concepts(image, &concepts, &PredictOptions::default())?.objects));
    }
    let found = model.predict(image, &PredictOptions::default())?;
    Ok(match found.classes {
        Some(classes) => Said::Classes(classes),
        None => Said::Objects(found.objects),
    })
}

/// How much two answers to the same question agree, 0 to 1: the mean intersection over union of masks; twice the objects that both have, as a
/// share of all that either has (of the same class, boxes with half of both in common); whether the best class is the same. `None` where
/// neither says anything.
///
/// # Errors
/// Answers to pictures of different sizes.
pub fn agreement(one: &Said, other: &Said) -> Result<Option<f64>> {
    match (one, other) {
        (Said::Masks(one), Said::Masks(other)) => {
            let each = one.iter().zip(other).filter_map(|(one, other)| Some((one.mask.as_ref()?, other.mask.as_ref()?)));
            let overlaps = each.map(|(one, other)| overlap(one, other)).collect::<Result<Vec<f64>>>()?;
            Ok((!overlaps.is_empty()).then(|| overlaps.iter().sum::<f64>() / overlaps.len() as f64))
        }
        (Said::Objects(one), Said::Objects(other)) => {
            let all = one.len() + other.len();
            Ok((all > 0).then(|| 2.0 * common(one, other) as f64 / all as f64))
        }
        (Said::Classes(one), Said::Classes(other)) => {
            let best = |classes: &[ClassScore]| classes.first().map(|class| class.class_id);
            Ok(Some(if best(one) == best(other) { 1.0 } else { 0.0 }))
        }
        _ => Ok(Some(0.0)),
    }
}

/// Two masks without a pixel are the same.
fn overlap(one: &maskline::Mask, other: &maskline::Mask) -> Result<f64> {
    if one.area() == 0 && other.area() == 0 {
        return Ok(1.0);
    }
    Ok(one.iou(other)?)
}

/// Objects that both have: the best first, each with what is most like it and not taken.
fn common(one: &[Object], other: &[Object]) -> usize {
    let mut is_taken = vec![false; other.len()];
    let mut count = 0;
    for object in one {
        let free = other.iter().enumerate().filter(|(at, candidate)| !is_taken[*at] && candidate.class_id == object.class_id);
        let overlaps = free.map(|(at, candidate)| (at, box_overlap(object.bounds, candidate.bounds)));
        let best = overlaps.filter(|(_, overlap)| *overlap >= SAME).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((at, _)) = best {
            is_taken[at] = true;
            count += 1;
        }
    }
    count
}

/// Intersection over union of `[x1, y1, x2, y2]`.
fn box_overlap(one: [f32; 4], other: [f32; 4]) -> f64 {
    let side = |axis: usize| f64::from((one[axis + 2].min(other[axis + 2]) - one[axis].max(other[axis])).max(0.0));
    let area = |bounds: [f32; 4]| f64::from(bounds[2] - bounds[0]) * f64::from(bounds[3] - bounds[1]);
    let common = side(0) * side(1);
    let all = area(one) + area(other) - common;
    if all > 0.0 { common / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(class: usize, bounds: [f32; 4]) -> Object {
        Object { class_id: Some(class), bounds, ..Object::default() }
    }

    #[test]
    fn objects_are_the_same_where_class_and_place_are() {
        let one = Said::Objects(vec![object(0, [0.0, 0.0, 10.0, 10.0]), object(1, [20.0, 0.0, 30.0, 10.0])]);
        let moved = Said::Objects(vec![object(0, [1.0, 0.0, 11.0, 10.0]), object(2, [20.0, 0.0, 30.0, 10.0])]);
        assert_eq!(agreement(&one, &one).unwrap_or(None), Some(1.0));
        assert_eq!(agreement(&one, &moved).unwrap_or(None), Some(0.5));
        // One object is not two of the other's.
        let twice = Said::Objects(vec![object(0, [0.0, 0.0, 10.0, 10.0]), object(0, [0.0, 0.0, 10.0, 9.0])]);
        assert_eq!(agreement(&twice, &one).unwrap_or(None), Some(0.5));
        let nothing = Said::Objects(Vec::new());
        assert_eq!(agreement(&nothing, &nothing).unwrap_or(Some(9.0)), None);
        assert_eq!(agreement(&one, &nothing).unwrap_or(None), Some(0.0));
    }
}
