//! Models of servers: what they are, and the requests that they get.

use maskline::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};

use super::oip::{self, Ask, Form};
use super::requests::{Manner, Picture, Requests};
use super::rest::{self, Sent};
use super::server::{Metadata, Server};
use super::target::Target;
use super::tensors::{Tensor, check_names, made_up};
use super::turns::{callers, kind};
use super::{Plan, Protocol};
use crate::load;
use crate::measure::{Given, Load, Takes, refuse_given};
use crate::report::{self, EmbeddingState, ModelIdentity, Provider};

/// A model of a server.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) server: &'a Server,
    pub(super) model: &'a str,
    pub(super) metadata: Metadata,
    protocol: Protocol,
    manner: Manner,
    pub(super) described: report::Subject,
}

impl<'a> Subject<'a> {
    /// The models of all servers, by model.
    ///
    /// # Errors
    /// If a server does not have a model, or what was asked for means nothing to any.
    pub(super) fn all(plan: &'a Plan, servers: &'a [Server]) -> Result<Vec<Self>> {
        let all = plan.models.iter().flat_map(|model| servers.iter().map(move |server| (model, server)));
        let subjects = all.map(|(model, server)| Self::of(plan, model, server)).collect::<Result<Vec<_>>>()?;
        check_names(&plan.shapes, subjects.iter().map(|subject| &subject.metadata))?;
        let takes: Vec<Takes> = subjects.iter().map(Self::takes).collect();
        // Any model that takes pictures can be sent one that the server has.
        let has_pictures = subjects.iter().any(|subject| subject.metadata.takes_pictures());
        let given: Vec<Given> = plan.given.iter().copied().filter(|given| !(has_pictures && *given == Given::Embedding)).collect();
        refuse_given(&given, &plan.models.iter().map(String::as_str).collect::<Vec<_>>(), &takes)?;
        Ok(subjects)
    }

    fn of(plan: &'a Plan, model: &'a str, server: &'a Server) -> Result<Self> {
        let metadata = server.metadata(model)?;
        let is_native = server.is_maskline() && metadata.takes_pictures();
        if plan.protocol == Some(Protocol::Rest) && !is_native {
            let why = if server.is_maskline() { "it takes tensors" } else { "the server is not maskline" };
            let error = Error::new(
                ErrorKind::InvalidOption,
                format!("--protocol rest does not apply to {model} at {}: {why}", server.address.url()),
            );
            return Err(error.with_help("leave it out"));
        }
        let protocol = plan.protocol.unwrap_or(if is_native { Protocol::Rest } else { Protocol::Oip });
        let manner = if metadata.takes_pictures() { Manner::of(&metadata, &plan.asked) } else { Manner::Nothing };
        let mut subject = Self { server, model, metadata, protocol, manner, described: blank(model) };
        subject.described = subject.describe(plan)?;
        Ok(subject)
    }

    fn takes(&self) -> Takes {
        match self.manner {
            Manner::Prompts => Takes::Prompts,
            Manner::Words => Takes::Words,
            Manner::Nothing => Takes::Nothing,
        }
    }

    /// How tensors are written for its server.
    fn form(&self) -> Form {
        if self.server.has("binary_tensor_data") { Form::Binary } else { Form::Json }
    }

    fn describe(&self, plan: &Plan) -> Result<report::Subject> {
        let Self { server, model, metadata, .. } = self;
        let is_several = plan.servers.len() > 1;
        let others = || plan.servers.iter().filter(|other| other.url() != server.address.url());
        let is_unlike = others().all(|other| other.authority != server.address.authority);
        let place = if is_unlike { &server.address.authority } else { server.address.url() };
        let told = server.described(model);
        let word = |name: &str| told.as_ref().and_then(|told| told[name].as_str()).map(str::to_owned);
        let provider = word("provider").unwrap_or_else(|| "unknown".into());
        let inputs = match metadata.takes_pictures() {
            true => metadata.inputs.iter().map(|port| port.name.clone()).collect(),
            false => made_up(metadata, &plan.shapes, plan.seed)?.iter().map(Tensor::described).collect(),
        };
        let protocol = match self.protocol {
            Protocol::Rest => "rest",
            Protocol::Oip => self.form().name(),
        };
        let blank = blank(model);
        Ok(report::Subject {
            name: if is_several { format!("{model} at {place}") } else { (*model).to_owned() },
            provider: Provider { asked: provider.clone(), actual: provider, fallback_share: None },
            prompts: (self.manner == Manner::Prompts).then_some(plan.asked.prompts),
            texts: (self.manner == Manner::Words).then_some(plan.asked.texts),
            server: Some(report::Server {
                url: server.address.url().to_owned(),
                protocol: protocol.into(),
                name: server.name.clone(),
                version: server.version.clone(),
                platform: metadata.platform.clone().filter(|platform| !platform.is_empty()),
                state: word("state").or_else(|| server.state(model)),
                inputs,
            }),
            ..blank
        })
    }

