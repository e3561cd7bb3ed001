//! What all protocols share: the models, the pictures, and the way of a request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use maskline::{Answers, Request};
use tokio_util::sync::CancellationToken;

use crate::fault::{Fault, Result};
use crate::models::{Models, Slot, Turn};
use crate::options::{Limits, ServerOptions, Times};
use crate::pictures::Pictures;
use crate::statistics::{Account, Ask};

/// The server's inside, shared by all connections.
pub(crate) struct App {
    pub(crate) models: Arc<Models>,
    pub(crate) pictures: Pictures,
    pub(crate) options: ServerOptions,
    /// Set by the first signal: the server is not ready any more, and goes on.
    pub(crate) ending: CancellationToken,
    pub(crate) began: Instant,
}

impl App {
    pub(crate) fn limits(&self) -> &Limits {
        &self.options.limits
    }

    pub(crate) fn times(&self) -> &Times {
        &self.options.times
    }

    /// Whether every model that the server was started with answers, and it goes on.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ending.is_cancelled() && self.models.are_ready()
    }

    /// When a request must be answered that asks for so much time, which can only be less than the server gives.
    pub(crate) fn deadline(&self, wished: Option<Duration>) -> Instant {
        let time = wished.unwrap_or(Duration::MAX).min(self.times().request);
        let now = Instant::now();
        now.checked_add(time).unwrap_or(now)
    }

    /// The account of a request about a model.
    pub(crate) fn account(&self, slot: &Slot, protocol: &'static str) -> Account {
        Account::open(Ask { model: slot.name().to_owned(), protocol, statistics: Some(Arc::clone(&slot.statistics)) })
    }

    /// The account of a request that names no model, or one that there is not.
    pub(crate) fn account_of_none(&self, protocol: &'static str) -> Account {
        Account::open(Ask { model: String::new(), protocol, statistics: None })
    }
}

/// Asks the model that a turn is for, and waits. Dropped meanwhile, as when the caller goes, the request is called off.
///
/// # Errors
/// As [`maskline::Model::answer`].
pub(crate) async fn answer(turn: &Turn, request: Request) -> Result<Answers> {
    turn.served.ask(request)?.answers().await
}

/// Closes an account with what a request came to: `told` tells how an answer is accounted.
pub(crate) fn close<T>(account: Account, outcome: Result<T>, told: impl FnOnce(&T) -> crate::statistics::Spent) -> Result<T> {
    match &outcome {
        Ok(answer) => account.succeed(&told(answer)),
        Err(fault) => account.fail(fault),
    }
    outcome
}

/// A task of the server's own that panicked.
pub(crate) fn panicked(what: &str) -> Fault {
    maskline::Error::new(maskline::ErrorKind::Failed, format!("{what} panicked")).into()
}
