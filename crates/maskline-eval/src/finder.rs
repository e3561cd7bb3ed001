//! What a finder of words finds in the pictures of a data set.

use maskline::{Concept, Error, ErrorKind, Image, Model, Object, PhraseCount, Result};

use crate::detector::{Looked, detection, look};
use crate::file::wrong;
use crate::{Category, Detection, DetectionReport, DetectorOptions, Phrases, Truth};

/// Tells a model the names of the categories and judges what it finds as [`detections`](crate::detections) does. All things are asked for
/// in every picture, by [`phrase`] of their name; each is encoded once.
/// `progress` hears how many pictures of how many are done.
///
/// # Errors
/// `InvalidOption` for a model that takes no words and options outside their domain; `BadInput` when pictures are missing, cannot be read
/// or have another size than the ground truth says, and for a category whose name holds no word.
pub fn finder(model: &Model, truth: &Truth, options: &DetectorOptions, progress: impl FnMut(usize, usize)) -> Result<DetectionReport> {
    let info = model.info();
    if !info.task.takes_concepts() || !info.takes_words() {
        let found = if info.task.takes_concepts() { "one that is shown examples".to_owned() } else { info.task.noun().to_owned() };
        return Err(Error::new(ErrorKind::InvalidOption, model.name()).expecting("a model that finds what words say").but_found(found));
    }
    let asked: Vec<&Category> = truth.categories().iter().filter(|category| category.is_thing != Some(false)).collect();
    let concepts = asked.iter().map(|category| concept(category)).collect::<Result<Vec<_>>>().map_err(|error| truth.bad(error))?;
    let mut count = PhraseCount::default();
    let find = |images: &[Image], ids: &[i64]| {
        let mut found: Vec<Detection> = Vec::new();
        for (image, image_id) in images.iter().zip(ids) {
            let answer = model.find_concepts(image, &concepts, &options.predict)?;
            count = count + answer.timings.phrases();
            let category = |object: &Object| asked.get(object.class_id?).map(|category| category.id);
            found.extend(answer.objects.into_iter().filter_map(|object| Some(detection(*image_id, category(&object)?, object))));
        }
        Ok(found)
    };
    let looked = Looked { truth, options, categories: asked.iter().map(|category| category.id).collect() };
    let report = look(&looked, find, progress)?;
    let phrases = Phrases {
        asked: concepts.len(),
        has_templates: options.predict.words.templates,
        encoded: count.encoded,
        from_disk: count.from_disk,
    };
    Ok(DetectionReport { phrases: Some(phrases), ..report })
}

fn concept(category: &Category) -> Result<Concept> {
    match phrase(&category.name) {
        words if words.is_empty() => {
            let error = wrong(format!("category {}", category.id)).expecting("a name that is asked for in words");
            Err(error.but_found(format!("{:?}", category.name)))
        }
        words => Ok(Concept { label: Some(category.name.clone()), ..Concept::text(words) }),
    }
}

/// The words that a category's name is asked for by: small letters, digits and hyphens, all else is a space. `traffic light` stays as it
/// is, `bow_(weapon)` is `bow weapon`.
///
/// Source: OWL-ViT's evaluation (`scenic/projects/owl_vit/preprocessing/label_ops.py`), which knows letters of English only; here those of
/// all scripts stay.
pub fn phrase(name: &str) -> String {
    let letter = |letter: char| if letter.is_alphanumeric() || letter == '-' { letter } else { ' ' };
    let mut text: String = name.to_lowercase().chars().map(letter).collect();
    while text.contains("--") {
        text = text.replace("--", "-");
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::phrase;

    #[test]
    fn names_of_categories_become_phrases() {
        let names = [
            ("person", "person"),
            ("traffic light", "traffic light"),
            ("bow_(weapon)", "bow weapon"),
            ("cleat_(for_securing_rope)", "cleat for securing rope"),
            ("first-aid_kit", "first-aid kit"),
            ("Tabasco_sauce", "tabasco sauce"),
            ("a -- b", "a - b"),
            ("Größe", "größe"),
            ("_(?)", ""),
        ];
        for (name, expected) in names {
            assert_eq!(phrase(name), expected, "{name}");
        }
    }
}
