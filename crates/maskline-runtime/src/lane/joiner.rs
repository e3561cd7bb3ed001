//! Which jobs may run together, and the making of one input of theirs. Knows no model: only sizes, and which tensors are the same.

use std::sync::Arc;

use crate::error::Result;
use crate::lane::Input;
use crate::port::Ports;
use crate::tensor::{Element, ElementType, Tensor, TensorData, for_each_element};

/// A job, as far as it matters to its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    /// How many rows it has.
    pub(crate) rows: usize,
    /// What jobs that run together have in common; `None` for a job that runs alone.
    pub(crate) kin: Option<Vec<Kin>>,
}

/// What one input must have in common with that of another job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kin {
    /// Rows of this size each, which are put under each other.
    Rows(Vec<usize>),
    /// The tensor at this address: alive as long as the job is.
    Same(usize),
}

impl Description {
    /// Of a job whose inputs are those of the ports, in their order.
    pub(crate) fn of(inputs: &[Input], ports: &Ports, joinable: bool) -> Self {
        let rows = ports.inputs.iter().zip(inputs).filter(|(port, _)| port.is_free()).map(|(_, input)| input.shape()[0]);
        let counts: Vec<usize> = rows.collect();
        let rows = counts.first().copied().unwrap_or(1);
        // Unequal counts are refused by the run, which must not be that of others.
        if !joinable || rows == 0 || counts.iter().any(|count| *count != rows) {
            return Self { rows, kin: None };
        }
        let kin = ports.inputs.iter().zip(inputs).map(|(port, input)| match input {
            input if port.is_free() => Some(Kin::Rows(input.shape()[1..].to_vec())),
            Input::Shared(tensor) => Some(Kin::Same(Arc::as_ptr(&tensor.kept).addr())),
            Input::Owned(_) => None,
        });
        Self { rows, kin: kin.collect() }
    }
}

/// Which of the jobs that wait run next, together: the first, which is the most urgent, and of the others, in their order, all that are of its kind and fit
/// into `max_rows` rows. Empty only if nothing waits.
pub(crate) fn group<'a>(waiting: impl IntoIterator<Item = &'a Description>, max_rows: usize) -> Vec<usize> {
    let mut waiting = waiting.into_iter().enumerate();
    let Some((_, first)) = waiting.next() else { return Vec::new() };
    let mut chosen = vec![0];
    let mut rows = first.rows;
    if first.kin.is_none() {
        return chosen;
    }
    for (at, job) in waiting {
        if rows >= max_rows {
            break;
        }
        if job.kin == first.kin && rows.saturating_add(job.rows) <= max_rows {
            chosen.push(at);
            rows += job.rows;
        }
    }
    chosen
}

/// Puts the rows of some inputs of one element type under each other.
///
/// # Errors
/// `Lost` where a shared tensor is gone with its device.
pub(crate) fn concatenate(inputs: &[&Input]) -> Result<Tensor> {
    let mut shape = inputs.first().map_or_else(Vec::new, |input| input.shape().to_vec());
    if let Some(rows) = shape.first_mut() {
        *rows = inputs.iter().map(|input| input.shape()[0]).sum();
    }
    let length = shape.iter().product();
    macro_rules! join {
        ($(($variant:ident, $type:ty, $name:literal, $ort:ident))*) => {
            match inputs.first().map(|input| input.element_type()) {
                $(Some(ElementType::$variant) => TensorData::$variant(gather(inputs, length)?),)*
                None => TensorData::F32(Vec::new()),
            }
        };
    }
    let data = for_each_element!(join);
    Tensor::new(shape, data)
}

