//! Tensors of the Open Inference Protocol, made up.

use std::str::FromStr;

use maskline::{Error, ErrorKind, Result};

use super::server::{Metadata, Port};
use crate::random::Random;

/// Most bytes of a request.
const MOST: usize = 1 << 30;

/// The shape of an input whose sizes are free: `NAME:1,3,224` or `NAME:1x3x224`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputShape {
    /// The input.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<usize>,
}

impl FromStr for InputShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected NAME:SIZE,SIZE…, such as INPUT0:1,16, found {text}");
        let (name, sizes) = text.rsplit_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        let shape = sizes.split([',', 'x']).map(|size| size.trim().parse()).collect::<Result<_, _>>().map_err(|_| wrong())?;
        Ok(Self { name: name.to_owned(), shape })
    }
}

/// Datatype of a tensor. Those of the protocol, and Triton's BF16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    /// Of so many bytes, signed or not: the numbers that are made up are small.
    Integer(usize),
    Float16,
    BFloat16,
    Float32,
    Float64,
    Bytes,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "BOOL" => Self::Bool,
            "INT8" | "UINT8" => Self::Integer(1),
            "INT16" | "UINT16" => Self::Integer(2),
            "INT32" | "UINT32" => Self::Integer(4),
            "INT64" | "UINT64" => Self::Integer(8),
            "FP16" => Self::Float16,
            "BF16" => Self::BFloat16,
            "FP32" => Self::Float32,
            "FP64" => Self::Float64,
            "BYTES" => Self::Bytes,
            _ => return None,
        })
    }

    /// Bytes of an element that is made up.
    fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Integer(size) => size,
            Self::Float16 | Self::BFloat16 => 2,
            Self::Float32 => 4,
            Self::Float64 => 8,
            Self::Bytes => 4 + LETTERS,
        }
    }
}

/// Length of an element of BYTES that is made up.
const LETTERS: usize = 8;

/// An input of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) datatype: String,
    pub(super) shape: Vec<usize>,
    /// As the binary extension has it: little-endian, BYTES behind their lengths.
    pub(super) content: Vec<u8>,
}

impl Tensor {
    pub(super) fn floats(name: &str, shape: Vec<usize>, values: &[f32]) -> Self {
        let content = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.to_owned(), datatype: "FP32".into(), shape, content }
    }

    pub(super) fn integers(name: &str, values: &[i64]) -> Self {
        let content = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.to_owned(), datatype: "INT64".into(), shape: vec![values.len()], content }
    }

    /// Files or words.
    pub(super) fn bytes(name: &str, elements: &[&[u8]]) -> Result<Self> {
        let mut content = Vec::new();
        for element in elements {
            let length = u32::try_from(element.len()).map_err(|_| over(name, element.len()))?;
            content.extend(length.to_le_bytes());
            content.extend_from_slice(element);
        }
        Ok(Self { name: name.to_owned(), datatype: "BYTES".into(), shape: vec![elements.len()], content })
    }

    /// Name, datatype and shape, as a report has them.
    pub(super) fn described(&self) -> String {
        format!("{} {} {:?}", self.name, self.datatype, self.shape)
    }

    /// Its numbers for JSON; `None` where JSON cannot have them.
    pub(super) fn numbers(&self) -> Option<Vec<serde_json::Value>> {
        fn each<const N: usize, T: Into<serde_json::Value>>(content: &[u8], number: fn([u8; N]) -> T) -> Vec<serde_json::Value> {
            content.as_chunks::<N>().0.iter().map(|bytes| number(*bytes).into()).collect()
        }
        Some(match self.datatype.as_str() {
            "BOOL" => each(&self.content, |[byte]: [u8; 1]| byte != 0),
            "INT8" => each(&self.content, i8::from_le_bytes),
            "UINT8" => each(&self.content, u8::from_le_bytes),
            "INT16" => each(&self.content, i16::from_le_bytes),
            "UINT16" => each(&self.content, u16::from_le_bytes),
            "INT32" => each(&self.content, i32::from_le_bytes),
            "UINT32" => each(&self.content, u32::from_le_bytes),
            "INT64" => each(&self.content, i64::from_le_bytes),
            "UINT64" => each(&self.content, u64::from_le_bytes),
            "FP32" => each(&self.content, f32::from_le_bytes),
            "FP64" => each(&self.content, f64::from_le_bytes),
            _ => return None,
        })
    }
}

