//! Prompts and what is looked for, as forms and query strings say them: in the order and with the names of the command line.
//!
//! An object's points and its box stand together: a second `box` begins the next object, and so does `object` anywhere.

use bytes::Bytes;

use super::ask::{PromptFields, TextFields};
use crate::fault::{Fault, Result};

/// What is said about one object.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) fields: PromptFields,
    /// A rough mask as the file of a picture.
    pub(super) mask: Option<Bytes>,
}

/// Prompts as they are heard.
#[derive(Debug, Default)]
pub(super) struct Prompts {
    drafts: Vec<Draft>,
    /// What comes next belongs to a new object.
    is_next: bool,
}

impl Prompts {
    /// The words `point`, `box`, `label` and `object`.
    ///
    /// # Errors
    /// `BadRequest` for what is none.
    pub(super) fn hear(&mut self, name: &str, text: &str) -> Result<()> {
        match name {
            "point" => {
                let point = numbers("point", text).and_then(|point| match point.len() {
                    2 | 3 => Ok(point),
                    _ => Err(Fault::bad("point", "x,y or x,y,0", shown(text))),
                })?;
                self.draft(|_| false).fields.points.push(point);
            }
            "box" => {
                let bounds = bounds("box", text)?;
                self.draft(|draft| draft.fields.bounds.is_some()).fields.bounds = Some(bounds);
            }
            "label" => self.draft(|draft| draft.fields.label.is_some()).fields.label = Some(text.to_owned()),
            _ => self.is_next = true,
        }
        Ok(())
    }

    /// A rough mask.
    pub(super) fn hear_mask(&mut self, file: Bytes) {
        self.draft(|draft| draft.mask.is_some()).mask = Some(file);
    }

    pub(super) fn len(&self) -> usize {
        self.drafts.len()
    }

    pub(super) fn finish(self) -> Vec<Draft> {
        self.drafts
    }

    /// The object that is spoken of; the next one where this one `has` it already.
    fn draft(&mut self, has: impl Fn(&Draft) -> bool) -> &mut Draft {
        let begins = std::mem::take(&mut self.is_next) || self.drafts.last().is_none_or(has);
        if begins {
            self.drafts.push(Draft::default());
        }
        let last = self.drafts.len() - 1;
        &mut self.drafts[last]
    }
}

/// What is looked for, as it is heard.
#[derive(Debug, Default)]
pub(super) struct Sought {
    pub(super) texts: Vec<TextFields>,
    /// Boxes that stand before the first text.
    pub(super) like_boxes: Vec<[f32; 4]>,
    pub(super) unlike_boxes: Vec<[f32; 4]>,
}

impl Sought {
    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.like_boxes.is_empty() && self.unlike_boxes.is_empty()
    }

    /// The words `text`, `like_box` and `unlike_box`. A box says more of the text before it.
    ///
    /// # Errors
    /// `BadRequest` for what is none.
    pub(super) fn hear(&mut self, name: &str, text: &str) -> Result<()> {
        if name == "text" {
            self.texts.push(TextFields { text: text.to_owned(), ..TextFields::default() });
            return Ok(());
        }
        let bounds = bounds(name, text)?;
        let boxes = match (self.texts.last_mut(), name) {
            (Some(text), "like_box") => &mut text.like_boxes,
            (Some(text), _) => &mut text.unlike_boxes,
            (None, "like_box") => &mut self.like_boxes,
            (None, _) => &mut self.unlike_boxes,
        };
        boxes.push(bounds);
        Ok(())
    }
}

/// `x1,y1,x2,y2`.
pub(super) fn bounds(name: &str, text: &str) -> Result<[f32; 4]> {
    numbers(name, text)?.try_into().map_err(|_| Fault::bad(name, "x1,y1,x2,y2", shown(text)))
}

fn numbers(name: &str, text: &str) -> Result<Vec<f32>> {
    let number = |part: &str| part.trim().parse().map_err(|_| Fault::bad(name, "numbers with commas", shown(text)));
    text.split(',').map(number).collect()
}

/// The beginning of what somebody sent.
fn shown(text: &str) -> String {
    format!("`{}`", text.chars().take(80).flat_map(char::escape_debug).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(words: &[(&str, &str)]) -> Vec<(usize, bool)> {
        let mut prompts = Prompts::default();
        words.iter().for_each(|(name, text)| prompts.hear(name, text).expect("words"));
        prompts.finish().iter().map(|draft| (draft.fields.points.len(), draft.fields.bounds.is_some())).collect()
    }

    #[test]
    fn a_second_box_or_the_word_object_begins_the_next_object() {
        let (point, bounds, object) = (("point", "1,2,0"), ("box", "0,0,5,5"), ("object", ""));
        assert_eq!(grouped(&[bounds, point]), [(1, true)]);
        assert_eq!(grouped(&[point, bounds, bounds, point]), [(1, true), (1, true)]);
        assert_eq!(grouped(&[point, object, point, point]), [(1, false), (2, false)]);
        assert_eq!(grouped(&[object, object]), []);
        assert!(Prompts::default().hear("point", "1").is_err() && Prompts::default().hear("box", "1,2,x,4").is_err());
    }

    #[test]
    fn boxes_say_more_of_the_text_before_them() {
        let mut sought = Sought::default();
        for (name, text) in [("like_box", "0,0,1,1"), ("text", "a"), ("like_box", "0,0,2,2"), ("unlike_box", "0,0,3,3")] {
            sought.hear(name, text).expect("words");
        }
        assert_eq!((sought.like_boxes.len(), sought.texts[0].like_boxes.len(), sought.texts[0].unlike_boxes.len()), (1, 1, 1));
    }
}
