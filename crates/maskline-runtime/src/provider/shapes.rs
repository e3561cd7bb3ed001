//! The range of shapes that TensorRT builds an engine for.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// Shapes of inputs by their names, as text `image:1x3x1024x1024,points:1x8x2`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shapes(Vec<Shaped>);

/// An input and its sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shaped {
    /// Name of the input.
    pub input: String,
    /// Its sizes.
    pub sizes: Vec<usize>,
}

impl Shapes {
    /// The inputs, in the order in which they were given.
    pub fn inputs(&self) -> &[Shaped] {
        &self.0
    }

    fn of(&self, input: &str) -> Option<&[usize]> {
        self.0.iter().find(|shaped| shaped.input == input).map(|shaped| shaped.sizes.as_slice())
    }
}

impl fmt::Display for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Shaped { input, sizes }) in self.0.iter().enumerate() {
            let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
            write!(f, "{}{input}:{}", if index == 0 { "" } else { "," }, sizes.join("x"))?;
        }
        Ok(())
    }
}

impl FromStr for Shapes {
    type Err = Error;

    /// # Errors
    /// `InvalidOption` for a text of another form, a size of 0, and an input that is there twice.
    fn from_str(text: &str) -> Result<Self> {
        let mut shapes = Self::default();
        for word in text.split(',') {
            let shaped = read(word).ok_or_else(|| wrong(text))?;
            if shapes.of(&shaped.input).is_some() {
                return Err(Error::new(ErrorKind::InvalidOption, format!("the input `{}` is there twice", shaped.input)).at(text));
            }
            shapes.0.push(shaped);
        }
        Ok(shapes)
    }
}

fn read(word: &str) -> Option<Shaped> {
    // A name may hold colons, sizes do not.
    let (input, sizes) = word.trim().rsplit_once(':')?;
    let sizes: Vec<usize> = sizes.split('x').map(|size| size.parse().ok().filter(|size| *size > 0)).collect::<Option<_>>()?;
    (!input.is_empty() && !input.contains('\0')).then(|| Shaped { input: input.to_owned(), sizes })
}

fn wrong(text: &str) -> Error {
    let error = Error::new(ErrorKind::InvalidOption, "not a list of shapes").expecting("NAME:SIZExSIZE…, such as image:1x3x64x64");
    error.finding(format!("{text:?}"))
}

/// The least, the usual and the largest shapes that an engine is built for. It is tuned for the usual ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeProfile {
    min: Shapes,
    opt: Shapes,
    max: Shapes,
}

impl ShapeProfile {
    /// A profile of these shapes.
    ///
    /// # Errors
    /// `InvalidOption` where they are not about the same inputs with the same number of sizes, or not in order.
    pub fn new(min: Shapes, opt: Shapes, max: Shapes) -> Result<Self> {
        if min.0.is_empty() {
            return Err(Error::new(ErrorKind::InvalidOption, "a shape profile without inputs"));
        }
        for other in [&opt, &max] {
            if let Some(Shaped { input, .. }) = other.0.iter().find(|shaped| min.of(&shaped.input).is_none()) {
                return Err(Error::new(ErrorKind::InvalidOption, format!("shape profile: `{input}` has no least shape")));
            }
        }
        for Shaped { input, sizes } in &min.0 {
            let (Some(usual), Some(largest)) = (opt.of(input), max.of(input)) else {
                return Err(Error::new(ErrorKind::InvalidOption, format!("shape profile: `{input}` has no usual or no largest shape")));
            };
            let is_ranked = usual.len() == sizes.len() && largest.len() == sizes.len();
            let in_order = sizes.iter().zip(usual).zip(largest).all(|((least, usual), largest)| least <= usual && usual <= largest);
            if !is_ranked || !in_order {
                let error = Error::new(ErrorKind::InvalidOption, format!("shape profile of `{input}`"));
                let found = format!("{sizes:?}, {usual:?}, {largest:?}");
                return Err(error.expecting("least ≤ usual ≤ largest, of equally many sizes").finding(found));
            }
        }
        Ok(Self { min, opt, max })
    }

    /// The least shapes.
    pub fn min(&self) -> &Shapes {
        &self.min
    }

    /// The usual shapes.
    pub fn opt(&self) -> &Shapes {
        &self.opt
    }

    /// The largest shapes.
    pub fn max(&self) -> &Shapes {
        &self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(text: &str) -> Shapes {
        text.parse().expect(text)
    }

    #[test]
    fn shapes_round_trip_as_text() {
        for text in ["image:1x3x64x64", "image:1x3x64x64,points:8x2", "scope:0:1"] {
            assert_eq!(shapes(text).to_string(), text);
        }
        assert_eq!(shapes("a:1, b:2x3").inputs()[1], Shaped { input: "b".into(), sizes: vec![2, 3] });
        for wrong in ["", "image", ":1", "image:", "image:1x", "image:0x3", "image:-1", "a:1,,b:2", "image:1X3", "a:1,a:2"] {
            assert_eq!(wrong.parse::<Shapes>().expect_err(wrong).kind(), ErrorKind::InvalidOption, "{wrong}");
        }
    }

    #[test]
    fn a_profile_is_about_the_same_inputs_and_in_order() {
        let profile = |min: &str, opt: &str, max: &str| ShapeProfile::new(shapes(min), shapes(opt), shapes(max));
        let good = profile("x:1x64,y:1", "y:4,x:1x128", "x:2x256,y:8").expect("a profile");
        assert_eq!((good.min().to_string().as_str(), good.opt().to_string().as_str()), ("x:1x64,y:1", "y:4,x:1x128"));
        for (min, opt, max) in [
            ("x:1x64", "x:1x32", "x:1x64"),
            ("x:1", "x:2", "x:1"),
            ("x:1", "x:1x1", "x:1"),
            ("x:1", "y:1", "x:1"),
            ("x:1,y:1", "x:1", "x:1,y:1"),
            ("x:1", "x:1", "x:1,y:1"),
        ] {
            assert_eq!(profile(min, opt, max).expect_err(max).kind(), ErrorKind::InvalidOption, "{min} {opt} {max}");
        }
    }
}