fn over(name: &str, found: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::OverLimit, format!("input {name}")).expecting(format!("at most {MOST} bytes")).but_found(found)
}

/// Whether each shape is that of an input of a model that takes tensors.
///
/// # Errors
/// `InvalidOption` for the first that is not.
pub(super) fn check_names<'a>(given: &[InputShape], models: impl Iterator<Item = &'a Metadata> + Clone) -> Result<()> {
    let names = || models.clone().filter(|model| !model.takes_pictures()).flat_map(|model| &model.inputs).map(|port| port.name.as_str());
    let Some(unknown) = given.iter().find(|shape| !names().any(|name| name == shape.name)) else { return Ok(()) };
    let mut known: Vec<&str> = names().collect();
    known.sort_unstable();
    known.dedup();
    let expected = if known.is_empty() { "nothing: the models take pictures".to_owned() } else { format!("one of {}", known.join(", ")) };
    Err(Error::new(ErrorKind::InvalidOption, "--input").expecting(expected).but_found(&unknown.name))
}

/// An input for each port of a model. Shapes of other models' inputs are nothing to it.
///
/// # Errors
/// `InvalidOption` for a shape that does not fit, or a free size without one; `OverLimit` for tensors over 1 GiB.
pub(super) fn made_up(metadata: &Metadata, given: &[InputShape], seed: u64) -> Result<Vec<Tensor>> {
    let mut random = Random::new(seed);
    metadata.inputs.iter().map(|port| tensor(port, given.iter().find(|shape| shape.name == port.name), &mut random)).collect()
}

fn tensor(port: &Port, given: Option<&InputShape>, random: &mut Random) -> Result<Tensor> {
    let unknown = || Error::new(ErrorKind::Unavailable, format!("input {}: unknown datatype {}", port.name, port.datatype));
    let kind = Kind::of(&port.datatype).ok_or_else(unknown)?;
    let shape = shape(port, given)?;
    let bytes = shape.iter().try_fold(kind.size(), |all, size| all.checked_mul(*size)).filter(|bytes| *bytes <= MOST);
    let bytes = bytes.ok_or_else(|| over(&port.name, format!("{shape:?} of {}", port.datatype)))?;
    let mut content = Vec::with_capacity(bytes);
    for _ in 0..bytes / kind.size() {
        element(kind, random, &mut content);
    }
    Ok(Tensor { name: port.name.clone(), datatype: port.datatype.clone(), shape, content })
}

/// A number that no network stumbles over.
fn element(kind: Kind, random: &mut Random, content: &mut Vec<u8>) {
    let bits = random.bits();
    match kind {
        Kind::Bool => content.push((bits & 1) as u8),
        Kind::Integer(size) => content.extend_from_slice(&(bits & 7).to_le_bytes()[..size]),
        // From 1 to 2: the exponent of 1, and bits of the fraction.
        Kind::Float16 => content.extend((0x3c00 | (bits & 0x3ff) as u16).to_le_bytes()),
        Kind::BFloat16 => content.extend((0x3f80 | (bits & 0x7f) as u16).to_le_bytes()),
        Kind::Float32 => content.extend(((bits >> 40) as f32 / (1_u32 << 24) as f32).to_le_bytes()),
        Kind::Float64 => content.extend(((bits >> 11) as f64 / (1_u64 << 53) as f64).to_le_bytes()),
        Kind::Bytes => {
            content.extend((LETTERS as u32).to_le_bytes());
            content.extend(bits.to_le_bytes().map(|byte| b'a' + byte % 26));
        }
    }
}

