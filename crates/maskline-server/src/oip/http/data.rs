//! A tensor's elements as JSON: numbers, truths or texts, flat or nested in any way.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use maskline::{Error, ErrorKind, Result};
use serde::ser::{Error as _, Serializer};

use super::super::datatype::Datatype;
use super::super::number::{Number, WithNumber, with_number};
use super::super::tensor::{Description, Tensor, put_element};

/// So much of a strange element is shown in errors.
const SHOWN: usize = 40;

/// Reads the elements of a tensor from an array of them, which is known to be JSON. Straight into the bytes of the tensor: an array of
/// numbers takes no more memory than its text, and no deeper nesting takes more.
///
/// # Errors
/// `BadInput` for other kinds of elements, too few of them and too many.
pub(super) fn read(json: &str, description: &Description) -> Result<Bytes> {
    if !json.starts_with('[') {
        return Err(description.refused("data").expecting("an array").but_found(shown(json)));
    }
    let count = description.count()?;
    let elements = Elements { rest: json };
    match with_number(description.datatype, Numbers { elements, description, count }) {
        Some(content) => content,
        None => texts(Elements { rest: json }, description),
    }
}

/// The elements of JSON's arrays, whatever the nesting.
struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let is_between = |byte: &u8| matches!(byte, b'[' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r');
        let bytes = self.rest.as_bytes();
        let start = bytes.iter().position(|byte| !is_between(byte))?;
        let length = match bytes[start] {
            b'"' => 1 + length_of_text(&bytes[start + 1..]),
            _ => bytes[start..].iter().position(is_between).unwrap_or(bytes.len() - start),
        };
        // Neither half can end within a letter: what ends an element is ASCII.
        let element = self.rest.get(start..start + length)?;
        self.rest = self.rest.get(start + length..)?;
        Some(element)
    }
}

/// Up to and with the quote that ends a text.
fn length_of_text(bytes: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = bytes.iter().position(|&byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(bytes.len(), |end| end + 1)
}

struct Numbers<'a> {
    elements: Elements<'a>,
    description: &'a Description,
    count: usize,
}

impl WithNumber for Numbers<'_> {
    type Output = Result<Bytes>;

    fn with<T: Number>(self) -> Result<Bytes> {
        let Self { elements, description, count } = self;
        // An element and what parts it from the next one are two letters at least.
        let room = count.min(elements.rest.len() / 2 + 1);
        let mut content = Vec::with_capacity(room * size_of::<T>());
        let mut found = 0;
        for element in elements {
            match T::of_json(element) {
                // What is beyond the count is counted for the message.
                Some(_) if found >= count => {}
                Some(number) => number.put(&mut content),
                None => return Err(strange(description, element, found)),
            }
            found += 1;
        }
        if found == count { Ok(content.into()) } else { Err(description.miscounted(count, found)) }
    }
}

fn texts(elements: Elements<'_>, description: &Description) -> Result<Bytes> {
    let mut content = BytesMut::new();
    for (index, element) in elements.enumerate() {
        // Borrowed where nothing in it is escaped.
        let text = Text::read(element).ok_or_else(|| strange(description, element, index))?;
        put_element(&mut content, text.0.as_bytes());
    }
    Ok(content.freeze())
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Text<'a> {
    fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

fn strange(description: &Description, element: &str, index: usize) -> Error {
    let expected = if description.datatype == Datatype::Bytes { "texts".to_owned() } else { format!("{} numbers", description.datatype) };
    description.refused(&format!("element {index} of data")).expecting(expected).but_found(format!("`{}`", shown(element)))
}

fn shown(json: &str) -> String {
    let start: String = json.chars().take(SHOWN).collect();
    if start.len() < json.len() { format!("{start}…") } else { start }
}

/// Fails unless JSON can tell all elements of a tensor.
///
/// # Errors
/// `BadAnswer`, with the way out.
pub(super) fn check(tensor: &Tensor) -> Result<()> {
    let told = match with_number(tensor.datatype(), Tellable { content: tensor.content() }) {
        Some(strange) => strange.map(|index| format!("element {index} is not finite")),
        None => {
            let strange = tensor.elements().position(|element| std::str::from_utf8(&element).is_err());
            strange.map(|index| format!("element {index} is no text in UTF-8"))
        }
    };
    told.map_or(Ok(()), |found| {
        let error = Error::new(ErrorKind::InvalidOption, format!("output `{}`", tensor.name())).expecting("what JSON can tell");
        Err(error.but_found(found).with_help("ask for it as bytes: \"parameters\": {\"binary_data\": true} of the output"))
    })
}

/// Finds the first element that JSON cannot tell.
struct Tellable<'a> {
    content: &'a Bytes,
}

