//! Repeated calls of several kinds that take turns, so that drift of the machine favours none.
//!
//! Each kind has a lane. In a round every lane has one turn of about a second, in an order that is drawn anew. A lane's time stands still
//! while others have theirs. Where lanes alternate, the first call of a turn finds the processor's caches full of somebody else's
//! data: in turns of ten calls and more it is kept apart, with the warm-up; slower calls are hardly touched by it, and all count.

use std::time::Duration;

use maskline::Result;

use crate::percentile::Percentile;
use crate::random::Random;
use crate::report::{Stage, StageRow};
use crate::samples::{Sample, Series, Summary, from_milliseconds};
use crate::steadiness::{Options, Status, Verdict, judge};
use crate::worker::Call;

/// Calls of one turn.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Turn {
    /// Names of the stages.
    pub(crate) stages: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) elapsed_ms: f64,
    pub(crate) errors: Vec<String>,
}

/// Who makes the calls of a lane.
pub(crate) trait Caller {
    /// Calls one after another for so many seconds, but at least one; the first has the index `first`.
    fn turn(&mut self, first: usize, seconds: f64) -> Result<Turn>;
}

/// Calls of one kind.
pub(crate) struct Lane<'a> {
    pub(crate) name: String,
    subject: String,
    caller: Box<dyn Caller + 'a>,
    /// First calls of turns, whose time does not count.
    openings: Vec<Sample>,
    samples: Vec<Sample>,
    /// Per sample.
    stage_times: Vec<Vec<f64>>,
    stage_names: Vec<String>,
    /// The lane's own time so far.
    busy: Duration,
    next: usize,
    errors: Vec<String>,
    judging: Options,
    /// First calls of a turn that find the processor's caches full of somebody else's data: one per caller.
    first: usize,
    is_done: bool,
}

/// What a lane found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// `None` where no call was answered.
    pub(crate) figures: Option<Figures>,
    /// What failed calls said, one line each.
    pub(crate) errors: Vec<String>,
}

/// The figures of the calls that were answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    pub(crate) summary: Summary,
    pub(crate) verdict: Verdict,
    pub(crate) series: Series,
    pub(crate) stages: StageRow,
}

/// Length of a turn, in seconds.
const TURN: f64 = 1.0;
/// Before a turn, so that threads of the last one that wait busily for more have given up.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 0 } else { 20 });
/// From so many calls in a turn on, the first is kept apart.
const MANY: usize = 10;
/// Failed calls after which a lane ends.
pub(crate) const MOST_ERRORS: usize = 10;

impl<'a> Lane<'a> {
    /// `name` is that of the row, `subject` what it is about.
    pub(crate) fn new(name: &str, subject: &str, caller: Box<dyn Caller + 'a>) -> Self {
        Self {
            name: name.to_owned(),
            subject: subject.to_owned(),
            caller,
            openings: Vec::new(),
            samples: Vec::new(),
            stage_times: Vec::new(),
            stage_names: Vec::new(),
            busy: Duration::ZERO,
            next: 0,
            errors: Vec::new(),
            judging: Options::default(),
            first: 1,
            is_done: false,
        }
    }

    /// For calls that come at random, whose rate is the schedule's.
    pub(crate) fn without_judging_rates(mut self) -> Self {
        self.judging.is_rate_judged = false;
        self
    }

    /// For so many callers at once.
    pub(crate) fn of_callers(mut self, callers: usize) -> Self {
        self.first = callers;
        self
    }

