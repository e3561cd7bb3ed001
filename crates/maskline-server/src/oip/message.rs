//! Requests and answers, whatever carries them.

use std::collections::BTreeMap;
use std::time::Duration;

use maskline::{Error, ErrorKind, Result};

use super::tensor::Tensor;

/// A question to a model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InferRequest {
    /// The model's name.
    pub model: String,
    /// Its version; `None` for whichever there is.
    pub version: Option<String>,
    /// Echoed in the answer; never empty.
    pub id: Option<String>,
    /// How it is to be answered.
    pub parameters: Parameters,
    /// What is asked about.
    pub inputs: Vec<Tensor>,
    /// Which outputs are wanted; `None` for all.
    pub outputs: Option<Vec<WantedOutput>>,
    /// How outputs travel over HTTP for which nothing is said: as bytes, or as JSON. Over gRPC all are bytes.
    pub binary_by_default: bool,
}

/// An output that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedOutput {
    /// What the model calls it.
    pub name: String,
    /// Whether it travels as bytes; `None` for what the request says of all.
    pub is_binary: Option<bool>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InferAnswer {
    /// The model's name.
    pub model: String,
    /// Its version.
    pub version: String,
    /// The request's.
    pub id: Option<String>,
    /// What else there is to say.
    pub parameters: BTreeMap<String, Parameter>,
    /// The outputs, in the order in which they were wanted, and whether each travels as bytes over HTTP.
    pub outputs: Vec<AnswerOutput>,
}

/// An output of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerOutput {
    /// The tensor.
    pub tensor: Tensor,
    /// Whether it travels as bytes over HTTP.
    pub is_binary: bool,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Parameter {
    /// Yes or no.
    Bool(bool),
    /// A number without fraction.
    Int(i64),
    /// One above 2^63.
    Uint(u64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(String),
}

impl Parameter {
    /// As a number from 0 up.
    pub fn as_count(&self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::Uint(value) => Some(*value),
            _ => None,
        }
    }

    /// As a number.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// As yes or no.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }
}

impl std::fmt::Display for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Uint(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => write!(f, "`{}`", value.chars().take(60).collect::<String>().escape_debug()),
        }
    }
}

/// The parameters of a request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters {
    /// How urgent it is: 1 is answered first, 0 (nothing said) and 2 as usual, 3 and more last.
    pub priority: u64,
    /// How long it may wait for its turn.
    pub timeout: Option<Duration>,
    /// Whether a stream is told that an answer was the last one to its request.
    pub wants_final_response: bool,
    /// What only some models know.
    pub others: BTreeMap<String, Parameter>,
}

impl Parameters {
    /// Takes out what the protocol knows.
    ///
    /// # Errors
    /// `InvalidOption` for a value of the wrong kind, and for what is not served: sequences.
    pub fn new(mut given: BTreeMap<String, Parameter>) -> Result<Self> {
        let priority = taken(&mut given, "priority", Parameter::as_count, "a number from 0 up")?.unwrap_or_default();
        let timeout = taken(&mut given, "timeout", Parameter::as_count, "microseconds from 0 up")?;
        let is_wanted = taken(&mut given, "triton_enable_empty_final_response", Parameter::as_bool, "true or false")?;
        let (id, flags) = ("sequence_id", ["sequence_start", "sequence_end"]);
        let is_sequence = match given.remove(id) {
            None => false,
            Some(Parameter::Text(id)) => !id.is_empty(),
            Some(id) => id.as_count() != Some(0),
        };
        flags.iter().for_each(|flag| drop(given.remove(*flag)));
        if is_sequence {
            let error = Error::new(ErrorKind::InvalidOption, "sequences of requests are not served").at_place(format!("parameter `{id}`"));
            return Err(error.with_help("ask without it: every request stands alone"));
        }
        Ok(Self {
            priority,
            timeout: timeout.filter(|&timeout| timeout > 0).map(Duration::from_micros),
            wants_final_response: is_wanted.unwrap_or_default(),
            others: given,
        })
    }
}

/// Takes a parameter out, as what it must be.
pub(super) fn taken<T>(
    given: &mut BTreeMap<String, Parameter>,
    name: &str,
    read: impl Fn(&Parameter) -> Option<T>,
    expected: &str,
) -> Result<Option<T>> {
    let Some(value) = given.remove(name) else { return Ok(None) };
    match read(&value) {
        Some(value) => Ok(Some(value)),
        None => Err(Error::new(ErrorKind::InvalidOption, format!("parameter `{name}`")).expecting(expected).but_found(value)),
    }
}

/// Refuses what this server does not do for a tensor, rather than to answer as if nothing had been said.
pub(super) fn refuse_unserved(tensor: &str, given: &BTreeMap<String, Parameter>) -> Result<()> {
    if given.keys().any(|name| name.starts_with("shared_memory_")) {
        let error = Error::new(ErrorKind::InvalidOption, "shared memory is not served").at_place(format!("tensor `{tensor}`"));
        return Err(error.with_help("send the tensor within the request, and take the answer's"));
    }
    if given.get("classification").is_some_and(|count| count.as_count() != Some(0)) {
        let error = Error::new(ErrorKind::InvalidOption, "the classification extension is not served");
        return Err(error.at_place(format!("tensor `{tensor}`")).with_help("take the scores, and choose among them"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: Parameter) -> BTreeMap<String, Parameter> {
        BTreeMap::from([(name.to_owned(), value)])
    }

    #[test]
    fn known_parameters_are_taken_and_others_kept() {
        let mut all = given("priority", Parameter::Uint(1));
        all.extend(given("timeout", Parameter::Int(1500)));
        all.extend(given("triton_enable_empty_final_response", Parameter::Bool(true)));
        all.extend(given("conf", Parameter::Float(0.5)));
        all.extend(given("sequence_id", Parameter::Int(0)));
        all.extend(given("sequence_start", Parameter::Bool(false)));
        let parameters = Parameters::new(all).expect("good ones");
        assert_eq!((parameters.priority, parameters.timeout), (1, Some(Duration::from_micros(1500))));
        assert!(parameters.wants_final_response);
        assert_eq!(parameters.others, given("conf", Parameter::Float(0.5)));
        assert_eq!(Parameters::new(given("timeout", Parameter::Int(0))).expect("none").timeout, None);
    }

    #[test]
    fn wrong_kinds_and_sequences_are_refused() {
        let cases = [
            ("priority", Parameter::Int(-1)),
            ("priority", Parameter::Text("1".into())),
            ("timeout", Parameter::Float(0.5)),
            ("triton_enable_empty_final_response", Parameter::Int(1)),
            ("sequence_id", Parameter::Int(7)),
            ("sequence_id", Parameter::Text("a".into())),
        ];
        for (name, value) in cases {
            let error = Parameters::new(given(name, value.clone())).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::InvalidOption, "{name} {value}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn shared_memory_and_classes_are_refused_by_name() {
        for (name, value) in [("shared_memory_region", Parameter::Text("a".into())), ("classification", Parameter::Int(3))] {
            let error = refuse_unserved("x", &given(name, value)).expect_err(name);
            assert!(error.help().is_some() && error.place() == Some("tensor `x`"), "{error}");
        }
        refuse_unserved("x", &given("classification", Parameter::Int(0))).expect("nothing is wanted");
    }
}
