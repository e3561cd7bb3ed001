//! The types of a tensor's elements.

use std::fmt;

use maskline::runtime::{Element, ElementType};

/// Calls `$macro!` with every type of numbers: variant, Rust type, name, number in model configurations.
macro_rules! for_each_number {
    ($macro:ident) => {
        $macro! {
            (Bool, bool, "BOOL", 1)
            (Uint8, u8, "UINT8", 2)
            (Uint16, u16, "UINT16", 3)
            (Uint32, u32, "UINT32", 4)
            (Uint64, u64, "UINT64", 5)
            (Int8, i8, "INT8", 6)
            (Int16, i16, "INT16", 7)
            (Int32, i32, "INT32", 8)
            (Int64, i64, "INT64", 9)
            (Fp16, half::f16, "FP16", 10)
            (Fp32, f32, "FP32", 11)
            (Fp64, f64, "FP64", 12)
            (Bf16, half::bf16, "BF16", 14)
        }
    };
}
pub(crate) use for_each_number;

macro_rules! define {
    ($(($variant:ident, $type:ty, $name:literal, $number:literal))*) => {
        /// The type of a tensor's elements.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Datatype {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// `BYTES`: texts, or files, each of its own length.
            Bytes,
        }

        impl Datatype {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)* Self::Bytes];

            /// As the protocol calls it: `FP32`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* Self::Bytes => "BYTES" }
            }

            /// Bytes of an element; `None` where each has its own length.
            pub fn size(self) -> Option<usize> {
                match self { $(Self::$variant => Some(size_of::<$type>()),)* Self::Bytes => None }
            }

            /// What networks call it; `None` for `BYTES`, which no network takes.
            pub(crate) fn element_type(self) -> Option<ElementType> {
                match self { $(Self::$variant => Some(<$type as Element>::TYPE),)* Self::Bytes => None }
            }

            /// Its number in model configurations, where `BYTES` are called strings.
            pub(crate) fn config_number(self) -> i32 {
                match self { $(Self::$variant => $number,)* Self::Bytes => 13 }
            }
        }
    };
}
for_each_number!(define);

impl Datatype {
    /// The type of this name, in capitals as the protocol writes it; `None` for any other word.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|datatype| datatype.name() == name)
    }

    /// The type of what networks take and give.
    pub(crate) fn of_element(element_type: ElementType) -> Option<Self> {
        Self::ALL.iter().copied().find(|datatype| datatype.element_type() == Some(element_type))
    }

    /// Its name in model configurations: `TYPE_FP32`.
    pub(crate) fn config_name(self) -> String {
        format!("TYPE_{}", if self == Self::Bytes { "STRING" } else { self.name() })
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_protocols() {
        for &datatype in Datatype::ALL {
            assert_eq!(Datatype::named(datatype.name()), Some(datatype));
        }
        for strange in ["", "fp32", "FP8", "STRING", "FP32 "] {
            assert_eq!(Datatype::named(strange), None, "{strange:?}");
        }
        let sizes = [("BOOL", Some(1)), ("FP16", Some(2)), ("BF16", Some(2)), ("UINT32", Some(4)), ("INT64", Some(8)), ("BYTES", None)];
        for (name, size) in sizes {
            assert_eq!(Datatype::named(name).map(Datatype::size), Some(size), "{name}");
        }
        assert_eq!(Datatype::Bytes.config_name(), "TYPE_STRING");
    }
}