    /// The requests of its row; `state` is of models that take pictures.
    fn requests(&self, plan: &Plan, pictures: &[Picture], state: Option<EmbeddingState>) -> Result<Requests> {
        let Some(state) = state else {
            let tensors = made_up(&self.metadata, &plan.shapes, plan.seed)?;
            return Ok(Requests { path: oip::path(self.model), all: vec![vec![oip::request(&tensors, self.form())?]] });
        };
        let ask = Ask { model: self.model, manner: self.manner, state };
        match self.protocol {
            Protocol::Oip => oip::of_pictures(&self.metadata, pictures, &plan.asked, ask),
            Protocol::Rest => rest::of_pictures(self.server, &self.metadata, Sent { pictures, asked: &plan.asked, ask }),
        }
    }

    /// Whether an answer is one of the protocol.
    fn is_answer(&self, answer: &[u8]) -> bool {
        // Binary tensors stand behind the JSON.
        let first = serde_json::Deserializer::from_slice(answer).into_iter::<serde_json::Value>().next();
        let Some(Ok(json)) = first else { return false };
        match self.protocol {
            Protocol::Oip => json["outputs"].is_array(),
            Protocol::Rest => json.is_object(),
        }
    }

    /// The first calls, which say whether there is anything to measure: one about each picture.
    fn try_out(&self, target: &Target<'_>) -> Result<()> {
        for index in 0..target.requests.all.len() {
            let answer = target.answer(load::Request { index, caller: 0 }).map_err(|message| {
                let error = Error::new(ErrorKind::Failed, format!("the server refuses the first call: {message}"));
                error.at_place(format!("{}{}", self.server.address.url(), target.requests.path))
            })?;
            if !self.is_answer(&answer) {
                let error = Error::new(ErrorKind::BadAnswer, format!("{}{}", self.server.address.url(), target.requests.path));
                return Err(error.expecting("an answer of the protocol").but_found(super::server::said(&answer)));
            }
        }
        // What happened here is no row's.
        target.take_unanswered();
        Ok(())
    }
}

/// What nobody tells of a server's model.
fn blank(model: &str) -> report::Subject {
    report::Subject {
        name: model.to_owned(),
        model: ModelIdentity {
            name: model.to_owned(),
            sha256: None,
            generated_from_seed: None,
            bundle: String::new(),
            family: String::new(),
            architecture: String::new(),
            precision: None,
            kernels: None,
        },
        provider: Provider { asked: String::new(), actual: String::new(), fallback_share: None },
        threads: None,
        batch: 1,
        image_size: None,
        prompts: None,
        texts: None,
        server: None,
        effort: None,
    }
}

/// Models that take turns: those whose pictures come from the same place. Pictures that are always others push those out that the server
/// has, so the two are never mixed.
pub(super) struct Group<'a> {
    state: Option<EmbeddingState>,
    subjects: Vec<&'a Subject<'a>>,
}

impl<'a> Group<'a> {
    /// Tensors, pictures that the server has, others: in this order, as the last spoil what the second need.
    pub(super) fn all(plan: &Plan, subjects: &'a [Subject<'a>]) -> Vec<Self> {
        let states = [None, Some(EmbeddingState::Hit), Some(EmbeddingState::Miss)];
        let states = states.into_iter().filter(|state| state.is_none_or(|state| plan.embeddings.contains(&state)));
        let of_state = |state: Option<EmbeddingState>| {
            let subjects = subjects.iter().filter(|subject| subject.metadata.takes_pictures() == state.is_some()).collect();
            Self { state, subjects }
        };
        states.map(of_state).filter(|group| !group.subjects.is_empty()).collect()
    }

    /// Makes the requests, and tries each model.
    pub(super) fn targets(&self, plan: &'a Plan, pictures: &[Picture]) -> Result<Vec<Row<'a>>> {
        let most = plan.loads.iter().copied().map(callers).max().unwrap_or(1);
        let row = |subject: &&'a Subject<'a>| {
            let requests = subject.requests(plan, pictures, self.state)?;
            let target = Target::new(subject.server, plan.key.as_ref(), requests, most);
            subject.try_out(&target)?;
            Ok(Row { subject, state: self.state, target })
        };
        self.subjects.iter().map(row).collect()
    }

    /// What is being done, for whoever watches.
    pub(super) fn name(&self, load: Load) -> String {
        let state = self.state.map_or_else(String::new, |state| format!("{}, ", state.name()));
        format!("{state}{}", kind(load).name())
    }
}

/// A model with the requests of one kind.
pub(super) struct Row<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) state: Option<EmbeddingState>,
    pub(super) target: Target<'a>,
}

impl Row<'_> {
    /// Its name without the load.
    pub(super) fn name(&self) -> String {
        let state = self.state.map_or_else(String::new, |state| format!(", {}", state.name()));
        format!("{}{state}", self.subject.described.name)
    }
}

/// What a report says of tensors that are made up.
pub(super) fn tensors_described(plan: &Plan, subjects: &[Subject<'_>]) -> Result<report::Inputs> {
    let (mut names, mut hasher) = (Vec::new(), Sha256::new());
    for subject in subjects {
        for tensor in made_up(&subject.metadata, &plan.shapes, plan.seed)? {
            let name = tensor.described();
            if !names.contains(&name) {
                hasher.update((tensor.content.len() as u64).to_le_bytes());
                hasher.update(&tensor.content);
                names.push(name);
            }
        }
    }
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(report::Inputs { name: format!("made-up tensors: {}", names.join(", ")), count: names.len(), sha256, is_synthetic: true })
}