    fn take_turn(&mut self, is_alone: bool) -> Result<()> {
        let turn = self.caller.turn(self.next, TURN)?;
        self.next += turn.calls.len() + turn.errors.len();
        self.errors.extend(turn.errors);
        self.stage_names = turn.stages;
        let time = |milliseconds: f64| from_milliseconds(milliseconds).unwrap_or_default();
        let is_apart = !is_alone && turn.calls.len() >= MANY * self.first;
        // The lane's time goes on from the first call that counts.
        let zero = if is_apart { turn.calls.get(self.first).map_or(0.0, |call| call.start_ms) } else { 0.0 };
        for (index, call) in turn.calls.into_iter().enumerate() {
            let start = self.busy + time(call.start_ms - zero);
            let sample = Sample { start, duration: time(call.total_ms), input: call.picture };
            if index < self.first && is_apart {
                self.openings.push(Sample { start: self.busy, ..sample });
            } else {
                self.samples.push(sample);
                self.stage_times.push(call.stages_ms);
            }
        }
        self.busy += time(turn.elapsed_ms - zero);
        Ok(())
    }

    /// Whether more calls would tell nothing that is asked for: long enough and judged, or twice as long as asked.
    fn is_enough(&self, seconds: f64) -> Result<bool> {
        let busy = self.busy.as_secs_f64();
        if self.errors.len() >= MOST_ERRORS {
            return Ok(true);
        }
        if busy < seconds || self.samples.len() < Percentile::P50.floor() {
            // A single call of a minute is no reason to stay for eleven.
            return Ok(busy > 6.0 * seconds);
        }
        let verdict = wrapped(judge(&self.samples, &self.judging))?.verdict;
        Ok(verdict.status != Status::Insufficient || busy > 2.0 * seconds)
    }

    /// What the lane found.
    pub(crate) fn found(self) -> Result<Found> {
        if self.samples.is_empty() {
            return Ok(Found { figures: None, errors: self.errors });
        }
        let judgement = wrapped(judge(&self.samples, &self.judging))?;
        let warm_up = judgement.series.warm_up().len();
        let steady = judgement.series.steady().to_vec();
        let summary = wrapped(Summary::of(&steady))?;
        let series = Series::apart([self.openings, self.samples[..warm_up].to_vec()].concat(), steady);
        let times = &self.stage_times[warm_up..];
        let stage = |index: usize, name: &String| {
            Stage::of(name, &times.iter().filter_map(|stages| stages.get(index).copied()).collect::<Vec<_>>())
        };
        // What a kind of call never does is no stage of it.
        let stages = self.stage_names.iter().enumerate().map(|(index, name)| stage(index, name)).filter(|stage| stage.mean_ms > 0.0);
        let whole = Stage::of("end to end", &series.steady().iter().map(Sample::milliseconds).collect::<Vec<_>>());
        let stages = StageRow::new(&self.name, &self.subject, stages.collect(), whole);
        Ok(Found { figures: Some(Figures { summary, verdict: judgement.verdict, series, stages }), errors: self.errors })
    }
}

