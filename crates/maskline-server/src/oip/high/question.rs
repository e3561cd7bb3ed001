//! Tensors and parameters to questions about a picture.

use std::collections::BTreeMap;

use bytes::Bytes;
use maskline::{Ask, Click, Concept, Multimask, PredictOptions, Prompt, SegmentOptions};

use super::super::datatype::Datatype;
use super::super::message::{InferRequest, Parameter};
use super::super::number::Number;
use super::super::tensor::Tensor;
use super::{Form, name};
use crate::fault::{Fault, Result};

/// What is refused.
pub(super) struct Limits {
    /// Objects, boxes and phrases of a request.
    pub(super) prompts: usize,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Read {
    /// The picture's file.
    pub(super) picture: Bytes,
    /// Objects that clicks mean in the order of their numbers, then boxes, then words.
    pub(super) asks: Vec<Ask>,
    pub(super) predict: PredictOptions,
    pub(super) segment: SegmentOptions,
}

/// Reads a request.
///
/// # Errors
/// `BadRequest`, `TooLarge`.
pub(super) fn read(form: Form, request: &InferRequest, limits: &Limits) -> Result<Read> {
    let inputs = Inputs::of(form, request)?;
    let picture = inputs.picture()?;
    let mut asks: Vec<Ask> = inputs.clicked(limits)?.into_iter().map(Ask::Object).collect();
    let boxes = inputs.numbers::<4>(name::BOXES, limits)?.unwrap_or_default();
    asks.extend(boxes.into_iter().map(|bounds| Ask::Object(Prompt::bounds(bounds))));
    asks.extend(inputs.phrases()?.into_iter().map(|phrase| Ask::Concept(Concept::text(phrase))));
    if asks.len() > limits.prompts {
        return Err(Fault::over("prompts", limits.prompts, asks.len()));
    }
    if asks.is_empty() {
        if !form.finds {
            let expected = match (form.prompts, form.words) {
                (true, true) => "points, boxes or text",
                (true, false) => "points or boxes",
                _ => "text",
            };
            return Err(Fault::bad("inputs", expected, "only the picture"));
        }
        asks.push(Ask::Detect);
    }
    let mut read = Read { picture, asks, predict: PredictOptions::default(), segment: SegmentOptions::default() };
    for (name, value) in &request.parameters.others {
        read.set(form, Setting { name, value })?;
    }
    Ok(read)
}

/// A parameter of a request.
struct Setting<'a> {
    name: &'a str,
    value: &'a Parameter,
}

impl Setting<'_> {
    fn wrong(&self, expected: &str) -> Fault {
        Fault::bad(format!("parameter `{}`", self.name), expected, self.value)
    }

    fn number(&self) -> Result<f32> {
        self.value.as_number().map(|number| number as f32).filter(|number| number.is_finite()).ok_or_else(|| self.wrong("a number"))
    }

    fn multimask(&self) -> Result<Multimask> {
        match self.value {
            Parameter::Bool(true) => Ok(Multimask::On),
            Parameter::Bool(false) => Ok(Multimask::Off),
            Parameter::Text(word) if word == "auto" => Ok(Multimask::Auto),
            _ => Err(self.wrong("true, false or `auto`")),
        }
    }
}

impl Read {
    fn set(&mut self, form: Form, setting: Setting<'_>) -> Result<()> {
        let (finds, prompts) = (form.finds || form.words, form.prompts);
        match setting.name {
            "conf" if finds => self.predict.conf = Some(setting.number()?),
            "iou" if finds => self.predict.iou = Some(setting.number()?),
            "max_detections" if finds => {
                let count = setting.value.as_count().and_then(|count| usize::try_from(count).ok());
                self.predict.max_detections = count.ok_or_else(|| setting.wrong("a count"))?;
            }
            "multimask" if prompts => self.segment.multimask = setting.multimask()?,
            "mask_threshold" if prompts => self.segment.threshold = setting.number()?,
            _ => {
                let named: String = setting.name.chars().take(60).flat_map(char::escape_debug).collect();
                let known = [("conf, iou, max_detections", finds), ("multimask, mask_threshold", prompts)];
                let known: Vec<&str> = known.iter().filter_map(|(names, is)| is.then_some(*names)).collect();
                return Err(Fault::bad("parameter", format!("one that the model knows ({})", known.join(", ")), format!("`{named}`")));
            }
        }
        Ok(())
    }
}

/// The inputs of a request by name.
struct Inputs<'a>(BTreeMap<&'static str, &'a Tensor>);

