//! What is known of the values of a graph: shapes, and the elements of the small tensors that shapes are computed from.

use std::collections::HashMap;

use super::{Sizes, expression, infer};
use crate::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};

/// Larger sizes and positions are taken for broken ones. Sums and products of two that are smaller cannot overflow.
pub(super) const LARGEST: i64 = 1 << 30;

/// Tensors with more elements are never followed.
const MOST_ELEMENTS: usize = 256;

/// No tensor has more axes; a few nodes (`Gather` of a value by itself) could ask for any number of them.
const MOST_AXES: usize = 64;

/// The elements of a small tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Elements {
    /// Whole numbers too; they are exact up to 2⁵³.
    pub(super) data: Vec<f64>,
    /// Whether they are integers.
    pub(super) is_integer: bool,
}

/// Shapes and elements by name.
#[derive(Debug, Default)]
pub(super) struct Facts<'m> {
    shapes: HashMap<&'m str, Vec<i64>>,
    elements: HashMap<&'m str, Elements>,
    /// A value without a shape → the first value on the way to it that has none, and why.
    missing: HashMap<&'m str, String>,
}

impl<'m> Facts<'m> {
    /// What the file says by itself.
    pub(super) fn declared(graph: &'m GraphProto, sizes: &Sizes) -> Self {
        let mut facts = Self::default();
        for info in graph.value_info.iter().chain(&graph.output) {
            if let Some(shape) = dimensions(info).and_then(|texts| texts.iter().map(|text| whole(text, sizes)).collect()) {
                facts.shapes.insert(&info.name, shape);
            }
        }
        for info in &graph.input {
            let texts = named_dimensions(info).unwrap_or_default();
            match texts.iter().map(|text| whole(text, sizes)).collect::<Option<Vec<i64>>>() {
                Some(shape) if dimensions(info).is_some() => facts.shapes.insert(&info.name, shape),
                _ => None,
            };
        }
        for tensor in &graph.initializer {
            facts.shapes.insert(&tensor.name, tensor.dims.clone());
            if let Some(elements) = elements_of(tensor) {
                facts.elements.insert(&tensor.name, elements);
            }
        }
        facts.shapes.retain(|_, shape| is_plausible(shape));
        facts
    }

    /// Works out what a node gives; what the file says by itself stays.
    pub(super) fn follow(&mut self, node: &'m NodeProto) -> infer::Outcome {
        let operation = Operation { node, facts: self };
        let outcome = infer::outputs(&operation);
        let elements = infer::elements(&operation).filter(|e| e.data.len() <= MOST_ELEMENTS);
        let shapes = match &outcome {
            infer::Outcome::Shapes(shapes) => shapes.clone(),
            infer::Outcome::Unknown | infer::Outcome::NoRule => Vec::new(),
        };
        let reason = self.reason(node);
        for (i, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if !self.shapes.contains_key(name.as_str()) {
                match shapes.get(i).filter(|shape| is_plausible(shape)) {
                    Some(shape) => self.shapes.insert(name, shape.clone()).is_none(),
                    None => self.missing.insert(name, reason.clone().unwrap_or_else(|| why(name, node))).is_none(),
                };
            }
        }
        if let (Some(elements), Some(name)) = (elements, node.output.first()) {
            self.elements.insert(name, elements);
        }
        outcome
    }

    /// Why the first value without a shape that this node reads has none.
    pub(super) fn reason(&self, node: &NodeProto) -> Option<String> {
        let name = node.input.iter().find(|name| !name.is_empty() && !self.shapes.contains_key(name.as_str()))?;
        // A name may be as long as the file, and the reason goes from node to node.
        let unnamed = || format!("the file does not say the shape of `{name:.200}`");
        Some(self.missing.get(name.as_str()).cloned().unwrap_or_else(unnamed))
    }

    /// The shape of a value.
    pub(super) fn shape(&self, name: &str) -> Option<&[i64]> {
        self.shapes.get(name).map(Vec::as_slice)
    }
}

fn why(name: &str, node: &NodeProto) -> String {
    let kind = &node.op_type;
    format!("the file does not say the shape of `{name:.200}`, and what its operator {kind:.200} gives cannot be told from the graph")
}

fn is_plausible(shape: &[i64]) -> bool {
    shape.len() <= MOST_AXES && shape.iter().all(|size| (0..=LARGEST).contains(size))
}

