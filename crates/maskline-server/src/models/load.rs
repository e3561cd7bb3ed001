//! Loading and unloading: fetch, build, open, warm, and the way back.

use std::sync::Arc;

use maskline::{Error, ErrorKind};
use maskline::{LoadOptions, Model, ModelSource, Pair};

use super::{Models, Served, Slot, State, Status};
use crate::fault::{Fault, Reason, Result};
use crate::options::SpecSource;

impl Models {
    /// Loads a model, or waits for whoever is at it.
    ///
    /// # Errors
    /// As loading it.
    pub(crate) async fn load(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<()> {
        let mut status = slot.watch();
        if slot.begin() {
            let (models, slot) = (Arc::clone(self), Arc::clone(slot));
            // Goes on when whoever asked has gone: others may wait.
            tokio::spawn(async move { models.bring_up(slot).await });
        }
        let settled = status.wait_for(|status| !status.state.is_coming()).await;
        let status = settled.map_err(|_| failed("the server ends"))?.clone();
        if status.state.answers() { Ok(()) } else { Err(failed(status.reason.as_deref().unwrap_or("it was unloaded meanwhile"))) }
    }

    async fn bring_up(self: Arc<Self>, slot: Arc<Slot>) {
        // The semaphore is never closed.
        let _turn = Arc::clone(&self.loading).acquire_owned().await;
        let (models, loading) = (Arc::clone(&self), Arc::clone(&slot));
        let loaded = tokio::task::spawn_blocking(move || models.bring_up_here(&loading)).await;
        let status = match loaded {
            Ok(Ok(served)) => {
                slot.serve(Some(served));
                Status::new(State::Ready)
            }
            Ok(Err(error)) => Status::failed(error),
            Err(_) => Status::new(State::Failed).because("loading it panicked"),
        };
        slot.set(status);
    }

    fn bring_up_here(&self, slot: &Slot) -> maskline::Result<Served> {
        for name in &slot.spec.needs {
            slot.set(Status::new(State::Downloading).because(name.as_str()));
            self.repository.fetch(name, &mut |told| slot.set(Status::new(State::Downloading).because(told)))?;
        }
        let engine = self.engine()?;
        slot.set(Status::new(State::Building));
        let options = LoadOptions { warm_up: false, ..slot.spec.load.clone() };
        for source in slot.spec.source.models() {
            engine.build(source.clone(), &options.bundle)?;
        }
        slot.set(Status::new(State::Loading));
        let load = |source: &ModelSource| engine.load(source.clone(), &options);
        let served = match &slot.spec.source {
            SpecSource::One(source) => Served::Asked(load(source)?.into()),
            SpecSource::Pair { finder, segmenter } => Served::Asked(Pair::new(load(finder)?, load(segmenter)?)?.into()),
            SpecSource::Graph(path) => Served::Graph(engine.graph(path, &options)?),
        };
        slot.set(Status::new(State::Warming));
        served.models().into_iter().try_for_each(Model::warm_all)?;
        if let Served::Graph(part) = &served {
            part.warm_up()?;
        }
        Ok(served)
    }

    /// Unloads a model and closes its sessions, once all that it accepted is answered; `is_idle` where the next request is to bring it back.
    pub(crate) async fn unload(&self, slot: &Arc<Slot>, is_idle: bool) {
        if !slot.end() {
            return;
        }
        slot.emptied().await;
        self.sessions.close_of(slot.name());
        slot.serve(None);
        let status = Status::new(State::Unloaded);
        slot.set(if is_idle { Status { is_idle, ..status.because("nobody asked") } } else { Status { is_dismissed: true, ..status } });
    }
}

fn failed(reason: &str) -> Fault {
    Fault::new(Reason::NotReady, Error::new(ErrorKind::Unavailable, reason))
}
