//! `POST /predict`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use maskline::{Answer, Ask, Concept, Object, PredictOptions, Stage};
use serde_json::{Value, json};

use super::PROTOCOL;
use super::Studio;
use super::body::{self, Predict, Task};
use super::choose::{Chosen, Wish};
use super::config::{Config, Control};
use super::picture::Wanted;
use super::question::Question;
use super::regions::Found;
use crate::app;
use crate::fault::{Fault, Result};
use crate::rest::{AT_ONCE, MASK_LOGITS, Problem, heavy, within};
use crate::statistics::{Account, Spent};

/// Answers a request.
pub(super) async fn predict(studio: Arc<Studio>, path: Option<String>, body: Body) -> Response {
    let mut account = studio.app.account_of_none(PROTOCOL);
    let outcome = match put(&studio, path, body, &mut account).await {
        Ok((call, tasks)) => call.all(tasks).await,
        Err(fault) => Err(fault),
    };
    match app::close(account, outcome, |answered| answered.spent) {
        Ok(answered) => axum::Json(json!({"results": answered.results})).into_response(),
        Err(fault) => fault.into_response(),
    }
}

/// A request that was heard, and the model that answers it.
struct Call {
    studio: Arc<Studio>,
    config: Arc<Config>,
    question: Question,
    project: Option<String>,
    /// `None` where no model answers such a question, and none need.
    chosen: Option<Chosen>,
    model_version: String,
    deadline: Instant,
}

/// All tasks.
struct Answered {
    results: Vec<Value>,
    spent: Spent,
}

async fn put(studio: &Arc<Studio>, path: Option<String>, body: Body, account: &mut Account) -> Result<(Call, Vec<Task>)> {
    let app = &studio.app;
    let body: Bytes = crate::rest::whole(app, body).await?;
    let length = body.len();
    let read = move || {
        let request: Predict = body::read(&body)?;
        let config = Config::read(&request.label_config)?;
        Ok::<_, Fault>((request, config))
    };
    let (request, config) = heavy(length, read).await??;
    let context = request.params.as_ref().and_then(|params| params.context.as_ref());
    let question = Question::of(context, app.limits().prompts)?;
    let deadline = app.deadline(None);
    let project = request.project.map(|project| project.0);
    let of_project = studio.model_of(project.as_deref()).await;
    let wish = Wish { path, version: request.model_version, config: config.model.clone(), of_project };
    let chosen = within(deadline, wish.choose(app, &question)).await?;
    if let Some(chosen) = &chosen {
        account.names(chosen.turn.slot.name(), &chosen.turn.slot.statistics);
    }
    let model_version = chosen.as_ref().map(|chosen| super::version_of(chosen.turn.slot.name())).unwrap_or_default();
    let call = Call { studio: Arc::clone(studio), config: Arc::new(config), question, project, chosen, model_version, deadline };
    Ok((call, request.tasks))
}

impl Call {
    /// Answers each task; one that fails leaves the others as they are: Label Studio passes over what has no `result`.
    ///
    /// # Errors
    /// Of the first task, where all of them fail.
    async fn all(self, tasks: Vec<Task>) -> Result<Answered> {
        let Some(chosen) = &self.chosen else {
            // Not `{"result": []}` where nobody has asked, which would be kept as a prediction.
            let nothing = if matches!(self.question, Question::Labels) { json!([]) } else { self.nothing() };
            let results = vec![nothing; tasks.len()];
            return Ok(Answered { results, spent: Spent::default() });
        };
        let (call, chosen) = (&self, chosen);
        let each = futures_util::stream::iter(tasks).map(|task| async move { within(call.deadline, call.one(chosen, &task)).await });
        let outcomes: Vec<Result<(Value, Spent)>> = each.buffered(AT_ONCE).collect().await;
        let mut answered = Answered { results: Vec::new(), spent: Spent::default() };
        let mut failed = None;
        let (count, mut failures) = (outcomes.len(), 0);
        for outcome in outcomes {
            match outcome {
                Ok((prediction, spent)) => {
                    answered.results.push(prediction);
                    answered.spent += spent;
                }
                Err(fault) => {
                    answered.results.push(json!({"error": Problem::from(&fault)}));
                    failures += 1;
                    failed = failed.or(Some(fault));
                }
            }
        }
        match failed {
            Some(fault) if failures == count => Err(fault),
            _ => Ok(answered),
        }
    }