/// A node among what is known of its operands.
pub(super) struct Operation<'a, 'm> {
    pub(super) node: &'m NodeProto,
    pub(super) facts: &'a Facts<'m>,
}

impl<'a> Operation<'a, '_> {
    /// Whether an input is there.
    pub(super) fn has(&self, input: usize) -> bool {
        self.node.input.get(input).is_some_and(|name| !name.is_empty())
    }

    /// The shape of an input; `None` where there is no such input or its shape is not known.
    pub(super) fn shape(&self, input: usize) -> Option<&'a [i64]> {
        self.facts.shape(self.node.input.get(input)?)
    }

    /// The elements of an input.
    pub(super) fn elements(&self, input: usize) -> Option<&'a Elements> {
        self.facts.elements.get(self.node.input.get(input)?.as_str())
    }

    /// The elements of an input as sizes, positions or axes.
    pub(super) fn integers(&self, input: usize) -> Option<Vec<i64>> {
        Some(self.elements(input)?.data.iter().map(|v| (*v as i64).clamp(-LARGEST, LARGEST)).collect())
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|a| a.name == name)
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.i.map(|v| v.clamp(-LARGEST, LARGEST))
    }

    pub(super) fn int_or(&self, name: &str, default: i64) -> i64 {
        self.int(name).unwrap_or(default)
    }

    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|a| a.ints.iter().map(|v| (*v).clamp(-LARGEST, LARGEST)).collect())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.attribute(name)?.s.as_deref()?).ok()
    }

    /// Axes (or sizes) that older operator sets write as an attribute and newer ones as an input.
    pub(super) fn ints_or_input(&self, name: &str, input: usize) -> Option<Vec<i64>> {
        self.ints(name).or_else(|| self.integers(input))
    }
}

/// Texts of the dimensions; `None` where the rank is not known, or that of no tensor. A dimension that the file leaves out is an empty
/// text.
pub(super) fn dimensions(info: &ValueInfoProto) -> Option<Vec<String>> {
    let shape = info.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    let text = |size: Option<i64>, name: Option<&str>| size.map_or_else(|| name.unwrap_or_default().to_string(), |size| size.to_string());
    (shape.dim.len() <= MOST_AXES).then(|| shape.dim.iter().map(|d| text(d.dim_value, d.dim_param.as_deref())).collect())
}

/// As [`dimensions`], with `input[axis]` for those that have no name.
pub(super) fn named_dimensions(info: &ValueInfoProto) -> Option<Vec<String>> {
    let named = |axis: usize, text: String| if text.is_empty() { format!("{}[{axis}]", info.name) } else { text };
    Some(dimensions(info)?.into_iter().enumerate().map(|(axis, text)| named(axis, text)).collect())
}

fn whole(text: &str, sizes: &Sizes) -> Option<i64> {
    i64::try_from(expression::evaluate(text, sizes)?).ok()
}

/// The elements of a small tensor that lies in the file.
pub(super) fn elements_of(tensor: &TensorProto) -> Option<Elements> {
    let count = tensor.dims.iter().try_fold(1_usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?))?;
    if count > MOST_ELEMENTS || tensor.data_location == Some(1) {
        return None;
    }
    macro_rules! read {
        ($type:ty) => {{
            let bytes = tensor.raw_data.as_deref().unwrap_or_default();
            bytes.chunks_exact(size_of::<$type>()).map(|c| c.try_into().map(<$type>::from_le_bytes)).map(|v| v.map(|v| v as f64))
        }};
    }
    let raw: Result<Vec<f64>, _> = match tensor.data_type {
        1 => read!(f32).collect(),
        6 => read!(i32).collect(),
        7 => read!(i64).collect(),
        11 => read!(f64).collect(),
        _ => return None,
    };
    let data = match tensor.raw_data {
        Some(_) => raw.ok()?,
        None if tensor.data_type == 1 => tensor.float_data.iter().map(|v| f64::from(*v)).collect(),
        None if tensor.data_type == 6 => tensor.int32_data.iter().map(|v| f64::from(*v)).collect(),
        None if tensor.data_type == 7 => tensor.int64_data.iter().map(|v| *v as f64).collect(),
        None => return None,
    };
    (data.len() == count).then_some(Elements { data, is_integer: matches!(tensor.data_type, 6 | 7) })
}
