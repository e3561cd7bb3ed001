//! A model of a server under load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::address::Key;
use super::client::{Client, Message};
use super::requests::{Place, Request, Requests};
use super::server::{Server, said};
use crate::load;

/// After a connection that broke: who tries again at once fills memory with failures of a server that is gone.
const PAUSE: Duration = Duration::from_millis(10);

/// A model of a server under load: each caller has a connection of his own.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) server: &'a Server,
    key: Option<&'a Key>,
    pub(super) requests: Requests,
    /// By the number of the caller.
    seats: Vec<Mutex<Option<Seat>>>,
    /// Number of the next picture that nobody has seen.
    next: AtomicU64,
    /// Calls without an answer since it was last asked, by what came instead.
    unanswered: Mutex<BTreeMap<String, usize>>,
}

/// What a caller keeps from one call to the next.
#[derive(Debug)]
struct Seat {
    client: Client,
    answer: Vec<u8>,
    changing: Changing,
}

/// A body whose picture changes: made once, so that a call changes a few bytes and copies none.
#[derive(Debug, Default)]
struct Changing {
    /// Index of the picture that it is made of.
    picture: Option<usize>,
    body: Vec<u8>,
}

impl<'a> Target<'a> {
    /// For so many callers.
    pub(super) fn new(server: &'a Server, key: Option<&'a Key>, requests: Requests, callers: usize) -> Self {
        // Not from 0: an earlier run may have shown the first pictures to the same server.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seats = (0..callers).map(|_| Mutex::default()).collect();
        Self { server, key, requests, seats, next: AtomicU64::new(now.as_micros() as u64), unanswered: Mutex::default() }
    }

    /// What came instead of answers since it was last asked.
    pub(super) fn take_unanswered(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a call and gives its answer.
    pub(super) fn answer(&self, request: load::Request) -> Result<Vec<u8>, String> {
        let mut answer = Vec::new();
        self.ask(request, |bytes| answer = bytes.to_vec())?;
        Ok(answer)
    }

    fn ask(&self, request: load::Request, hear: impl FnOnce(&[u8])) -> Result<(), String> {
        let (Some(sent), Some(seat)) = (self.requests.of(request), self.seats.get(request.caller)) else {
            return Err(format!("there is no request for caller {}", request.caller));
        };
        let mut seat = seat.lock().unwrap_or_else(PoisonError::into_inner);
        let seat = seat.get_or_insert_with(|| Seat {
            client: Client::new(&self.server.address, self.key),
            answer: Vec::new(),
            changing: Changing::default(),
        });
        let message = self.message(sent, self.requests.picture(request), &mut seat.changing);
        let (what, message) = match seat.client.post(message, &mut seat.answer) {
            Ok(200..=299) => {
                hear(&seat.answer);
                return Ok(());
            }
            Ok(status) => (status.to_string(), format!("{status}: {}", said(&seat.answer))),
            Err(broken) => {
                if broken.what == "connection" {
                    std::thread::sleep(PAUSE);
                }
                (broken.what.to_owned(), broken.message)
            }
        };
        *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
        Err(message)
    }

    /// The request itself, or with another picture in it.
    fn message<'b>(&'b self, sent: &'b Request, picture: usize, changing: &'b mut Changing) -> Message<'b> {
        let whole = self.requests.message(sent);
        let Some(Place { picture: fresh, at }) = &sent.fresh else { return whole };
        // A caller has one request about each picture.
        if changing.picture != Some(picture) {
            changing.body.clone_from(&sent.body);
            changing.picture = Some(picture);
        }
        fresh.renew(&mut changing.body[*at..], self.next.fetch_add(1, Ordering::Relaxed));
        Message { body: &changing.body, ..whole }
    }
}

impl load::Target for Target<'_> {
    type Error = String;

    fn call(&self, request: load::Request) -> Result<(), String> {
        self.ask(request, |_| ())
    }

    fn input(&self, request: load::Request) -> u32 {
        u32::try_from(self.requests.picture(request)).unwrap_or(u32::MAX)
    }
}
