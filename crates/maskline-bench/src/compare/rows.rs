//! The rows of a comparison.

use super::{Change, Measure, Options, Row};
use crate::bootstrap::median_ratio;
use crate::error::Result;
use crate::percentile::Estimate;
use crate::report::{Cold, Report, Steady};
use crate::samples::Sample;
use crate::steadiness::Status;

/// A row that is only in one of the reports says so.
const ONLY_LATER: &str = "only in the later report";
const ONLY_EARLIER: &str = "only in the earlier report";

/// The rows of `steady`.
pub(super) fn steady(before: &Report, after: &Report, options: &Options) -> Result<Vec<Row>> {
    let row = |row: &Steady| blank(Measure::Steady, row.name.clone());
    let mut rows = Vec::new();
    for new in &after.steady {
        rows.push(match before.steady.iter().find(|old| old.name == new.name) {
            Some(old) => compare_steady(old, new, options)?,
            None => Row { after_ms: new.summary.p50_ms, reason: ONLY_LATER.to_owned(), ..row(new) },
        });
    }
    let is_gone = |old: &&Steady| after.steady.iter().all(|new| new.name != old.name);
    let gone = |old: &Steady| Row { before_ms: old.summary.p50_ms, reason: ONLY_EARLIER.to_owned(), ..row(old) };
    rows.extend(before.steady.iter().filter(is_gone).map(gone));
    Ok(rows)
}

/// A row that is not comparable, but for its reason.
fn blank(measure: Measure, name: String) -> Row {
    Row { measure, name, change: Change::NotComparable, before_ms: None, after_ms: None, ratio: None, reason: String::new() }
}

fn compare_steady(old: &Steady, new: &Steady, options: &Options) -> Result<Row> {
    let mut row = blank(Measure::Steady, new.name.clone());
    (row.before_ms, row.after_ms) = (old.summary.p50_ms, new.summary.p50_ms);
    for (own, which) in [(old, "earlier"), (new, "later")] {
        if own.verdict.status != Status::Valid {
            return Ok(Row { reason: format!("the {which} is {}: {}", own.verdict.status.name(), own.verdict.reason), ..row });
        }
    }
    if (&old.load, old.embedding, old.text) != (&new.load, new.embedding, new.text) {
        return Ok(Row { reason: "the calls were made in different ways".to_owned(), ..row });
    }
    let ratio = ratio(old, new, options)?;
    Ok(judged(row, ratio, options.threshold))
}

fn ratio(old: &Steady, new: &Steady, options: &Options) -> Result<Option<Estimate>> {
    let Some(quotient) = quotient(new.summary.p50_ms.as_ref(), old.summary.p50_ms.as_ref()) else { return Ok(None) };
    let times = |row: &Steady| Some(row.samples.as_ref()?.steady().iter().map(Sample::milliseconds).collect::<Vec<_>>());
    match (times(old), times(new)) {
        (Some(old), Some(new)) => median_ratio(&new, &old, &options.resampling).map(Some),
        _ => Ok(Some(quotient)),
    }
}

/// One estimate over another with the worst quotients of their intervals; `None` where one is missing or the lower end of the
/// denominator is 0.
pub(crate) fn quotient(above: Option<&Estimate>, below: Option<&Estimate>) -> Option<Estimate> {
    let (above, below) = (above?, below?);
    let divided = || Estimate { value: above.value / below.value, low: above.low / below.high, high: above.high / below.low };
    (below.low > 0.0).then(divided)
}

/// The row with its ratio, what became of it, and the reason.
fn judged(row: Row, ratio: Option<Estimate>, threshold: f64) -> Row {
    let Some(ratio) = ratio else {
        return Row { reason: "a median is n/a or 0".to_owned(), ..row };
    };
    let [low, high] = [ratio.low, ratio.high].map(|end| (end - 1.0) * 100.0);
    let reason = format!("the median changes by {low:+.1} to {high:+.1} %; the threshold is {:.1} %", threshold * 100.0);
    Row { change: classify(&ratio, threshold), ratio: Some(ratio), reason, ..row }
}

fn classify(ratio: &Estimate, threshold: f64) -> Change {
    // Symmetric in what is called earlier and later.
    let [slower, faster] = [1.0 + threshold, 1.0 / (1.0 + threshold)];
    if ratio.low > slower {
        Change::Regression
    } else if ratio.high < faster {
        Change::Improvement
    } else if ratio.low >= faster && ratio.high <= slower {
        Change::Same
    } else {
        Change::Unclear
    }
}

/// A row of `cold` in both reports; one of them at least has it.
struct Starts<'a> {
    name: String,
    before: Option<&'a Cold>,
    after: Option<&'a Cold>,
}

/// Both measures of the rows of `cold`. A start with an empty cache and one with a full one are never compared.
pub(super) fn cold(before: &Report, after: &Report, threshold: f64) -> Vec<Row> {
    let is_same = |a: &Cold, b: &Cold| (&a.name, a.cache) == (&b.name, b.cache);
    let name = |row: &Cold| format!("{}, cache {}", row.name, row.cache.name());
    let of_later = after.cold.iter().map(|new| {
        let old = before.cold.iter().find(|old| is_same(old, new));
        Starts { name: name(new), before: old, after: Some(new) }
    });
    let is_gone = |old: &&Cold| !after.cold.iter().any(|new| is_same(old, new));
    let gone = before.cold.iter().filter(is_gone).map(|old| Starts { name: name(old), before: Some(old), after: None });
    let measures = [Measure::ColdReady, Measure::ColdFirstResult];
    of_later.chain(gone).flat_map(|starts| measures.map(|measure| compare_cold(measure, &starts, threshold))).collect()
}

fn compare_cold(measure: Measure, starts: &Starts<'_>, threshold: f64) -> Row {
    let until = |row: &Cold| if measure == Measure::ColdReady { row.ready.p50_ms } else { row.first_result.p50_ms };
    let mut row = blank(measure, starts.name.clone());
    [row.before_ms, row.after_ms] = [starts.before, starts.after].map(|row| row.and_then(until));
    match (starts.before, starts.after) {
        (None, _) => Row { reason: ONLY_LATER.to_owned(), ..row },
        (_, None) => Row { reason: ONLY_EARLIER.to_owned(), ..row },
        _ => {
            let ratio = quotient(row.after_ms.as_ref(), row.before_ms.as_ref());
            judged(row, ratio, threshold)
        }
    }
}
