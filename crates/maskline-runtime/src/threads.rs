//! How many threads a session may have.

/// The number of threads of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// So many there are.
    pub count: usize,
    /// So many were wished, where that was more than the cores that this process may use.
    pub cut_from: Option<usize>,
}

/// The threads that a session gets where `wished` are asked for: 0 means one per core, and more than that are cut to it.
///
/// The cores are those that this process may use, by its affinity and its control group. More threads than that only wait for each
/// other: a run takes minutes instead of milliseconds.
pub fn usable_threads(wished: usize) -> Threads {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match wished {
        0 => Threads { count: cores, cut_from: None },
        wished if wished > cores => Threads { count: cores, cut_from: Some(wished) },
        count => Threads { count, cut_from: None },
    }
}

impl Threads {
    /// A sentence about what was cut, for people; `None` where nothing was.
    pub fn remark(&self) -> Option<String> {
        let Self { count, cut_from } = self;
        let plural = if *count == 1 { "core" } else { "cores" };
        cut_from.map(|wished| format!("{wished} threads were asked for, {count} are used: this process may use {count} {plural}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_threads_than_cores() {
        let all = usable_threads(0);
        assert!(all.count > 0 && all.remark().is_none());
        assert_eq!(usable_threads(all.count), all);
        for wished in [all.count + 1, 1_000_000, usize::MAX] {
            let cut = usable_threads(wished);
            assert_eq!(cut, Threads { count: all.count, cut_from: Some(wished) });
            assert!(cut.remark().is_some_and(|text| text.contains(&wished.to_string())));
        }
    }
}
