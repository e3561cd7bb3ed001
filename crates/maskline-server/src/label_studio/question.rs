//! What a request means: an object that somebody points at, words for objects, or everything that the labels name.

use maskline::{Click, Prompt, RotatedBox};

use super::body::{Context, Item};
use super::config::Config;
use crate::fault::{Fault, Result};

/// Bytes of a text that says what to look for.
const LONGEST_TEXT: usize = 4096;

/// What is asked of each task.
#[derive(Debug)]
pub(super) enum Question {
    /// Nobody has drawn anything: whatever the model finds of the labels.
    Labels,
    /// Nothing yet; soon somebody will ask about the picture.
    Prewarm,
    /// Nothing any more: what was drawn is deleted.
    Nothing,
    /// The one object that is pointed at.
    Object(Pointed),
    /// All objects that words mean.
    Words(Written),
}

/// Clicks and a box for one object, in percent of the picture. As with Label Studio's own backend for SAM, everything that was drawn means one
/// object; of several boxes the last one counts, and of several labels too.
#[derive(Debug, Default)]
pub(super) struct Pointed {
    clicks: Vec<Click>,
    rectangle: Option<Rectangle>,
    pub(super) label: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Rectangle {
    corner: [f32; 2],
    size: [f32; 2],
    /// About the corner, clockwise.
    degrees: f32,
}

/// What to look for, and what it is called.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) texts: Vec<String>,
    pub(super) label: Option<String>,
}

impl Question {
    /// Of a request.
    ///
    /// # Errors
    /// `BadRequest` for what was drawn that is neither point, box nor text, or not where it could be; `TooLarge` for more than so many prompts.
    pub(super) fn of(context: Option<&Context>, most: usize) -> Result<Self> {
        let Some(context) = context else { return Ok(Self::Labels) };
        if context.event.as_deref() == Some("prewarm") {
            return Ok(Self::Prewarm);
        }
        if context.result.is_empty() {
            return Ok(Self::Nothing);
        }
        if context.result.len() > most {
            return Err(Fault::over("context", format!("{most} things that were drawn"), context.result.len()));
        }
        let texts: Vec<String> =
            context.result.iter().filter(|item| item.kind == "textarea").flat_map(|item| item.value.text.texts()).cloned().collect();
        let texts: Vec<String> = texts.into_iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect();
        if let Some(long) = texts.iter().find(|text| text.len() > LONGEST_TEXT) {
            return Err(Fault::over("text", format!("{LONGEST_TEXT} bytes"), long.len()));
        }
        let mut pointed = Pointed::default();
        for (index, item) in context.result.iter().enumerate() {
            pointed.add(index, item)?;
        }
        match (pointed.is_empty(), texts.is_empty()) {
            (_, false) => Ok(Self::Words(Written { texts, label: pointed.label })),
            (false, true) => Ok(Self::Object(pointed)),
            (true, true) => {
                let kinds: Vec<String> = context.result.iter().take(3).map(|item| shortened(&item.kind)).collect();
                let expected = "points, boxes (keypointlabels, rectanglelabels) or a text (textarea)";
                Err(Fault::bad("context", expected, format!("`{}`", kinds.join("`, `"))))
            }
        }
    }
}

impl Pointed {
    fn is_empty(&self) -> bool {
        self.clicks.is_empty() && self.rectangle.is_none()
    }

    fn add(&mut self, index: usize, item: &Item) -> Result<()> {
        let value = &item.value;
        let number = |name: &str, given: Option<f32>| {
            let what = format!("context: result[{index}].value.{name}");
            let given = given.ok_or_else(|| Fault::bad(&what, "a number", "none"))?;
            if given.is_finite() { Ok(given) } else { Err(Fault::bad(what, "a number", given)) }
        };
        match item.kind.as_str() {
            "keypointlabels" | "keypoint" => {
                let is_positive = item.is_positive.or(value.positive).is_none_or(super::body::Sign::is_positive);
                self.clicks.push(Click { x: number("x", value.x)?, y: number("y", value.y)?, is_positive });
            }
            "rectanglelabels" | "rectangle" => {
                self.rectangle = Some(Rectangle {
                    corner: [number("x", value.x)?, number("y", value.y)?],
                    size: [number("width", value.width)?, number("height", value.height)?],
                    degrees: value.rotation.map_or(Ok(0.0), |degrees| number("rotation", Some(degrees)))?,
                });
            }
            _ => {}
        }
        if let Some(label) = value.label() {
            self.label = Some(label.to_owned());
        }
        Ok(())
    }

    /// The prompt on a picture of this width and height.
    pub(super) fn prompt(&self, size: (usize, usize)) -> Prompt {
        let [width, height] = [size.0 as f32 / 100.0, size.1 as f32 / 100.0];
        let clicks = self.clicks.iter().map(|click| Click { x: click.x * width, y: click.y * height, ..*click }).collect();
        let bounds = self.rectangle.map(|Rectangle { corner: [x, y], size: [wide, high], degrees }| {
            let (x, y, wide, high) = (x * width, y * height, wide * width, high * height);
            if degrees == 0.0 {
                return [x, y, x + wide, y + high];
            }
            let angle = degrees.to_radians();
            let (sin, cos) = angle.sin_cos();
            let center = [x + (wide * cos - high * sin) / 2.0, y + (wide * sin + high * cos) / 2.0];
            RotatedBox { center, size: [wide, high], angle }.bounds()
        });
        Prompt { clicks, bounds, label: self.label.clone(), ..Prompt::default() }
    }
}

