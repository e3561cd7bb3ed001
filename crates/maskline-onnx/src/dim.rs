//! Dimensions and shapes, partly symbolic.

use std::sync::Arc;

/// One dimension: a whole number plus whole multiples of named unknowns, e.g. `32*rows` or `points + 2`.
///
/// Sums, multiples and exact quotients of such dimensions are such dimensions again, so the shape of a network with a free
/// batch, prompt count or picture size is known exactly while building. What would overflow stays at the largest number: a size that
/// nothing fits and for which no memory is ever asked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dim {
    /// Sorted by name, no zero factors.
    terms: Vec<(Arc<str>, i64)>,
    constant: i64,
}

impl Dim {
    /// A known dimension.
    pub fn fixed(size: usize) -> Self {
        Self { terms: Vec::new(), constant: i64::try_from(size).unwrap_or(i64::MAX) }
    }

    /// A dimension that is known only when the graph runs.
    pub fn symbol(name: &str) -> Self {
        Self { terms: vec![(name.into(), 1)], constant: 0 }
    }

    /// The size, where it is known while building.
    pub fn known(&self) -> Option<usize> {
        (self.terms.is_empty() && self.constant >= 0).then_some(self.constant as usize)
    }

    /// The least that it can be when every unknown is at least 1; `None` where it can shrink without bound.
    pub fn least(&self) -> Option<i64> {
        self.terms.iter().all(|(_, f)| *f > 0).then(|| self.terms.iter().fold(self.constant, |sum, (_, f)| sum.saturating_add(*f)))
    }

    /// Whether this is the dimension 1, which broadcasts.
    pub fn is_one(&self) -> bool {
        self.known() == Some(1)
    }

    /// `self + other`.
    #[must_use]
    pub fn plus(&self, other: &Dim) -> Dim {
        let mut sum = self.offset(other.constant);
        for (name, factor) in &other.terms {
            match sum.terms.binary_search_by(|(n, _)| n.cmp(name)) {
                Ok(i) => sum.terms[i].1 = sum.terms[i].1.saturating_add(*factor),
                Err(i) => sum.terms.insert(i, (name.clone(), *factor)),
            }
        }
        sum.terms.retain(|(_, factor)| *factor != 0);
        sum
    }

    /// `self + constant`.
    #[must_use]
    pub fn offset(&self, constant: i64) -> Dim {
        Self { terms: self.terms.clone(), constant: self.constant.saturating_add(constant) }
    }

    /// `self * factor`.
    #[must_use]
    pub fn times(&self, factor: i64) -> Dim {
        let mut product = Self { terms: self.terms.clone(), constant: self.constant.saturating_mul(factor) };
        product.terms.iter_mut().for_each(|(_, f)| *f = f.saturating_mul(factor));
        product.terms.retain(|(_, f)| *f != 0);
        product
    }

    /// `floor(self / divisor)`, or `None` where that depends on the unknowns.
    pub fn divided(&self, divisor: i64) -> Option<Dim> {
        if divisor <= 0 || self.terms.iter().any(|(_, f)| f % divisor != 0) {
            return None;
        }
        let terms = self.terms.iter().map(|(n, f)| (n.clone(), f / divisor)).collect();
        Some(Self { terms, constant: self.constant.div_euclid(divisor) })
    }

    /// `self * other`, or `None` where both are unknown.
    pub fn product(&self, other: &Dim) -> Option<Dim> {
        match (self.terms.is_empty(), other.terms.is_empty()) {
            (_, true) => Some(self.times(other.constant)),
            (true, _) => Some(other.times(self.constant)),
            _ => None,
        }
    }
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Self::fixed(size)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Self::symbol(name)
    }
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (name, factor)) in self.terms.iter().enumerate() {
            let sign = if *factor < 0 {
                "-"
            } else if i > 0 {
                "+"
            } else {
                ""
            };
            match factor.abs() {
                1 => write!(f, "{sign}{name}")?,
                n => write!(f, "{sign}{n}*{name}")?,
            }
        }
        match self.constant {
            0 if !self.terms.is_empty() => Ok(()),
            c if self.terms.is_empty() => write!(f, "{c}"),
            c => write!(f, "{c:+}"),
        }
    }
}

