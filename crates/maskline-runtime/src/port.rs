//! The inputs and outputs of a model, and what of them counts in rows.

use ort::value::ValueType;

use crate::error::{Error, ErrorKind, Result};
use crate::lane::Input;
use crate::tensor::{ElementType, Tensor};

/// Bytes of zeros that a model is ever warmed with.
const MOST_ZEROS: usize = 2 << 30;

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type, if it is one of ours.
    pub element_type: Option<ElementType>,
    /// Sizes; `None` where free.
    pub shape: Vec<Option<usize>>,
    /// What the model calls its free sizes, one a dimension; `None` where a size is not free, or has no name.
    pub symbols: Vec<Option<String>>,
}

impl Port {
    pub(crate) fn of(outlet: &ort::value::Outlet) -> Self {
        let name = outlet.name().into();
        let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
            return Self { name, element_type: None, shape: Vec::new(), symbols: Vec::new() };
        };
        let shape: Vec<Option<usize>> = shape.iter().map(|size| usize::try_from(*size).ok()).collect();
        let symbol = |at: usize| dimension_symbols.get(at).filter(|symbol| !symbol.is_empty()).cloned();
        let symbols = shape.iter().enumerate().map(|(at, size)| if size.is_none() { symbol(at) } else { None }).collect();
        Self { name, element_type: ElementType::from_ort(*ty), shape, symbols }
    }

    /// Whether the first size is free: such a port has rows.
    pub(crate) fn is_free(&self) -> bool {
        self.shape.first() == Some(&None)
    }

    /// Fails unless a tensor fits.
    fn check(&self, input: &Input) -> Result<()> {
        let invalid = || Error::new(ErrorKind::InvalidInput, format!("input `{}`", self.name));
        if self.element_type != Some(input.element_type()) {
            let expected = self.element_type.map_or("another type".into(), |element| element.to_string());
            return Err(invalid().expecting(expected).finding(input.element_type()));
        }
        let fits = self.shape.len() == input.shape().len()
            && self.shape.iter().zip(input.shape()).all(|(expected, found)| expected.is_none_or(|size| size == *found));
        if fits {
            return Ok(());
        }
        let expected: Vec<String> = self.shape.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
        Err(invalid().expecting(format!("[{}]", expected.join(", "))).finding(format!("{:?}", input.shape())))
    }
}

/// All ports of a model.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
}

impl Ports {
    /// The inputs of a job in the order of the model.
    ///
    /// # Errors
    /// `InvalidInput` if they are not the model's.
    pub(crate) fn arrange(&self, given: Vec<(String, Input)>) -> Result<Vec<Input>> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidInput, message));
        let mut inputs: Vec<Option<Input>> = vec![None; self.inputs.len()];
        for (name, input) in given {
            let Some(at) = self.inputs.iter().position(|port| port.name == name) else {
                return invalid(format!("it has no input `{name}`"));
            };
            self.inputs[at].check(&input)?;
            if inputs[at].replace(input).is_some() {
                return invalid(format!("input `{name}` is there twice"));
            }
        }
        match self.inputs.iter().zip(&inputs).find(|(_, input)| input.is_none()) {
            Some((port, _)) => invalid(format!("input `{}` is missing", port.name)),
            None => Ok(inputs.into_iter().flatten().collect()),
        }
    }

    /// Inputs of zeros by name, with these sizes for the free ones of these names and 1 for the others; `None` where there can be none, or
    /// they are larger than anybody means.
    pub(crate) fn zeros(&self, sizes: &[(&str, usize)]) -> Option<Vec<(&str, Tensor)>> {
        let mut left = MOST_ZEROS;
        let of_name = |name: &Option<String>| sizes.iter().find(|(known, _)| name.as_deref() == Some(known)).map_or(1, |(_, size)| *size);
        let zeros = self.inputs.iter().map(|port| {
            let element_type = port.element_type?;
            let shape = port.shape.iter().zip(&port.symbols).map(|(size, name)| size.unwrap_or_else(|| of_name(name)));
            let shape: Vec<usize> = shape.collect();
            let bytes = shape.iter().try_fold(element_type.size(), |product, size| product.checked_mul(*size))?;
            left = left.checked_sub(bytes)?;
            Some((port.name.as_str(), Tensor::zeros(element_type, shape).ok()?))
        });
        zeros.collect()
    }

    /// Whether jobs may be joined row by row: one symbol is the first size of every output and of all inputs whose first size is
    /// free, of which there are some, and is no size elsewhere. An output [n, n] compares rows with each other.
    pub(crate) fn are_joinable(&self) -> bool {
        let symbol_of = |port: &Port| port.symbols.first().cloned().flatten();
        let free: Vec<&Port> = self.inputs.iter().filter(|port| port.is_free()).collect();
        let Some(symbol) = free.first().and_then(|port| symbol_of(port)) else { return false };
        let counts = |port: &Port| symbol_of(port).as_ref() == Some(&symbol);
        let elsewhere = |port: &Port| port.symbols.iter().skip(1).flatten().any(|other| mentions(other, &symbol));
        let all = || self.inputs.iter().chain(&self.outputs);
        free.into_iter().chain(&self.outputs).all(counts) && !all().any(elsewhere)
    }
}

