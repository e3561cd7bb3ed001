//! A project's labelling configuration: which picture is shown, and in which forms objects are taken.

use std::sync::Arc;

use roxmltree::{Document, Node, ParsingOptions};

use crate::fault::{Fault, Result};

/// Bytes of a configuration; a thousand labels take a tenth of it.
const LARGEST: usize = 1 << 20;
/// Tags and attributes' texts of a configuration.
const MOST_NODES: u32 = 50_000;

/// What of it matters here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    /// Name of the tag that shows the picture.
    pub(super) image: String,
    /// Name of the field of a task's data that holds the picture.
    pub(super) field: String,
    /// The tags that take objects on that picture, in order.
    pub(super) controls: Vec<Arc<Control>>,
    /// The model that a tag asks for: `model="…"`.
    pub(super) model: Option<String>,
    /// The least score that a tag asks for: `model_score_threshold="…"`.
    pub(super) least_score: Option<f32>,
}

/// A form that objects are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Masks as run lengths.
    Brush,
    /// Outlines.
    Polygon,
    /// Upright and turned boxes.
    Rectangle,
}

impl Form {
    /// The better ones first.
    pub(super) const ALL: [Self; 3] = [Self::Brush, Self::Polygon, Self::Rectangle];

    fn tag(self) -> &'static str {
        match self {
            Self::Brush => "BrushLabels",
            Self::Polygon => "PolygonLabels",
            Self::Rectangle => "RectangleLabels",
        }
    }
}

/// A tag that takes objects of its labels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Control {
    pub(super) form: Form,
    pub(super) name: String,
    pub(super) labels: Vec<Label>,
}

/// A label, and what models may call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) value: String,
    alias: Option<String>,
    /// `predicted_values="a, b"`.
    predicted: Vec<String>,
}

impl Config {
    /// Reads it.
    ///
    /// # Errors
    /// `TooLarge`; `BadRequest` for what is no XML, shows no picture, or takes neither masks, outlines nor boxes.
    pub(super) fn read(text: &str) -> Result<Self> {
        if text.len() > LARGEST {
            return Err(Fault::over("label_config", format!("{LARGEST} bytes"), text.len()));
        }
        let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options).map_err(|error| Fault::bad("label_config", "XML", error))?;
        let tags: Vec<Node<'_, '_>> = document.descendants().filter(Node::is_element).collect();
        let shows = |tag: &&Node<'_, '_>| is(tag, "Image") && attribute(tag, "value").is_some_and(|value| value.starts_with('$'));
        let image = tags.iter().find(shows).ok_or_else(|| {
            let fault = Fault::bad("label_config", "a picture", "none");
            fault.with_help("<Image name=\"image\" value=\"$image\"/>")
        })?;
        let name = attribute(image, "name").unwrap_or_default();
        let field = attribute(image, "value").unwrap_or_default().trim_start_matches('$');
        let controls: Vec<Arc<Control>> =
            tags.iter().filter(|tag| attribute(tag, "toName") == Some(name)).filter_map(Control::of).map(Arc::new).collect();
        if controls.is_empty() {
            let forms = Form::ALL.map(Form::tag).join(", ");
            let fault = Fault::bad("label_config", format!("{forms} for `{}`", shortened(name)), "none of them");
            return Err(fault.with_help("<BrushLabels name=\"brush\" toName=\"image\"> takes masks"));
        }
        let first = |name: &str| tags.iter().find_map(|tag| attribute(tag, name));
        Ok(Self {
            image: name.to_owned(),
            field: field.to_owned(),
            controls,
            model: first("model").map(str::to_owned),
            least_score: first("model_score_threshold").and_then(|score| score.parse().ok()).filter(|score: &f32| score.is_finite()),
        })
    }

    /// The tag that takes the mask of a prompt's object.
    pub(super) fn of_prompt(&self) -> Option<&Arc<Control>> {
        Form::ALL.iter().find_map(|form| self.controls.iter().find(|control| control.form == *form))
    }

    /// A tag that takes masks, or else boxes.
    pub(super) fn taking(&self, has_mask: bool) -> Option<&Arc<Control>> {
        if has_mask { self.of_prompt() } else { self.controls.iter().find(|control| control.form == Form::Rectangle) }
    }

    /// Where an object goes that a model calls by a name: the tag, and its label.
    pub(super) fn place(&self, name: &str, has_mask: bool) -> Option<(&Arc<Control>, &Label)> {
        let fitting = Form::ALL.iter().filter(|form| has_mask || **form == Form::Rectangle);
        let controls = fitting.flat_map(|form| self.controls.iter().filter(move |control| control.form == *form));
        controls.filter_map(|control| control.labels.iter().find(|label| label.is_called(name)).map(|label| (control, label))).next()
    }

    /// What to look for: the words of all labels, each once.
    pub(super) fn words(&self) -> Vec<&str> {
        let mut words: Vec<&str> = Vec::new();
        for word in self.controls.iter().flat_map(|control| &control.labels).flat_map(Label::words) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }
}

