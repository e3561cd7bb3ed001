//! Objects that an export has chosen already: rows of box, score, class and extras.

use super::decode::{Candidate, CandidateOptions, not_finite};
use crate::{DetectorHead, Error, ErrorKind, Extras, Result};

/// The objects above the threshold and of the wanted classes, in the order of the rows.
pub(super) fn candidates(head: &DetectorHead, rows: &[f32], options: &CandidateOptions) -> Result<Vec<Candidate>> {
    let columns = 6 + head.extras.channels();
    if !rows.len().is_multiple_of(columns) {
        let misfit = Error::new(ErrorKind::Output, "");
        return Err(misfit.expecting(format!("{columns} numbers per object")).finding(format!("{} in all", rows.len())));
    }
    let mut found = Vec::new();
    for (anchor, row) in rows.chunks_exact(columns).enumerate() {
        let (score, class) = (row[4], row[5]);
        if !score.is_finite() {
            return Err(not_finite("a score is NaN or infinite"));
        }
        if score <= options.threshold {
            continue;
        }
        // Classes are whole numbers in floating point.
        let class = Some(class as usize).filter(|index| *index < head.classes && *index as f32 == class).ok_or_else(|| {
            let misfit = Error::new(ErrorKind::Output, "the class of an object");
            misfit.expecting(format!("a whole number below {}", head.classes)).finding(class)
        })?;
        if options.classes.as_ref().is_some_and(|wanted| !wanted.contains(&class)) {
            continue;
        }
        let bounds = [row[0], row[1], row[2], row[3]];
        let xywh = if head.extras == Extras::Angle { bounds } else { centred(bounds) };
        found.push(Candidate { anchor, xywh, score, class, extras: row[6..].to_vec() });
    }
    Ok(found)
}

/// Corners to centre and size.
fn centred([left, top, right, bottom]: [f32; 4]) -> [f32; 4] {
    [(left + right) / 2.0, (top + bottom) / 2.0, right - left, bottom - top]
}

#[cfg(test)]
mod tests {
    use super::super::decode::Prediction;
    use super::*;
    use crate::{HeadForm, Selection};

    fn found(rows: &[f32], classes: Option<Vec<usize>>) -> Result<Vec<Candidate>> {
        let form = HeadForm::Chosen { predictions: "output0".into(), protos: None };
        let head = DetectorHead { classes: 2, extras: Extras::None, form, selection: Selection::Made };
        let options = CandidateOptions { threshold: 0.25, multi_label: false, classes };
        super::super::decode::candidates(&head, &Prediction::Chosen(rows), &options)
    }

    #[test]
    fn rows_are_objects_and_empty_ones_are_none() -> Result<()> {
        let rows = [2.0, 4.0, 6.0, 10.0, 0.9, 1.0, 0.0, 0.0, 8.0, 8.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let all = found(&rows, None)?;
        assert_eq!(all.iter().map(|c| (c.xywh, c.class)).collect::<Vec<_>>(), [([4.0, 7.0, 4.0, 6.0], 1), ([4.0, 4.0, 8.0, 8.0], 0)]);
        assert_eq!(found(&rows, Some(vec![0]))?.len(), 1);
        Ok(())
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (row, word) in [
            (&[0.0, 0.0, 8.0, 8.0, 0.9, 2.0][..], "below 2"),
            (&[0.0, 0.0, 8.0, 8.0, 0.9, 0.5], "whole number"),
            (&[0.0, 0.0, 8.0, 8.0, f32::NAN, 0.0], "NaN"),
            (&[0.0, f32::NAN, 8.0, 8.0, 0.9, 0.0], "not finite"),
            (&[0.0, 0.0, 8.0, 8.0, 0.9], "6 numbers"),
        ] {
            let error = found(row, None).expect_err("must be refused").to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