impl std::fmt::Debug for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// The shape of a value.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(pub Vec<Dim>);

impl Shape {
    /// A shape of known sizes.
    pub fn fixed(sizes: &[usize]) -> Self {
        Self(sizes.iter().map(|s| Dim::fixed(*s)).collect())
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// All sizes, where every one is known while building.
    pub fn known(&self) -> Option<Vec<usize>> {
        self.0.iter().map(Dim::known).collect()
    }

    /// Number of elements, or `None` where it is not a multiple of at most one unknown.
    pub fn elements(&self) -> Option<Dim> {
        self.0.iter().try_fold(Dim::fixed(1), |n, d| n.product(d))
    }

    /// The shape of an elementwise operation on `self` and `other` (NumPy broadcasting), or `None` where they do not fit.
    ///
    /// An unknown dimension fits only itself and 1: a graph that might fail when it runs is refused while building.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let at = |s: &Shape, i: usize| (i + s.rank()).checked_sub(rank).map_or(Dim::fixed(1), |j| s.0[j].clone());
        (0..rank)
            .map(|i| match (at(self, i), at(other, i)) {
                (a, b) if a == b || b.is_one() => Some(a),
                (a, b) if a.is_one() => Some(b),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(Shape)
    }
}

impl<const N: usize> From<[Dim; N]> for Shape {
    fn from(dims: [Dim; N]) -> Self {
        Self(dims.to_vec())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(sizes: [usize; N]) -> Self {
        Self::fixed(&sizes)
    }
}

impl From<Vec<Dim>> for Shape {
    fn from(dims: Vec<Dim>) -> Self {
        Self(dims)
    }
}

impl std::ops::Index<usize> for Shape {
    type Output = Dim;
    fn index(&self, axis: usize) -> &Dim {
        &self.0[axis]
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.0.iter().enumerate() {
            write!(f, "{}{dim}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("]")
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_linear_in_their_unknowns() {
        let rows = Dim::symbol("rows").times(32);
        let conv = rows.offset(2 - 3).divided(2).map(|d| d.offset(1));
        assert_eq!(conv, Some(Dim::symbol("rows").times(16)));
        assert_eq!(Dim::symbol("points").offset(2).to_string(), "points+2");
        assert_eq!(Dim::symbol("n").times(3).divided(2), None);
        assert_eq!(Dim::symbol("a").plus(&Dim::symbol("a").times(-1)).known(), Some(0));
        assert_eq!(Dim::symbol("a").product(&Dim::symbol("b")), None);
    }

    #[test]
    fn sizes_beyond_all_bounds_stay_large() {
        let huge = Dim::fixed(usize::MAX);
        assert_eq!(huge.times(3).offset(7).known(), Some(i64::MAX as usize));
        assert_eq!(Dim::symbol("n").times(i64::MAX).plus(&Dim::symbol("n").times(9)).least(), Some(i64::MAX));
        assert_eq!(Shape::fixed(&[1 << 40, 1 << 40]).elements().and_then(|n| n.known()), Some(i64::MAX as usize));
        assert!(crate::Constant::f32(&[1 << 40, 1 << 40], vec![]).is_none());
    }

    #[test]
    fn broadcasting_refuses_what_it_cannot_prove() {
        let a = Shape(vec!["batch".into(), 1.into(), 4.into()]);
        assert_eq!(a.broadcast(&Shape::fixed(&[3, 4])).map(|s| s.to_string()), Some("[batch, 3, 4]".into()));
        assert_eq!(a.broadcast(&Shape::fixed(&[2, 1, 4])), None);
        assert_eq!(a.broadcast(&Shape(vec!["prompts".into(), 1.into(), 4.into()])), None);
    }
}
