//! One file from the hub: asked for, gone on with after every interruption, checked, and put in its place.

use std::io::{ErrorKind as IoKind, Read};
use std::time::Duration;

use maskline::Result;

use crate::PullEvent;
use crate::http::{Client, Facts, Fault, Reply, Resource, Rest, unavailable};
use crate::options::RetryOptions;
use crate::partial::Partial;
use crate::place::check_commit;

/// Getting so much further makes earlier failures forgotten.
const PROGRESS: u64 = 1 << 20;

/// A download and who is told of it.
pub(crate) struct Download<'a> {
    pub(crate) client: &'a Client,
    pub(crate) resource: Resource,
    /// Name of the file on the hub.
    pub(crate) file: &'a str,
    pub(crate) partial: Partial,
    pub(crate) retry: RetryOptions,
    pub(crate) report: &'a mut dyn FnMut(PullEvent<'_>),
}

/// What has come so far.
#[derive(Default)]
struct Course {
    failures: u32,
    /// Most bytes that were there so far.
    furthest: u64,
    /// Whether the file is put together from the answers to several requests.
    pieced: bool,
    /// Whether a file with the wrong checksum was thrown away already.
    rejected: bool,
}

/// Which bytes of the file a body holds: from `start` to the end.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    /// Bytes of the whole file, if the hub says so.
    total: Option<u64>,
}

impl Download<'_> {
    /// Brings the file to its place and says what is known of it.
    pub(crate) fn run(mut self) -> Result<Facts> {
        let mut course = Course { furthest: self.partial.length(), pieced: self.partial.length() > 0, ..Course::default() };
        loop {
            let fault = match self.attempt(&mut course).and_then(|facts| self.check(facts, &mut course)) {
                Ok(facts) => return self.partial.finish().map(|()| facts),
                Err(fault) => fault,
            };
            let (reason, wait) = match fault {
                Fault::Fatal(error) => return Err(error),
                Fault::Retry { reason, wait } => (reason, wait),
                Fault::StartOver(reason) => {
                    self.partial.discard()?;
                    (reason, Some(Duration::ZERO))
                }
            };
            let wait = self.pause(&mut course, &reason, wait)?;
            (self.report)(PullEvent::Retrying { file: self.file, reason: &reason, wait });
            std::thread::sleep(wait);
        }
    }

    /// How long to wait before the next attempt, if there is one.
    fn pause(&self, course: &mut Course, reason: &str, asked: Option<Duration>) -> Result<Duration> {
        let there = self.partial.length();
        if there >= course.furthest.saturating_add(PROGRESS) {
            course.failures = 0;
        }
        course.furthest = course.furthest.max(there);
        course.pieced |= there > 0;
        course.failures += 1;
        if course.failures >= self.retry.attempts.max(1) {
            let kept = if there > 0 { "pull again: it goes on from what is there" } else { "try again later" };
            let error = unavailable(format!("gave up after {} attempts: {reason}", course.failures)).at_place(&self.resource.url);
            return Err(error.with_help(format!("{kept}; MASKLINE_HUB names another hub")));
        }
        let doubled = self.retry.first_wait.saturating_mul(1 << (course.failures - 1).min(16));
        Ok(asked.unwrap_or(doubled).min(self.retry.longest_wait))
    }

    /// One request, and its body to disk. Afterwards all bytes are there.
    fn attempt(&mut self, course: &mut Course) -> Result<Facts, Fault> {
        let there = self.partial.length();
        let known = self.partial.known().cloned().filter(|facts| there > 0 && facts.is_marked());
        match &known {
            Some(facts) if facts.size == Some(there) => return Ok(facts.clone()),
            Some(facts) if facts.size.is_some_and(|size| there > size) => {
                return Err(Fault::StartOver("more bytes are there than the file has".into()));
            }
            _ => {}
        }
        let rest = known.as_ref().map(|facts| Rest { start: there, etag: facts.etag.as_deref() });
        let reply = self.client.get(&self.resource, rest)?;
        check_commit(&self.resource.revision, &reply.facts)?;
        let (facts, mut file) = match (reply.status, known) {
            (200, _) => {
                course.pieced = false;
                (reply.facts.clone(), self.partial.restart(&reply.facts)?)
            }
            (206, Some(known)) => {
                continues(&reply, &known, there)?;
                course.pieced = true;
                (known, self.partial.append()?)
            }
            (206, None) => return Err(Fault::retry("expected the file, found a part of it that nobody asked for")),
            _ => return Err(Fault::StartOver("the hub has no such part of the file".into())),
        };
        let span = Span { start: if reply.status == 206 { there } else { 0 }, total: facts.size };
        self.partial.check_room(span.total.map(|size| size.saturating_sub(span.start)))?;
        self.receive(reply, &mut file, span)?;
        Ok(facts)
    }

    /// The body to disk.
    fn receive(&mut self, mut reply: Reply, file: &mut std::fs::File, span: Span) -> Result<(), Fault> {
        let Span { start: mut done, total } = span;
        (self.report)(PullEvent::Started { file: self.file, done, total });
        let mut buffer = vec![0; 1 << 17];
        loop {
            let count = match reply.body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == IoKind::Interrupted => continue,
                Err(error) => return Err(Fault::retry(format!("the connection broke after {done} bytes: {error}"))),
            };
            done += count as u64;
            if total.is_some_and(|total| done > total) {
                return Err(Fault::StartOver("more bytes came than the file has".into()));
            }
            self.partial.write(file, &buffer[..count])?;
            (self.report)(PullEvent::Progress { file: self.file, done, total });
        }
        match total {
            Some(total) if done < total => Err(Fault::retry(format!("expected {total} bytes, found {done}"))),
            _ => Ok(()),
        }
    }

    /// Compares with the checksum that the hub tells.
    fn check(&mut self, facts: Facts, course: &mut Course) -> Result<Facts, Fault> {
        let facts = Facts { size: Some(self.partial.length()), ..facts };
        let Some(expected) = facts.sha256() else { return Ok(facts) };
        (self.report)(PullEvent::Verifying { file: self.file });
        let found = self.partial.sha256()?;
        if found == expected {
            return Ok(facts);
        }
        self.partial.discard()?;
        // A file of pieces can be wrong because one piece is; in one piece it is the hub's own doing.
        if course.pieced && !std::mem::replace(&mut course.rejected, true) {
            return Err(Fault::StartOver("the pieces do not make the file".into()));
        }
        let error = unavailable("").expecting(format!("sha256 {expected}")).but_found(found).at_place(&self.resource.url);
        Err(error.with_help("the hub or something between serves another file; nothing was kept").into())
    }
}

/// Whether a partial answer is the rest of what is there.
fn continues(reply: &Reply, known: &Facts, there: u64) -> Result<(), Fault> {
    let changed = || Err(Fault::StartOver("the file on the hub has changed".into()));
    let Some(range) = reply.range else { return Err(Fault::StartOver("the hub does not say which part of the file it gives".into())) };
    if range.start != there {
        return Err(Fault::StartOver(format!("expected the file from byte {there} on, found it from byte {}", range.start)));
    }
    if let (Some(old), Some(new)) = (&known.linked, &reply.facts.linked) {
        if old != new {
            return changed();
        }
    } else if known.etag.is_none() || (reply.facts.etag.is_some() && known.etag != reply.facts.etag) {
        return changed();
    }
    match (known.size, reply.facts.size) {
        (Some(old), Some(new)) if old != new => changed(),
        _ => Ok(()),
    }
}