impl WithNumber for Tellable<'_> {
    type Output = Option<usize>;

    fn with<T: Number>(self) -> Option<usize> {
        self.content.chunks_exact(size_of::<T>()).position(|bytes| T::of_bytes(bytes).told().is_none())
    }
}

/// A tensor's elements as a flat array.
pub(super) struct Flat<'a>(pub(super) &'a Tensor);

impl serde::Serialize for Flat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(tensor) = self;
        if tensor.datatype() != Datatype::Bytes {
            let written = with_number(tensor.datatype(), Written { content: tensor.content(), serializer });
            return written.unwrap_or_else(|| Err(S::Error::custom("no numbers")));
        }
        let texts = tensor.elements().map(|element| String::from_utf8_lossy(&element).into_owned());
        serializer.collect_seq(texts)
    }
}

struct Written<'a, S> {
    content: &'a Bytes,
    serializer: S,
}

impl<S: Serializer> WithNumber for Written<'_, S> {
    type Output = Result<S::Ok, S::Error>;

    fn with<T: Number>(self) -> Self::Output {
        self.serializer.collect_seq(self.content.chunks_exact(size_of::<T>()).map(|bytes| T::of_bytes(bytes).told()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(datatype: Datatype, count: usize) -> Description {
        Description { name: "x".into(), datatype, shape: vec![count] }
    }

    #[test]
    fn nesting_and_space_do_not_matter() {
        let flat = read("[1,2,3,4,5,6]", &of(Datatype::Int16, 6)).expect("numbers");
        for nested in ["[[1,2],[3,4],[5,6]]", "[ [[1,\n2,3]] , [\t4,[5],6]]", "[[[[[1]]]],2,3,4,5,[[[]]],6,[]]"] {
            assert_eq!(read(nested, &of(Datatype::Int16, 6)).expect(nested), flat, "{nested}");
        }
        let deep = format!("{}7{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&deep, &of(Datatype::Uint8, 1)).expect("one number").as_ref(), [7]);
    }

    #[test]
    fn texts_may_hold_anything() {
        let content = read(r#"["a,b]", ["\"[", "\\"], "é\n☃"]"#, &of(Datatype::Bytes, 4)).expect("texts");
        let tensor = Tensor::new(of(Datatype::Bytes, 4), content).expect("four");
        let texts: Vec<Bytes> = tensor.elements().collect();
        assert_eq!(texts, ["a,b]", "\"[", "\\", "é\n☃"]);
    }

    #[test]
    fn numbers_are_read_exactly() {
        let read64 =
            |text: &str| f64::from_le_bytes(read(text, &of(Datatype::Fp64, 1)).expect("one").as_ref().try_into().expect("8 bytes"));
        // Each is the nearest double's shortest form, at which readers that multiply powers of ten are off by one.
        for number in [0.1f64, 1.7976931348623157e308, 5e-324, 9.007199254740993e15, 2.225_073_858_507_201e-308, -123456.789e-30] {
            assert_eq!(read64(&format!("[{number:e}]")).to_bits(), number.to_bits(), "{number}");
        }
        let content = read("[18446744073709551615]", &of(Datatype::Uint64, 1)).expect("the largest");
        assert_eq!(content.as_ref(), [255; 8]);
        assert_eq!(read("[true,0,1,false]", &of(Datatype::Bool, 4)).expect("truths").as_ref(), [1, 0, 1, 0]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_index() {
        let cases = [
            (Datatype::Int8, "[128]", "element 0"),
            (Datatype::Uint8, "[-1]", "element 0"),
            (Datatype::Int32, "[1.5]", "1.5"),
            (Datatype::Int32, "[1e3]", "1e3"),
            (Datatype::Fp32, "[1e39]", "1e39"),
            (Datatype::Fp16, "[70000]", "70000"),
            (Datatype::Fp32, "[\"1\"]", "element 0"),
            (Datatype::Fp32, "[null]", "null"),
            (Datatype::Fp32, "[true]", "true"),
            (Datatype::Bool, "[2]", "found `2`"),
            (Datatype::Bytes, "[1]", "texts"),
            (Datatype::Bytes, "[{\"a\":\"b\"}]", "texts"),
            (Datatype::Fp32, "5", "an array"),
            (Datatype::Fp32, "{\"0\":1}", "an array"),
            (Datatype::Fp32, "[]", "found 0"),
            (Datatype::Fp32, "[1,2]", "found 2"),
        ];
        for (datatype, json, word) in cases {
            let error = read(json, &of(datatype, 1)).expect_err(json);
            assert_eq!(error.kind(), ErrorKind::BadInput, "{json}");
            assert!(error.to_string().contains(word) && error.message().contains("`x`"), "{json}: {error}");
        }
    }
}