impl Control {
    fn of(tag: &Node<'_, '_>) -> Option<Self> {
        let form = Form::ALL.into_iter().find(|form| is(tag, form.tag()))?;
        let labels = tag.descendants().filter(|label| is(label, "Label")).filter_map(|label| Label::of(&label)).collect();
        Some(Self { form, name: attribute(tag, "name")?.to_owned(), labels })
    }
}

impl Label {
    fn of(tag: &Node<'_, '_>) -> Option<Self> {
        let predicted = attribute(tag, "predicted_values").unwrap_or_default();
        Some(Self {
            value: attribute(tag, "value").filter(|value| !value.is_empty())?.to_owned(),
            alias: attribute(tag, "alias").map(str::to_owned),
            predicted: predicted.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        })
    }

    /// Whether a model's name for a class means it.
    fn is_called(&self, name: &str) -> bool {
        let mut names = self.predicted.iter().chain(&self.alias).chain([&self.value]);
        names.any(|known| known.to_lowercase() == name.to_lowercase())
    }

    /// What a model that takes words is to look for.
    fn words(&self) -> impl Iterator<Item = &str> {
        let own = self.predicted.is_empty().then_some(self.value.as_str());
        self.predicted.iter().map(String::as_str).chain(own)
    }
}

/// Label Studio takes tags in any case.
fn is(tag: &Node<'_, '_>, name: &str) -> bool {
    tag.tag_name().name().eq_ignore_ascii_case(name)
}

fn attribute<'a>(tag: &Node<'a, '_>, name: &str) -> Option<&'a str> {
    tag.attributes().find(|attribute| attribute.name().eq_ignore_ascii_case(name)).map(|attribute| attribute.value())
}

fn shortened(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reason;

    const WHOLE: &str = r#"<View>
        <Image name="img" value="$picture" zoom="true"/>
        <KeyPointLabels name="kp" toName="img" smart="true" model="tiny"><Label value="Mug"/></KeyPointLabels>
        <rectanglelabels name="rect" toname="img" model_score_threshold="0.4">
            <Label value="Mug" predicted_values="cup, wine glass"/><View><Label value="Bus &amp; tram" alias="bus"/></View>
        </rectanglelabels>
        <BrushLabels name="brush" toName="img"><Label value="Mug"/></BrushLabels>
        <BrushLabels name="other" toName="img2"><Label value="Cat"/></BrushLabels>
        <Choices name="c" toName="img"><Choice value="a"/></Choices>
    </View>"#;

    #[test]
    fn the_picture_the_forms_and_what_models_are_told_are_read() {
        let config = Config::read(WHOLE).expect("read");
        assert_eq!((config.image.as_str(), config.field.as_str(), config.model.as_deref()), ("img", "picture", Some("tiny")));
        assert_eq!(config.least_score, Some(0.4));
        assert_eq!(config.controls.iter().map(|control| control.name.as_str()).collect::<Vec<_>>(), ["rect", "brush"]);
        assert_eq!(config.of_prompt().map(|control| control.name.as_str()), Some("brush"));
        assert_eq!(config.words(), ["cup", "wine glass", "Bus & tram", "Mug"]);
    }

    #[test]
    fn objects_go_where_a_tag_takes_them_under_the_label_that_their_name_means() {
        let config = Config::read(WHOLE).expect("read");
        let place =
            |name: &str, has_mask| config.place(name, has_mask).map(|(control, label)| (control.name.as_str(), label.value.as_str()));
        assert_eq!(place("CUP", false), Some(("rect", "Mug")));
        assert_eq!(place("bus", true), Some(("rect", "Bus & tram")));
        assert_eq!(place("mug", true), Some(("brush", "Mug")));
        assert_eq!(place("cat", true), None);
    }

    #[test]
    fn what_is_no_configuration_of_pictures_is_refused() {
        let image = r#"<Image name="i" value="$i"/>"#;
        for (text, told) in [
            (String::new(), "XML"),
            ("<View>".to_owned(), "XML"),
            ("<!DOCTYPE a [<!ENTITY b \"c\">]><View>&b;</View>".to_owned(), "XML"),
            ("<View><Text name='t' value='$t'/></View>".to_owned(), "a picture"),
            (format!("<View>{image}</View>"), "BrushLabels"),
            (format!("<View>{image}<BrushLabels name='b' toName='j'/></View>"), "BrushLabels"),
        ] {
            let fault = Config::read(&text).expect_err(&text);
            assert_eq!(fault.reason, Reason::BadRequest, "{text}");
            assert!(fault.line().contains(told), "{}", fault.line());
        }
        assert_eq!(Config::read(&" ".repeat(LARGEST + 1)).expect_err("too long").reason, Reason::TooLarge);
    }

    #[test]
    fn deep_and_wide_configurations_are_refused_and_not_died_of() {
        for (begin, end, count) in [("<View>", "</View>", 70_000), ("<View/>", "", 140_000)] {
            let text = format!("<View>{}{}</View>", begin.repeat(count), end.repeat(count));
            assert_eq!(Config::read(&text).expect_err("too many").reason, Reason::BadRequest);
        }
    }
}