impl<'a> Inputs<'a> {
    /// # Errors
    /// `BadRequest` for inputs that the model does not take, that are there twice, or of another type.
    fn of(form: Form, request: &'a InferRequest) -> Result<Self> {
        let signature = form.signature("");
        let known = [
            (name::IMAGE, Datatype::Bytes),
            (name::POINTS, Datatype::Fp32),
            (name::POINT_LABELS, Datatype::Int64),
            (name::POINT_OBJECTS, Datatype::Int64),
            (name::BOXES, Datatype::Fp32),
            (name::TEXT, Datatype::Bytes),
        ];
        let mut inputs = BTreeMap::new();
        for tensor in &request.inputs {
            let meant = if tensor.name() == name::LABELS_OF_POINTS { name::POINT_LABELS } else { tensor.name() };
            let is_taken = |name: &str| signature.inputs.iter().any(|input| input.name == name);
            let Some(&(name, datatype)) = known.iter().find(|(name, _)| *name == meant && is_taken(name)) else {
                let names: Vec<&str> = signature.inputs.iter().map(|input| input.name.as_str()).collect();
                let found: String = tensor.name().chars().take(60).flat_map(char::escape_debug).collect();
                return Err(Fault::bad("input", names.join(", "), format!("`{found}`")));
            };
            if tensor.datatype() != datatype {
                return Err(Fault::bad(format!("input `{name}`"), datatype, tensor.datatype()));
            }
            if inputs.insert(name, tensor).is_some() {
                return Err(Fault::bad(format!("input `{name}`"), "once", "twice"));
            }
        }
        Ok(Self(inputs))
    }

    fn picture(&self) -> Result<Bytes> {
        let expected = "one picture: the bytes of its file";
        let tensor = self.0.get(name::IMAGE).ok_or_else(|| Fault::bad("input `image`", expected, "none"))?;
        let mut elements = tensor.elements();
        match (elements.next(), elements.next()) {
            (Some(file), None) => Ok(file),
            _ => Err(Fault::bad("input `image`", expected, format!("{:?}", tensor.shape()))),
        }
    }

    fn phrases(&self) -> Result<Vec<String>> {
        let Some(tensor) = self.0.get(name::TEXT) else { return Ok(Vec::new()) };
        let texts = tensor.elements().map(|text| String::from_utf8(text.into()));
        texts.collect::<Result<_, _>>().map_err(|_| Fault::bad("input `text`", "UTF-8", "other bytes"))
    }

    /// Rows of so many numbers; a single row may come as a vector.
    fn numbers<const N: usize>(&self, name: &str, limits: &Limits) -> Result<Option<Vec<[f32; N]>>> {
        let Some(tensor) = self.0.get(name) else { return Ok(None) };
        let rows = match *tensor.shape() {
            [rows, width] if width == N => rows,
            [width] if width == N => 1,
            _ => return Err(Fault::bad(format!("input `{name}`"), format!("[n, {N}]"), format!("{:?}", tensor.shape()))),
        };
        // Several clicks may mean one object: those are counted again.
        if rows > limits.prompts {
            return Err(Fault::over(format!("input `{name}`"), format!("{} rows", limits.prompts), rows));
        }
        let numbers: Vec<f32> = tensor.content().chunks_exact(size_of::<f32>()).map(f32::of_bytes).collect();
        Ok(Some(numbers.as_chunks::<N>().0.to_vec()))
    }

    /// A number for each of so many clicks.
    fn of_clicks(&self, name: &str, clicks: usize) -> Result<Option<Vec<i64>>> {
        let Some(tensor) = self.0.get(name) else { return Ok(None) };
        let numbers: Vec<i64> = tensor.content().chunks_exact(size_of::<i64>()).map(i64::of_bytes).collect();
        if numbers.len() == clicks {
            return Ok(Some(numbers));
        }
        Err(Fault::bad(format!("input `{name}`"), format!("one for each of {clicks} points"), numbers.len()))
    }

    /// The objects that clicks mean: one, unless the clicks have numbers of objects.
    fn clicked(&self, limits: &Limits) -> Result<Vec<Prompt>> {
        let points = self.numbers::<2>(name::POINTS, limits)?.unwrap_or_default();
        let labels = self.of_clicks(name::POINT_LABELS, points.len())?.unwrap_or_else(|| vec![1; points.len()]);
        let objects = self.of_clicks(name::POINT_OBJECTS, points.len())?.unwrap_or_else(|| vec![0; points.len()]);
        let mut prompts: BTreeMap<i64, Prompt> = BTreeMap::new();
        for ((&[x, y], label), object) in points.iter().zip(labels).zip(objects) {
            let is_positive = match label {
                1 => true,
                0 => false,
                other => return Err(Fault::bad("input `point_labels`", "1 (on the object) or 0 (beside it)", other)),
            };
            prompts.entry(object).or_default().clicks.push(Click { x, y, is_positive });
        }
        Ok(prompts.into_values().collect())
    }
}