/// The elements of all inputs, `length` in all.
fn gather<T: Element>(inputs: &[&Input], length: usize) -> Result<Vec<T>> {
    let mut gathered = Vec::with_capacity(length);
    for input in inputs {
        match input {
            Input::Owned(tensor) => gathered.extend_from_slice(tensor.as_slice().unwrap_or_default()),
            Input::Shared(tensor) => gathered.extend_from_slice(tensor.view()?.data),
        }
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `rows` of the kind `kin`.
    fn job(rows: usize, kin: usize) -> Description {
        Description { rows, kin: Some(vec![Kin::Rows(vec![3]), Kin::Same(kin)]) }
    }

    #[test]
    fn jobs_of_the_kind_of_the_first_are_taken_from_anywhere() {
        assert_eq!(group(&[], 8), [] as [usize; 0]);
        assert_eq!(group(&[job(1, 7), job(1, 8), job(2, 7), job(1, 7)], 8), [0, 2, 3]);
        assert_eq!(group(&[job(1, 7), job(1, 8)], 1), [0], "nothing is joined");
        // Too large for the rest of the room: the next one may fit.
        assert_eq!(group(&[job(2, 7), job(3, 7), job(2, 7), job(1, 7)], 4), [0, 2]);
        assert_eq!(group(&[job(9, 7), job(1, 7)], 4), [0], "more rows than are allowed run alone");
        assert_eq!(group(&[job(usize::MAX, 7), job(1, 7)], usize::MAX), [0]);
        let other = Description { rows: 1, kin: Some(vec![Kin::Rows(vec![4]), Kin::Same(7)]) };
        assert_eq!(group(&[job(1, 7), other], 4), [0]);
    }

    #[test]
    fn a_job_that_runs_alone_takes_nobody_and_is_taken_by_nobody() {
        let alone = Description { rows: 1, kin: None };
        assert_eq!(group(&[alone.clone(), alone.clone(), job(1, 7)], 8), [0]);
        assert_eq!(group(&[job(1, 7), alone, job(1, 7)], 8), [0, 2]);
    }

    fn port(name: &str, sizes: &[Option<usize>]) -> crate::Port {
        let symbols = sizes.iter().map(|size| size.is_none().then(|| "n".to_string())).collect();
        crate::Port { name: name.into(), element_type: Some(crate::ElementType::F32), shape: sizes.to_vec(), symbols }
    }

    fn tensor(shape: &[usize]) -> Input {
        Tensor::new(shape, vec![0f32; shape.iter().product()]).expect("a tensor").into()
    }

    #[test]
    fn a_job_is_described_by_its_rows_and_by_what_it_shares() {
        let ports = Ports { inputs: vec![port("a", &[None, Some(3)]), port("b", &[None])], outputs: vec![] };
        let of = |inputs: &[Input], joinable| Description::of(inputs, &ports, joinable);
        let inputs = [tensor(&[2, 3]), tensor(&[2])];
        assert_eq!(of(&inputs, true), Description { rows: 2, kin: Some(vec![Kin::Rows(vec![3]), Kin::Rows(vec![])]) });
        assert_eq!(of(&inputs, false), Description { rows: 2, kin: None });
        assert_eq!(of(&[tensor(&[2, 3]), tensor(&[1])], true).kin, None, "unequal rows");
        assert_eq!(of(&[tensor(&[0, 3]), tensor(&[0])], true).kin, None, "no rows");
        // A tensor of one's own is nobody else's, equal as it may be.
        let ports = Ports { inputs: vec![port("a", &[None, Some(3)]), port("picture", &[Some(1), Some(3)])], outputs: vec![] };
        assert_eq!(Description::of(&[tensor(&[2, 3]), tensor(&[1, 3])], &ports, true), Description { rows: 2, kin: None });
        let none = Ports { inputs: vec![port("picture", &[Some(1), Some(3)])], outputs: vec![] };
        assert_eq!(Description::of(&[tensor(&[1, 3])], &none, false), Description { rows: 1, kin: None });
    }

    #[test]
    fn rows_are_put_under_each_other() {
        let of = |rows: &[i64]| Input::from(Tensor::new([rows.len(), 1], rows.to_vec()).expect("a tensor"));
        let (a, b) = (of(&[1, 2]), of(&[3]));
        let joined = concatenate(&[&a, &b]).expect("three rows");
        assert_eq!((joined.shape(), joined.as_slice::<i64>()), (&[3, 1][..], Some(&[1, 2, 3][..])));
    }
}
