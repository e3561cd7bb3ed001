//! One model, all programs: the figures of each subject and each peer that matter most, in one line.

use super::tables::facts::provider;
use crate::compare::quotient;
use crate::percentile::Estimate;
use crate::report::{CacheState, ColdStage, Effort, EmbeddingState, Parity, Peer, Report, Steady, Subject};
use crate::steadiness::Verdict;

/// A subject or a peer with its figures; `None` for what was not measured.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    /// The other program; `None` for a subject.
    pub(super) program: Option<&'a str>,
    pub(super) provider: Option<String>,
    pub(super) subject: &'a Subject,
    pub(super) p50_ms: Option<Estimate>,
    /// Median over that of the first subject; `None` for that itself.
    pub(super) ratio: Option<Estimate>,
    pub(super) images_per_second: f64,
    pub(super) ready_ms: Option<Estimate>,
    pub(super) first_result_ms: Option<Estimate>,
    pub(super) peak_memory_bytes: Option<u64>,
    pub(super) device_memory_bytes: Option<u64>,
    pub(super) effort: Option<&'a Effort>,
    pub(super) parity: Option<&'a Parity>,
    pub(super) verdict: &'a Verdict,
}

/// The row of `steady` that stands for a subject: the one that encodes the picture, else the first.
fn main_row<'a>(report: &'a Report, subject: &Subject) -> Option<&'a Steady> {
    let own = || report.steady.iter().filter(|row| row.subject == subject.name);
    own().find(|row| row.embedding == Some(EmbeddingState::Miss)).or_else(|| own().next())
}

/// Each subject that was measured, with the peers that were compared with it after it; empty where there is nothing to set side by side.
pub(super) fn entries(report: &Report) -> Vec<Entry<'_>> {
    let main: Vec<(&Subject, &Steady)> =
        report.identity.subjects.iter().filter_map(|subject| Some((subject, main_row(report, subject)?))).collect();
    let first = main.first().map(|(_, row)| *row);
    let mut entries = Vec::new();
    for (subject, row) in main {
        entries.push(of_subject(report, subject, row, first));
        let peers = report.peers.iter().filter(|peer| peer.compared_with == row.name);
        entries.extend(peers.map(|peer| of_peer(peer, subject, row, first)));
    }
    if entries.len() > 1 { entries } else { Vec::new() }
}

fn of_subject<'a>(report: &'a Report, subject: &'a Subject, row: &'a Steady, first: Option<&Steady>) -> Entry<'a> {
    let is_first = first.is_some_and(|first| first.name == row.name);
    let ratio = first.filter(|_| !is_first).and_then(|first| quotient(row.summary.p50_ms.as_ref(), first.summary.p50_ms.as_ref()));
    let starts = || report.cold.iter().filter(|cold| cold.subject == subject.name);
    let start = starts().find(|cold| cold.cache == CacheState::Present);
    Entry {
        name: &subject.name,
        program: None,
        provider: Some(provider(&subject.provider)),
        subject,
        p50_ms: row.summary.p50_ms,
        ratio,
        images_per_second: row.summary.rate() * subject.batch as f64,
        ready_ms: start.and_then(|cold| cold.ready.p50_ms),
        first_result_ms: start.and_then(|cold| cold.first_result.p50_ms),
        peak_memory_bytes: start.or_else(|| starts().next()).and_then(|cold| cold.peak_memory_bytes),
        device_memory_bytes: row.device_memory_bytes,
        effort: subject.effort.as_ref(),
        parity: row.parity.as_ref(),
        verdict: &row.verdict,
    }
}

fn of_peer<'a>(peer: &'a Peer, subject: &'a Subject, row: &Steady, first: Option<&Steady>) -> Entry<'a> {
    let p50_ms = peer.summary.p50_ms;
    let is_with_first = first.is_some_and(|first| first.name == row.name);
    let ratio =
        if is_with_first { p50_ms.map(|_| peer.ratio) } else { quotient(p50_ms.as_ref(), first.and_then(|f| f.summary.p50_ms.as_ref())) };
    // Where calls took turns, the span of a program's calls is not its own; that of a server's is, and its callers may be several.
    let is_of_one = peer.is_interleaved && subject.server.is_none();
    let calls_per_second = if is_of_one { rate_of_one(peer.summary.mean_ms.value) } else { peer.summary.rate() };
    let median = |stage: &'a Option<ColdStage>| stage.as_ref().and_then(|stage| stage.p50_ms);
    Entry {
        name: &peer.name,
        program: Some(&peer.program),
        provider: None,
        subject,
        p50_ms,
        ratio,
        images_per_second: calls_per_second * subject.batch as f64,
        ready_ms: median(&peer.ready),
        first_result_ms: median(&peer.first_result),
        peak_memory_bytes: peer.peak_memory_bytes,
        // Other programs compute on the processor.
        device_memory_bytes: None,
        effort: peer.effort.as_ref(),
        parity: peer.parity.as_ref(),
        verdict: &peer.verdict,
    }
}

/// Calls per second of one caller; 0 for calls that take no time.
fn rate_of_one(mean_ms: f64) -> f64 {
    if mean_ms > 0.0 { 1e3 / mean_ms } else { 0.0 }
}
