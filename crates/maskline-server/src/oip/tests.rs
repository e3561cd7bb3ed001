//! Tensors of all kinds, for the tests of what carries them.

use bytes::Bytes;
use proptest::prelude::*;

use super::number::{Number, WithNumber, with_number};
use super::{Datatype, Description, Tensor};

/// A tensor that JSON can tell.
pub(super) fn any_tensor() -> impl Strategy<Value = Tensor> {
    let shape = proptest::collection::vec(0usize..4, 0..4);
    let parts = (proptest::sample::select(Datatype::ALL), shape, "[a-z\"\\\\é\n]{0,5}", any::<u64>());
    parts.prop_map(|(datatype, shape, name, seed)| {
        let description = Description { name, datatype, shape };
        let count = description.count().expect("small");
        let content = with_number(datatype, Random { count, seed }).unwrap_or_else(|| {
            let texts: Vec<String> = (0..count).map(|index| format!("{seed}\"é\\").chars().take(index % 24).collect()).collect();
            Tensor::of_elements("", &texts).content().clone()
        });
        Tensor::new(description, content).expect("as many as its shape says")
    })
}

struct Random {
    count: usize,
    seed: u64,
}

impl WithNumber for Random {
    type Output = Bytes;

    fn with<T: Number>(self) -> Bytes {
        let Self { count, mut seed } = self;
        let mut content = Vec::new();
        while content.len() < count * size_of::<T>() {
            // Knuth's multiplier: the high bits are the better ones.
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let number = T::of_bytes(&seed.rotate_left(32).to_le_bytes()[..size_of::<T>()]);
            if number.told().is_some() {
                number.put(&mut content);
            }
        }
        content.into()
    }
}
