//! The loops against targets whose times are known, in simulated time, and once in real time.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use maskline_bench::load::{
    Arrivals, Clock, ClosedLoop, Limit, OpenLoop, RealClock, Record, Request, Target, VirtualClock, run_closed, run_open, schedule,
};
use maskline_bench::samples::Summary;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One server with a queue: 10 ms per call, and one call that takes 300 ms longer.
struct Server<'a> {
    clock: &'a VirtualClock,
    free_at: Mutex<Duration>,
    stalls_at: Option<usize>,
}

impl<'a> Server<'a> {
    fn new(clock: &'a VirtualClock, stalls_at: Option<usize>) -> Self {
        Self { clock, free_at: Mutex::default(), stalls_at }
    }
}

impl Target for Server<'_> {
    type Error = Infallible;

    fn call(&self, Request { index, .. }: Request) -> Result<(), Infallible> {
        let service = if self.stalls_at == Some(index) { ms(310) } else { ms(10) };
        let end = {
            let mut free_at = self.free_at.lock().expect("no panic");
            *free_at = self.clock.now().max(*free_at) + service;
            *free_at
        };
        self.clock.sleep_until(end);
        Ok(())
    }
}

fn p99(record: &Record) -> f64 {
    Summary::of(&record.samples()).expect("samples").p99_ms.expect("enough samples").value
}

#[test]
fn a_stall_shows_in_an_open_loop_only() {
    let clock = VirtualClock::default();
    let closed = ClosedLoop { concurrency: 1, limit: Limit::Calls(1000) };
    let closed = run_closed(&Server::new(&clock, Some(500)), &clock, &closed).expect("a run");
    assert_eq!(p99(&closed), 10.0, "one slow call in a thousand is not in p99");

    let clock = VirtualClock::default();
    let arrivals = schedule(Arrivals::Constant, 50.0, 1000).expect("a rate");
    let open = run_open(&Server::new(&clock, Some(500)), &clock, &OpenLoop { arrivals, workers: 64 }).expect("a run");
    // The queue shrinks by 10 ms with each arrival: 310, 300, 290, …; ten samples of a thousand are above p99.
    assert_eq!(p99(&open), 210.0);
    let waiting = open.calls.iter().filter(|call| call.end - call.intended > ms(10)).count();
    assert_eq!(waiting, 31 - 1, "310, 300, … 20 ms");
}

#[test]
fn latency_counts_from_the_intended_start_with_too_few_workers_too() {
    let clock = VirtualClock::default();
    let arrivals = schedule(Arrivals::Constant, 50.0, 1000).expect("a rate");
    let open = run_open(&Server::new(&clock, Some(500)), &clock, &OpenLoop { arrivals, workers: 1 }).expect("a run");
    assert_eq!(p99(&open), 210.0);
    assert_eq!(open.lag(), ms(290));
}

#[test]
fn an_injected_delay_is_measured() {
    for delay in [1, 7, 40] {
        let clock = VirtualClock::default();
        let target = |_: usize| -> Result<(), Infallible> {
            clock.pass(ms(10) + ms(delay));
            Ok(())
        };
        let record = run_closed(&target, &clock, &ClosedLoop { concurrency: 3, limit: Limit::Calls(100) }).expect("a run");
        assert!(record.samples().iter().all(|sample| sample.duration == ms(10 + delay)), "{delay}");
        assert_eq!(record.calls.len(), 100);
    }
}

#[test]
fn throughput_follows_concurrency() {
    for concurrency in [1, 2, 5] {
        let clock = VirtualClock::default();
        let target = |_: usize| -> Result<(), Infallible> {
            clock.pass(ms(10));
            Ok(())
        };
        let record = run_closed(&target, &clock, &ClosedLoop { concurrency, limit: Limit::Time(ms(1000)) }).expect("a run");
        assert_eq!(record.calls.len(), 100 * concurrency);
        assert!((record.rate() - 100.0 * concurrency as f64).abs() < 1e-9);
    }
}