impl Written {
    /// What its objects are called in a project: the label that was chosen, or that of the words, or the first one.
    pub(super) fn label_in(&self, config: &Config, has_masks: bool) -> Option<String> {
        let of_words = || self.texts.iter().find_map(|text| config.place(text, has_masks)).map(|(_, label)| label.value.clone());
        let first = || config.controls.iter().find_map(|control| control.labels.first()).map(|label| label.value.clone());
        self.label.clone().or_else(of_words).or_else(first)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reason;
    use crate::label_studio::body;

    fn question(context: &str) -> Result<Question> {
        // Numbers that are too large are refused here or there, as serde_json reads them.
        Question::of(Some(&body::read::<Context>(context.as_bytes())?), 8)
    }

    fn pointed(result: &str) -> Pointed {
        match question(&format!("{{\"result\": [{result}]}}")).expect("a question") {
            Question::Object(pointed) => pointed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clicks_and_boxes_in_percent_mean_one_object_in_pixels() {
        let pointed = pointed(
            r#"{"type": "keypointlabels", "is_positive": 1, "value": {"x": 50, "y": 25, "keypointlabels": ["Cat"]}},
               {"type": "keypointlabels", "is_positive": false, "value": {"x": 0, "y": 100, "keypointlabels": ["Cat"]}},
               {"type": "keypointlabels", "value": {"x": 10, "y": 10, "positive": 0, "keypointlabels": ["Cat"]}},
               {"type": "keypointlabels", "value": {"x": 10, "y": 10}},
               {"type": "rectanglelabels", "value": {"x": 1, "y": 1, "width": 1, "height": 1, "rectanglelabels": ["Dog"]}},
               {"type": "rectanglelabels", "value": {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["Dog"]}}"#,
        );
        let prompt = pointed.prompt((200, 100));
        let clicks: Vec<_> = prompt.clicks.iter().map(|click| (click.x, click.y, click.is_positive)).collect();
        assert_eq!(clicks, [(100.0, 25.0, true), (0.0, 100.0, false), (20.0, 10.0, false), (20.0, 10.0, true)]);
        assert_eq!(prompt.bounds, Some([20.0, 20.0, 80.0, 60.0]), "the last box counts");
        assert_eq!(prompt.label.as_deref(), Some("Dog"));
    }

    #[test]
    fn a_turned_box_is_taken_with_what_it_reaches() {
        let pointed = pointed(r#"{"type": "rectangle", "value": {"x": 50, "y": 50, "width": 20, "height": 10, "rotation": 90}}"#);
        let bounds = pointed.prompt((200, 200)).bounds.expect("a box");
        for (side, expected) in bounds.into_iter().zip([80.0, 100.0, 100.0, 140.0]) {
            assert!((side - expected).abs() < 1e-3, "{bounds:?}");
        }
    }

    #[test]
    fn a_text_is_looked_for_and_nothing_is_asked_before_and_after() {
        let Ok(Question::Words(written)) = question(
            r#"{"result": [{"type": "textarea", "value": {"text": [" a cup ", ""]}}, {"type": "labels", "value": {"labels": ["Mug"]}}]}"#,
        ) else {
            panic!("words")
        };
        assert_eq!((written.texts.as_slice(), written.label.as_deref()), (["a cup".to_owned()].as_slice(), Some("Mug")));
        assert!(matches!(Question::of(None, 8), Ok(Question::Labels)));
        assert!(matches!(question(r#"{"event": "prewarm"}"#), Ok(Question::Prewarm)));
        assert!(matches!(question(r#"{"result": []}"#), Ok(Question::Nothing)));
        assert!(matches!(question(r#"{"result": null}"#), Ok(Question::Nothing)));
    }

    #[test]
    fn what_means_nothing_is_refused_and_told() {
        for (result, told) in [
            (r#"{"type": "ellipselabels", "value": {"x": 1}}"#, "`ellipselabels`"),
            (r#"{"type": "keypointlabels", "value": {"x": 1}}"#, "result[0].value.y"),
            (r#"{"type": "rectanglelabels", "value": {"x": 1, "y": 1, "width": 1e39, "height": 1}}"#, "value.width"),
            (r#"{"type": "textarea", "value": {"text": [""]}}"#, "`textarea`"),
        ] {
            let fault = question(&format!("{{\"result\": [{result}]}}")).expect_err(result);
            assert_eq!(fault.reason, Reason::BadRequest);
            assert!(fault.line().contains(told), "{}", fault.line());
        }
        let click = r#"{"type": "keypoint", "value": {"x": 1, "y": 1}}"#;
        let many = format!("{{\"result\": [{}]}}", [click; 9].join(","));
        assert_eq!(question(&many).expect_err("too many").reason, Reason::TooLarge);
    }
}
