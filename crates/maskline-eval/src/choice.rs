//! The same few of many, for the same seed on every machine.

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below the limit, all with the same probability but for one part in 2⁶⁴ / limit.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }
}

/// At most so many of the items, in their order.
pub(crate) fn choose<T>(items: Vec<T>, most: Option<usize>, seed: u64) -> Vec<T> {
    let most = most.unwrap_or(items.len()).min(items.len());
    let mut random = Random::new(seed);
    let mut order: Vec<usize> = (0..items.len()).collect();
    // The first steps of a shuffle.
    for index in 0..most {
        let other = index + random.below(items.len() - index);
        order.swap(index, other);
    }
    let mut is_chosen = vec![false; items.len()];
    order[..most].iter().for_each(|index| is_chosen[*index] = true);
    items.into_iter().zip(is_chosen).filter_map(|(item, is_chosen)| is_chosen.then_some(item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_the_same_again_and_another_for_another_seed() {
        let all: Vec<usize> = (0..100).collect();
        let some = choose(all.clone(), Some(10), 3);
        assert_eq!((some.len(), &some), (10, &choose(all.clone(), Some(10), 3)));
        assert!(some.is_sorted() && some != choose(all.clone(), Some(10), 4));
        assert_eq!(choose(all.clone(), None, 3), all);
        assert_eq!(choose(all.clone(), Some(1000), 3), all);
        assert!(choose(all, Some(0), 3).is_empty());
    }

    #[test]
    fn every_item_is_chosen_about_as_often() {
        let mut times = [0; 20];
        (0..4000).for_each(|seed| choose((0..20).collect(), Some(5), seed).into_iter().for_each(|item: usize| times[item] += 1));
        // 1000 expected, with a deviation of 27.
        assert!(times.iter().all(|times| (880..1120).contains(times)), "{times:?}");
    }
}