/// The sizes: those of the port, or where they are free those that were given; a free first one is a batch, of 1.
fn shape(port: &Port, given: Option<&InputShape>) -> Result<Vec<usize>> {
    let Port { name, shape, .. } = port;
    let fixed = |size: &i64| usize::try_from(*size).ok();
    if let Some(given) = given {
        let fits = |(size, given): (&i64, &usize)| fixed(size).is_none_or(|size| size == *given);
        if given.shape.len() == shape.len() && shape.iter().zip(&given.shape).all(fits) {
            return Ok(given.shape.clone());
        }
        let error = Error::new(ErrorKind::InvalidOption, format!("--input {name}")).expecting(format!("{shape:?}, -1 being any size"));
        return Err(error.but_found(format!("{:?}", given.shape)));
    }
    let sizes = shape.iter().enumerate().map(|(index, size)| fixed(size).or((index == 0).then_some(1)));
    sizes.collect::<Option<Vec<usize>>>().ok_or_else(|| {
        let error = Error::new(ErrorKind::InvalidOption, format!("input {name}: sizes are free: {shape:?}"));
        let sizes: Vec<String> = shape.iter().map(|size| fixed(size).unwrap_or(1).to_string()).collect();
        error.with_help(format!("give them: --input {name}:{}", sizes.join(",")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(datatype: &str, shape: &[i64]) -> Port {
        Port { name: "x".into(), datatype: datatype.into(), shape: shape.to_vec() }
    }

    fn of(port: Port, given: &[&str]) -> Result<Vec<Tensor>> {
        let metadata = Metadata { platform: None, inputs: vec![port], outputs: Vec::new() };
        let given: Vec<InputShape> = given.iter().map(|text| text.parse().expect("a shape")).collect();
        check_names(&given, std::iter::once(&metadata))?;
        made_up(&metadata, &given, 1)
    }

    #[test]
    fn shapes_are_read() {
        let read = |text: &str| text.parse::<InputShape>().map(|shape| (shape.name, shape.shape));
        assert_eq!(read("a:b:1,3x5"), Ok(("a:b".to_owned(), vec![1, 3, 5])));
        assert!(["x", ":1", "x:", "x:-1", "x:1,,2", "x:one"].iter().all(|text| read(text).is_err()));
    }

    #[test]
    fn tensors_have_the_size_of_their_type() {
        let sizes =
            [("BOOL", 1), ("INT8", 1), ("UINT16", 2), ("INT32", 4), ("UINT64", 8), ("FP16", 2), ("BF16", 2), ("FP32", 4), ("FP64", 8)];
        for (datatype, size) in sizes {
            let tensor = of(port(datatype, &[-1, 3, 2]), &[]).expect("a tensor").remove(0);
            assert_eq!((tensor.shape.as_slice(), tensor.content.len()), (&[1, 3, 2][..], 6 * size), "{datatype}");
            assert_eq!(tensor.numbers().is_some(), !["FP16", "BF16"].contains(&datatype), "{datatype}");
        }
        let words = of(port("BYTES", &[2]), &[]).expect("a tensor").remove(0);
        assert_eq!((words.content.len(), &words.content[..4]), (24, &[8, 0, 0, 0][..]));
        let floats = of(port("FP32", &[100]), &[]).expect("a tensor").remove(0).numbers().expect("numbers");
        assert!(floats.iter().all(|value| value.as_f64().is_some_and(|value| (0.0..1.0).contains(&value))), "{floats:?}");
    }

    #[test]
    fn free_sizes_are_given_and_fixed_ones_are_not() {
        assert_eq!(of(port("FP32", &[-1, -1]), &["x:4,5"]).expect("a tensor")[0].shape, [4, 5]);
        let error = of(port("FP32", &[-1, -1, 3]), &[]).expect_err("a free size");
        assert!(error.to_string().contains("--input x:1,1,3"), "{error}");
        for given in ["x:4,4", "x:4", "y:1"] {
            assert_eq!(of(port("FP32", &[-1, 5]), &[given]).expect_err(given).kind(), ErrorKind::InvalidOption);
        }
        for huge in ["x:1000000,1000000", "x:4294967296,4294967296"] {
            assert_eq!(of(port("FP32", &[-1, -1]), &[huge]).expect_err(huge).kind(), ErrorKind::OverLimit);
        }
        assert_eq!(of(port("COMPLEX", &[1]), &[]).expect_err("no such type").kind(), ErrorKind::Unavailable);
    }
}