/// Whether a size is a symbol, or is computed from it: `2*n` is, from `n`.
fn mentions(size: &str, symbol: &str) -> bool {
    size == symbol || size.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n,3` is [n, 3]; `?` a size without a name.
    fn port(sizes: &str) -> Port {
        let shape: Vec<Option<usize>> = sizes.split(',').map(|size| size.parse().ok()).collect();
        let name = |size: &str| size.contains(char::is_alphabetic).then(|| size.to_string());
        Port { name: "x".into(), element_type: Some(ElementType::F32), shape, symbols: sizes.split(',').map(name).collect() }
    }

    #[test]
    fn rows_are_what_one_symbol_counts_in_all_ports() {
        let cases = [
            (&["n,3"][..], &["n,4"][..], true),
            (&["n,m", "n,m,2", "1,64"], &["n,4", "n"], true),
            // Nothing is free, or nothing has a name.
            (&["1,3"], &["1,4"], false),
            (&["?,3"], &["?,4"], false),
            // Two things are counted.
            (&["n,3", "m,3"], &["n,4"], false),
            (&["n,3", "?,3"], &["n,4"], false),
            // An output has no rows.
            (&["n,3"], &["n,4", "1"], false),
            (&["n,3"], &["m,4"], false),
            // Rows are compared with each other.
            (&["n,3"], &["n,n"], false),
            (&["n,3"], &["n,2*n"], false),
            (&["n,3"], &["n,2*nn"], true),
            (&["n,3"], &["2*n,3"], false),
            (&["n,3", "4,n"], &["n"], false),
        ];
        for (inputs, outputs, joinable) in cases {
            let ports = |sizes: &[&str]| sizes.iter().map(|sizes| port(sizes)).collect();
            let all = Ports { inputs: ports(inputs), outputs: ports(outputs) };
            assert_eq!(all.are_joinable(), joinable, "{inputs:?} -> {outputs:?}");
        }
    }
    #[test]
    fn free_sizes_have_the_size_of_their_name_or_1() {
        let ports = Ports { inputs: ["n,3", "?,m", "2*n,4"].map(port).into(), outputs: vec![] };
        let shapes = |sizes: &[(&str, usize)]| -> Vec<Vec<usize>> {
            let zeros = ports.zeros(sizes).expect("small");
            zeros.iter().map(|(_, tensor)| tensor.shape().to_vec()).collect()
        };
        assert_eq!(shapes(&[]), [[1, 3], [1, 1], [1, 4]]);
        assert_eq!(shapes(&[("m", 5), ("n", 7), ("k", 9)]), [[7, 3], [1, 5], [1, 4]]);
        assert!(ports.zeros(&[("n", 1 << 40)]).is_none(), "larger than anybody means");
    }
}