/// Lets lanes take turns until each has had enough; `tell` hears how much is done, from 0 to 1.
pub(crate) fn take_turns(lanes: &mut [Lane<'_>], seconds: f64, seed: u64, mut tell: impl FnMut(f64)) -> Result<()> {
    let mut random = Random::new(seed);
    let is_alone = lanes.len() == 1;
    loop {
        let mut order: Vec<usize> = (0..lanes.len()).filter(|index| !lanes[*index].is_done).collect();
        if order.is_empty() {
            return Ok(());
        }
        // Fisher and Yates.
        for last in (1..order.len()).rev() {
            order.swap(last, random.below(last + 1));
        }
        for index in order {
            let lane = &mut lanes[index];
            if !is_alone {
                std::thread::sleep(PAUSE);
            }
            lane.take_turn(is_alone)?;
            lane.is_done = lane.is_enough(seconds)?;
            let done: f64 = lanes.iter().map(|lane| if lane.is_done { 1.0 } else { (lane.busy.as_secs_f64() / seconds).min(0.99) }).sum();
            tell(done / lanes.len() as f64);
        }
    }
}

pub(crate) fn wrapped<T>(result: crate::Result<T>) -> Result<T> {
    result.map_err(|error| maskline::Error::new(maskline::ErrorKind::InvalidOption, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls of given lengths, in milliseconds.
    struct Fake<F>(F);

    impl<F: FnMut(usize) -> f64> Caller for Fake<F> {
        fn turn(&mut self, first: usize, seconds: f64) -> Result<Turn> {
            let mut turn = Turn { stages: vec!["network".into()], ..Turn::default() };
            let mut index = first;
            while turn.calls.is_empty() || turn.elapsed_ms < seconds * 1e3 {
                let total_ms = (self.0)(index) + if turn.calls.is_empty() { 7.0 } else { 0.0 };
                let call = Call { start_ms: turn.elapsed_ms, total_ms, picture: 0, stages_ms: vec![total_ms - 1.0] };
                turn.calls.push(call);
                turn.elapsed_ms += total_ms;
                index += 1;
            }
            Ok(turn)
        }
    }

    fn lane(name: &str, length: impl FnMut(usize) -> f64 + 'static) -> Lane<'static> {
        Lane::new(name, "", Box::new(Fake(length)))
    }

    #[test]
    fn first_calls_of_turns_are_kept_apart_and_their_time_does_not_count() {
        let mut lanes = vec![lane("a", |_| 10.0), lane("b", |_| 20.0)];
        take_turns(&mut lanes, 10.0, 1, |_| ()).expect("no errors");
        for (lane, ms) in lanes.into_iter().zip([10.0, 20.0]) {
            let found = lane.found().expect("an answer").figures.expect("figures");
            assert_eq!(found.verdict.status, Status::Valid, "{}", found.verdict.reason);
            assert_eq!((found.summary.min_ms, found.summary.max_ms), (ms, ms));
            assert!((found.summary.rate() - 1e3 / ms).abs() < 1e-9, "{}", found.summary.rate());
            assert!(found.series.warm_up().iter().all(|sample| sample.milliseconds() == ms + 7.0));
            assert!(found.series.warm_up().len() >= 10);
            assert!((found.stages.unaccounted_ms - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_lane_alone_and_slow_calls_keep_all() {
        let mut lanes = vec![lane("alone", |_| 10.0)];
        take_turns(&mut lanes, 10.0, 1, |_| ()).expect("no errors");
        let found = lanes.remove(0).found().expect("an answer").figures.expect("figures");
        assert_eq!(found.summary.max_ms, 17.0);
        let mut lanes = vec![lane("slow", |_| 300.0), lane("quick", |_| 10.0)];
        take_turns(&mut lanes, 2.0, 1, |_| ()).expect("no errors");
        let found = lanes.remove(0).found().expect("an answer").figures.expect("figures");
        assert!(found.series.warm_up().is_empty() && found.summary.max_ms == 307.0, "{found:?}");
        assert_eq!(found.verdict.status, Status::Insufficient);
    }

    #[test]
    fn two_kinds_of_calls_in_one_lane_are_told() {
        let mut lanes = vec![lane("mixed", |index| if index * 7919 % 10 < 4 { 10.0 } else { 16.0 })];
        take_turns(&mut lanes, 10.0, 1, |_| ()).expect("no errors");
        let found = lanes.remove(0).found().expect("an answer").figures.expect("figures");
        assert_eq!(found.verdict.status, Status::Unstable, "{}", found.verdict.reason);
    }

    #[test]
    fn what_always_fails_ends() {
        struct Broken;
        impl Caller for Broken {
            fn turn(&mut self, _: usize, _: f64) -> Result<Turn> {
                Ok(Turn { errors: vec!["no".into(); 10], ..Turn::default() })
            }
        }
        let mut lanes = vec![Lane::new("broken", "", Box::new(Broken))];
        take_turns(&mut lanes, 10.0, 1, |_| ()).expect("it ends");
        let found = lanes.remove(0).found().expect("an answer");
        assert!(found.figures.is_none() && found.errors.len() == 10);
    }
}
