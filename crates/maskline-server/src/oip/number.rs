//! Numbers: from JSON to bytes, and back.

use half::{bf16, f16};

use super::datatype::for_each_number;

/// An element of a tensor that is no text.
pub(super) trait Number: Copy {
    /// Reads a JSON number, or `true` and `false`; `None` where the type cannot hold it.
    fn of_json(token: &str) -> Option<Self>;

    /// Its bytes, little-endian, are added.
    fn put(self, bytes: &mut Vec<u8>);

    /// From its bytes, little-endian, as many as it has.
    fn of_bytes(bytes: &[u8]) -> Self;

    /// As JSON tells it; `None` where JSON cannot.
    fn told(self) -> Option<impl serde::Serialize>;
}

macro_rules! bytes_as {
    ($type:ty) => {
        fn put(self, bytes: &mut Vec<u8>) {
            bytes.extend_from_slice(&self.to_le_bytes());
        }

        fn of_bytes(bytes: &[u8]) -> Self {
            // As long as the type: whoever cut them off chunked by its size.
            bytes.try_into().map(<$type>::from_le_bytes).unwrap_or_default()
        }
    };
}

macro_rules! whole {
    ($($type:ty)*) => {
        $(impl Number for $type {
            fn of_json(token: &str) -> Option<Self> {
                token.parse().ok()
            }

            bytes_as!($type);

            fn told(self) -> Option<impl serde::Serialize> {
                Some(self)
            }
        })*
    };
}
whole!(u8 u16 u32 u64 i8 i16 i32 i64);

macro_rules! floating {
    ($($type:ty: $read:expr, $told:expr;)*) => {
        $(impl Number for $type {
            fn of_json(token: &str) -> Option<Self> {
                // `inf` and `nan` are no JSON, and do not come here.
                let read: fn(&str) -> Option<$type> = $read;
                read(token).filter(|value| value.is_finite())
            }

            bytes_as!($type);

            fn told(self) -> Option<impl serde::Serialize> {
                self.is_finite().then_some($told(self))
            }
        })*
    };
}
floating! {
    f32: |token| token.parse().ok(), std::convert::identity::<f32>;
    f64: |token| token.parse().ok(), std::convert::identity::<f64>;
    f16: |token| token.parse().ok().map(f16::from_f64), f16::to_f32;
    bf16: |token| token.parse().ok().map(bf16::from_f64), bf16::to_f32;
}

impl Number for bool {
    /// Also 0 and 1.
    fn of_json(token: &str) -> Option<Self> {
        match token {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(self.into());
    }

    /// Whatever is not 0 is true.
    fn of_bytes(bytes: &[u8]) -> Self {
        bytes != [0]
    }

    fn told(self) -> Option<impl serde::Serialize> {
        Some(self)
    }
}

/// What is done with the numbers of a type that is known only when running.
pub(super) trait WithNumber {
    /// What comes of it.
    type Output;

    /// Does it.
    fn with<T: Number>(self) -> Self::Output;
}

macro_rules! dispatch {
    ($(($variant:ident, $type:ty, $name:literal, $number:literal))*) => {
        /// Does something with the numbers of a type; `None` for `BYTES`.
        pub(super) fn with_number<W: WithNumber>(datatype: super::Datatype, work: W) -> Option<W::Output> {
            match datatype {
                $(super::Datatype::$variant => Some(work.with::<$type>()),)*
                super::Datatype::Bytes => None,
            }
        }
    };
}
for_each_number!(dispatch);