    async fn one(&self, chosen: &Chosen, task: &Task) -> Result<(Value, Spent)> {
        if matches!(self.question, Question::Nothing) {
            return Ok((self.nothing(), Spent::default()));
        }
        let app = &self.studio.app;
        let wanted = Wanted { task, field: &self.config.field, project: self.project.as_deref() };
        let picture = self.studio.gallery.picture(app, wanted).await?;
        let size = picture.image.size();
        let asks = self.asks(size)?;
        let rows = asks.len();
        // The mask of a prompt with its logits, and one as bytes, from which regions are written one after another.
        let pixels = (size.0 * size.1) as u64;
        let _room = app.pictures.room(pixels + (pixels / 8 + MASK_LOGITS) * rows as u64).await?;
        let request = maskline::Request {
            predict: PredictOptions { conf: self.config.least_score, ..PredictOptions::default() },
            deadline: Some(self.deadline),
            ..maskline::Request::new(Arc::clone(&picture.image), asks)
        };
        let answers = app::answer(&chosen.turn, request).await?;
        let mut timings = answers.timings;
        let began = Instant::now();
        let answers = answers.answers.into_iter().collect::<maskline::Result<Vec<Answer>>>()?;
        let prediction = if matches!(self.question, Question::Prewarm) {
            self.nothing()
        } else {
            let objects = self.placed(answers.into_iter().flat_map(|answer| answer.objects).collect())?;
            let (config, model_version) = (Arc::clone(&self.config), self.model_version.clone());
            heavy(usize::MAX, move || Found { config: &config, size, model_version: &model_version }.prediction(objects)).await??
        };
        timings.spend(Stage::Decode, picture.decode);
        timings.spend(Stage::Queue, picture.waited);
        timings.spend(Stage::Encode, began.elapsed());
        Ok((prediction, Spent::of(&timings, rows)))
    }

    fn nothing(&self) -> Value {
        json!({"result": [], "score": 0.0, "model_version": self.model_version})
    }

    fn asks(&self, size: (usize, usize)) -> Result<Vec<Ask>> {
        let has_words = self.chosen.as_ref().is_some_and(|chosen| chosen.takes_words());
        let asks = match &self.question {
            Question::Object(pointed) => vec![Ask::Object(pointed.prompt(size))],
            Question::Words(written) => written.texts.iter().map(|text| Ask::Concept(Concept::text(text))).collect(),
            Question::Labels if has_words => self.config.words().into_iter().map(|word| Ask::Concept(Concept::text(word))).collect(),
            Question::Labels => vec![Ask::Detect],
            Question::Prewarm | Question::Nothing => vec![Ask::Encode],
        };
        let most = self.studio.app.limits().prompts;
        if asks.len() > most {
            return Err(Fault::over("labels", format!("{most} to look for"), asks.len()));
        }
        Ok(asks)
    }

    /// The objects that the project has a place for, each with its control and called by its label there.
    ///
    /// # Errors
    /// `BadRequest` where no control takes what the model finds.
    fn placed(&self, objects: Vec<Object>) -> Result<Vec<(Arc<Control>, Object)>> {
        let mut placed = Vec::new();
        for mut object in objects {
            let has_mask = object.mask.is_some();
            let Some(taking) = self.config.taking(has_mask) else {
                let fault = Fault::bad("label_config", "RectangleLabels, for a model that finds boxes", "none");
                return Err(fault.with_help("a model that makes masks, such as owlv2-base+nano, answers BrushLabels and PolygonLabels too"));
            };
            let (control, label) = match &self.question {
                Question::Object(_) => (taking, object.label.take()),
                Question::Words(written) => {
                    let label = written.label_in(&self.config, has_mask);
                    let of_label = label.as_deref().and_then(|label| self.config.place(label, has_mask));
                    (of_label.map_or(taking, |(control, _)| control), label)
                }
                _ => match object.label.as_deref().and_then(|name| self.config.place(name, has_mask)) {
                    Some((control, label)) => (control, Some(label.value.clone())),
                    // The model knows more than the project.
                    None => continue,
                },
            };
            object.label = label.or_else(|| control.labels.first().map(|label| label.value.clone()));
            placed.push((Arc::clone(control), object));
        }
        Ok(placed)
    }
}
