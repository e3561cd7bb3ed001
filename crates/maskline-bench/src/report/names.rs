//! Whether the names in a report hold together.

use std::collections::BTreeSet;

use super::{Report, Sweep};
use crate::error::{Error, Result};

/// See [`Report::check`].
pub(super) fn check(report: &Report) -> Result<()> {
    unique("identity.subjects", report.identity.subjects.iter().map(|subject| subject.name.clone()))?;
    unique("cold", report.cold.iter().map(|row| format!("{}, cache {}", row.name, row.cache.name())))?;
    unique("steady", report.steady.iter().map(|row| row.name.clone()))?;
    unique("stages", report.stages.iter().map(|row| row.name.clone()))?;
    unique("sweeps", report.sweeps.iter().map(|row| row.name.clone()))?;
    unique("loads", report.loads.iter().map(|row| row.name.clone()))?;
    unique("peers", report.peers.iter().map(|row| row.name.clone()))?;
    unique("ceilings", report.ceilings.iter().map(|row| format!("{} of {} in {}", row.name, row.subject, row.unit.name())))?;
    subjects(report)?;
    peers(report)?;
    report.sweeps.iter().try_for_each(places)
}

fn unique(table: &str, names: impl Iterator<Item = String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if seen.contains(&name) {
            return Err(Error::argument(table, "a name for each row", format!("{name:?} twice")));
        }
        seen.insert(name);
    }
    Ok(())
}

fn subjects(report: &Report) -> Result<()> {
    let known: Vec<&str> = report.identity.subjects.iter().map(|subject| subject.name.as_str()).collect();
    let rows = report.cold.iter().map(|row| ("cold", &row.name, &row.subject));
    let rows = rows.chain(report.steady.iter().map(|row| ("steady", &row.name, &row.subject)));
    let rows = rows.chain(report.stages.iter().map(|row| ("stages", &row.name, &row.subject)));
    let rows = rows.chain(report.loads.iter().map(|row| ("loads", &row.name, &row.subject)));
    let mut rows = rows.chain(report.ceilings.iter().map(|row| ("ceilings", &row.name, &row.subject)));
    match rows.find(|(_, _, subject)| !known.contains(&subject.as_str())) {
        Some((table, name, subject)) => {
            Err(Error::argument(format!("{table}: subject of {name:?}"), format!("one of {known:?}"), format!("{subject:?}")))
        }
        None => Ok(()),
    }
}

fn peers(report: &Report) -> Result<()> {
    let is_known = |name: &str| report.steady.iter().any(|row| row.name == name);
    match report.peers.iter().find(|peer| !is_known(&peer.compared_with)) {
        Some(peer) => {
            let known: Vec<&str> = report.steady.iter().map(|row| row.name.as_str()).collect();
            let found = format!("{:?}", peer.compared_with);
            Err(Error::argument(format!("peers: what {:?} is compared with", peer.name), format!("one of {known:?}"), found))
        }
        None => Ok(()),
    }
}

fn places(sweep: &Sweep) -> Result<()> {
    let Some(places) = &sweep.places else { return Ok(()) };
    let is_place = |at: f64| at.fract() == 0.0 && at >= 0.0 && at < places.len() as f64;
    match sweep.curves.iter().flat_map(|curve| &curve.points).find(|point| !is_place(point.at)) {
        Some(point) => {
            let expected = format!("the number of one of its {} places, from 0", places.len());
            Err(Error::argument(format!("sweeps: a point of {:?}", sweep.name), expected, point.at))
        }
        None => Ok(()),
    }
}
