//! The one place where what was asked over any protocol is answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use maskline::runtime::Priority;
use maskline::{Error, ErrorKind};

use super::describe::{Signature, VERSION, Which, open};
use super::http::Body;
use super::message::{AnswerOutput, InferAnswer, InferRequest, Parameter, Parameters, WantedOutput};
use super::tensor::Tensor;
use super::{high, raw};
use crate::app::App;
use crate::fault::{Fault, Reason, Result};
use crate::models::{Named, Served, Turn};
use crate::statistics::{Account, Ask, Spent};

/// How a request is to be treated among others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Urgency {
    /// What has not begun by then is not begun.
    pub(super) deadline: Instant,
    pub(super) priority: Priority,
}

impl Urgency {
    fn of(app: &App, parameters: &Parameters) -> Self {
        let priority = match parameters.priority {
            0 | 2 => Priority::Normal,
            1 => Priority::High,
            _ => Priority::Low,
        };
        Self { deadline: app.deadline(parameters.timeout), priority }
    }
}

/// What a model answered.
pub(super) struct Answered {
    /// What was wanted, in that order.
    pub(super) tensors: Vec<Tensor>,
    pub(super) parameters: BTreeMap<String, Parameter>,
    pub(super) spent: Spent,
}

/// A request that has arrived, and whose account is open: dropped before it is answered, its caller has gone.
pub(super) struct Arrived {
    app: Arc<App>,
    which: Which,
    named: Result<Named>,
    account: Account,
}

impl Arrived {
    /// Opens the account of a request. Names that there are not have no account of their own, so that callers cannot make up any.
    pub(super) fn new(app: &Arc<App>, which: Which, protocol: &'static str) -> Self {
        let named = which.find(app);
        let account = match &named {
            Err(_) => app.account_of_none(protocol),
            Ok(Named::Whole(slot)) => app.account(slot, protocol),
            // Which networks a model has is known, and was checked, while it is loaded.
            Ok(Named::Part { slot, part }) if slot.served().is_some() => {
                Account::open(Ask { model: format!("{}.{part}", slot.name()), protocol, statistics: Some(slot.part_statistics(part)) })
            }
            Ok(Named::Part { slot, .. }) => app.account(slot, protocol),
        };
        Self { app: Arc::clone(app), which, named, account }
    }

    /// Reads the request, answers it, and writes the answer.
    ///
    /// # Errors
    /// As reading and writing; `NotFound`, `NotReady`, `Busy`; as the model.
    pub(super) async fn answer<T>(
        self,
        reading: impl Future<Output = Result<Body>>,
        write: impl FnOnce(InferAnswer) -> Result<T>,
    ) -> Result<T> {
        let Self { app, which, named, account } = self;
        let outcome = async {
            let (answer, spent) = answer(&app, &which, Asked { named: named?, body: reading.await? }).await?;
            Ok((write(answer)?, spent))
        };
        let outcome = crate::app::close(account, outcome.await.map_err(expired), |(_, spent): &(T, Spent)| *spent);
        outcome.map(|(written, _)| written)
    }
}

/// What is asked, and of what.
struct Asked {
    named: Named,
    body: Body,
}

async fn answer(app: &Arc<App>, which: &Which, asked: Asked) -> Result<(InferAnswer, Spent)> {
    let turn = app.models.enter(asked.named.slot()).await?;
    let target = Target::of(&turn, asked.named.part()).await?;
    let request = match asked.body {
        Body::Request(request) => *request,
        Body::Raw(content) => {
            let inputs = vec![raw::whole_input(&target.signature(&which.model), content)?];
            InferRequest { inputs, binary_by_default: true, ..InferRequest::default() }
        }
    };
    let urgency = Urgency::of(app, &request.parameters);
    let answered = match &target {
        Target::Network(part) => {
            check_outputs(&request, part.outputs().iter().map(|port| port.name.as_str()))?;
            raw::infer(part, &request, &urgency).await?
        }
        Target::Model(form) => {
            check_outputs(&request, form.outputs().into_iter())?;
            form.infer(app, &turn, high::Question { request: &request, urgency: &urgency }).await?
        }
    };
    let Answered { tensors, parameters, spent } = answered;
    let is_binary = |index: usize| {
        let wanted: Option<&WantedOutput> = request.outputs.as_ref().and_then(|wanted| wanted.get(index));
        wanted.and_then(|wanted| wanted.is_binary).unwrap_or(request.binary_by_default)
    };
    let outputs = tensors.into_iter().enumerate().map(|(index, tensor)| AnswerOutput { tensor, is_binary: is_binary(index) }).collect();
    let answer = InferAnswer { model: which.model.clone(), version: VERSION.to_owned(), id: request.id, parameters, outputs };
    Ok((answer, spent))
}

/// What answers.
enum Target {
    Network(maskline::Part),
    Model(high::Form),
}

impl Target {
    async fn of(turn: &Turn, part: Option<&str>) -> Result<Self> {
        match (part, &turn.served) {
            (Some(part), served) => Ok(Self::Network(open(served.clone(), part.to_owned()).await?)),
            (None, Served::Graph(part)) => Ok(Self::Network(part.clone())),
            (None, Served::Asked(answerer)) => Ok(Self::Model(high::Form::of(answerer))),
        }
    }

    fn signature(&self, name: &str) -> Signature {
        match self {
            Self::Network(part) => raw::signature(name, part),
            Self::Model(form) => form.signature(name),
        }
    }
}

/// Refuses outputs that there are not, and an output that is wanted twice.
fn check_outputs<'a>(request: &InferRequest, known: impl Iterator<Item = &'a str>) -> Result<()> {
    let known: Vec<&str> = known.collect();
    let wanted = request.outputs.as_deref().unwrap_or_default();
    for (index, output) in wanted.iter().enumerate() {
        let found: String = output.name.chars().take(100).flat_map(char::escape_debug).collect();
        if !known.contains(&output.name.as_str()) {
            return Err(Fault::bad("output", known.join(", "), format!("`{found}`")));
        }
        if wanted[..index].iter().any(|other| other.name == output.name) {
            return Err(Fault::bad(format!("output `{found}`"), "wanted once", "wanted twice"));
        }
    }
    Ok(())
}

/// A passed deadline, in the words that clients of Triton know it by.
fn expired(fault: Fault) -> Fault {
    if fault.reason != Reason::TimedOut {
        return fault;
    }
    let error = Error::new(ErrorKind::TimedOut, format!("Request timeout expired: {}", fault.error.message()));
    Fault { error: Box::new(error), ..fault }
}

/// What an answer says of a provider that the CPU stands in for.
pub(super) fn degradation(is_degraded: bool, provider: impl FnOnce() -> String) -> BTreeMap<String, Parameter> {
    if !is_degraded {
        return BTreeMap::new();
    }
    let provider = Parameter::Text(provider());
    BTreeMap::from([("degraded".to_owned(), Parameter::Bool(true)), ("provider".to_owned(), provider)])
}