#[test]
fn a_queue_has_the_waiting_time_of_theory() {
    // M/D/1 at half load waits for half a service time on average (Pollaczek and Khinchine): 10 + 5 ms.
    let clock = VirtualClock::default();
    let arrivals = schedule(Arrivals::Poisson { seed: 11 }, 50.0, 5000).expect("a rate");
    let open = run_open(&Server::new(&clock, None), &clock, &OpenLoop { arrivals, workers: 32 }).expect("a run");
    let mean = Summary::of(&open.samples()).expect("samples").mean_ms;
    assert!((mean.value - 15.0).abs() < 0.75, "{mean:?}");
}

#[test]
fn errors_are_counted_and_have_no_latency() {
    let clock = VirtualClock::default();
    let target = |index: usize| {
        clock.pass(ms(10));
        if index % 4 == 3 { Err(format!("call {index} refused")) } else { Ok(()) }
    };
    let record = run_closed(&target, &clock, &ClosedLoop { concurrency: 1, limit: Limit::Calls(100) }).expect("a run");
    assert_eq!((record.errors(), record.samples().len(), record.calls.len()), (25, 75, 100));
    assert_eq!(record.messages.len(), 10);
    assert_eq!(record.messages[0], "call 3 refused");
    assert!((record.rate() - 75.0).abs() < 1e-9, "only answers count");
}

#[test]
fn a_panic_is_an_error_and_stops_nobody() {
    let clock = VirtualClock::default();
    let target = |index: usize| -> Result<(), Infallible> {
        clock.pass(ms(10));
        assert!(index != 5, "on purpose");
        Ok(())
    };
    let result = run_closed(&target, &clock, &ClosedLoop { concurrency: 3, limit: Limit::Calls(50) });
    assert!(result.is_err_and(|error| error.to_string().contains("panicked")));
}

#[test]
fn bad_options_are_refused() {
    let clock = VirtualClock::default();
    let target = |_: usize| -> Result<(), Infallible> { Ok(()) };
    assert!(run_closed(&target, &clock, &ClosedLoop { concurrency: 0, limit: Limit::Calls(1) }).is_err());
    assert!(run_open(&target, &clock, &OpenLoop { arrivals: vec![ms(2), ms(1)], workers: 1 }).is_err());
}

#[test]
fn real_time_is_at_least_what_was_slept() {
    // A busy machine makes it longer, never shorter.
    let clock = RealClock::default();
    let target = |_: usize| -> Result<(), Infallible> {
        std::thread::sleep(ms(5));
        Ok(())
    };
    let arrivals = schedule(Arrivals::Constant, 100.0, 10).expect("a rate");
    let record = run_open(&target, &clock, &OpenLoop { arrivals, workers: 2 }).expect("a run");
    assert_eq!(record.calls.len(), 10);
    for call in &record.calls {
        assert!(call.start >= call.intended && call.end >= call.start + ms(5), "{call:?}");
    }
}

/// Who made which call, and on what input.
#[derive(Default)]
struct Register(Mutex<Vec<Request>>);

impl Target for Register {
    type Error = Infallible;

    fn call(&self, request: Request) -> Result<(), Infallible> {
        self.0.lock().expect("no panic").push(request);
        Ok(())
    }

    fn input(&self, request: Request) -> u32 {
        u32::try_from(request.caller).expect("few callers")
    }
}

#[test]
fn every_caller_has_a_number_of_its_own() {
    let register = Register::default();
    let closed = ClosedLoop { concurrency: 3, limit: Limit::Calls(30) };
    let record = run_closed(&register, &VirtualClock::default(), &closed).expect("a run");
    let mut made = register.0.into_inner().expect("no panic");
    made.sort_by_key(|request| request.index);
    assert_eq!(made.iter().map(|request| request.index).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
    assert!(made.iter().all(|request| request.caller < 3), "{made:?}");
    let inputs: Vec<usize> = record.calls.iter().map(|call| call.input as usize).collect();
    assert_eq!(inputs, made.iter().map(|request| request.caller).collect::<Vec<_>>(), "the input is asked for with the same caller");
}
