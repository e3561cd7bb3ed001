//! Models by name: a static [`registry`] of what there is, and a [`Hub`] that brings checkpoints to this machine.
//!
//! ```no_run
//! use maskline_hub::{Hub, HubOptions, PullEvent};
//!
//! # fn main() -> Result<(), maskline::Error> {
//! let hub = Hub::new(HubOptions::from_env())?;
//! let pulled = hub.pull("yolov8n", |event| {
//!     if let PullEvent::Progress { file, done, .. } = event {
//!         eprintln!("{file}: {done} bytes");
//!     }
//! })?;
//! println!("{}", pulled.path.display());
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is downloaded but by [`Hub::pull`]. A download that is cut off goes on where it stopped, in the same process or in a
//! later one; a file appears under its name only when it is whole and, where the hub tells its checksum, checked. What was pulled is
//! found without this crate: [`maskline::ModelSource::named`]. Errors are the engine's ([`maskline::Error`]), so that who pulls and
//! loads handles one kind.

mod download;
mod http;
mod options;
mod partial;
mod place;
mod registry;

use std::path::PathBuf;
use std::time::Duration;

use maskline::runtime::create_folder;
use maskline::{Error, ErrorKind, Result};

pub use options::{DEFAULT_HUB, HubOptions, RetryOptions};
pub use registry::{Entry, find, registry};

use download::Download;
use http::{Client, Resource, unavailable};
use partial::Partial;
use place::{Place, Record};

/// What happens during [`Hub::pull`]. New events may be added.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullEvent<'a> {
    /// Somebody else is pulling the same model; it is waited for.
    Waiting,
    /// The bytes of a file begin to come; `done` of them are there from an earlier attempt.
    Started {
        /// Name in the repository.
        file: &'a str,
        /// Bytes that are there.
        done: u64,
        /// Bytes of the whole file, if the hub says so.
        total: Option<u64>,
    },
    /// More bytes of a file are there.
    Progress {
        /// Name in the repository.
        file: &'a str,
        /// Bytes that are there.
        done: u64,
        /// Bytes of the whole file, if the hub says so.
        total: Option<u64>,
    },
    /// A request failed; after a pause there is another one.
    Retrying {
        /// Name in the repository.
        file: &'a str,
        /// What went wrong.
        reason: &'a str,
        /// The pause.
        wait: Duration,
    },
    /// All bytes are there; their checksum is computed.
    Verifying {
        /// Name in the repository.
        file: &'a str,
    },
    /// A file is in its place.
    Finished {
        /// Name in the repository.
        file: &'a str,
        /// Bytes of the file.
        bytes: u64,
    },
}

/// What [`Hub::pull`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The checkpoint.
    pub path: PathBuf,
    /// Files that this call brought; 0 if the model was there.
    pub files: usize,
}

/// How much of a model is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// A pull was cut off; the next one goes on from there.
    Partial {
        /// Bytes that are there.
        bytes: u64,
    },
    /// All of it.
    Pulled {
        /// The checkpoint.
        path: PathBuf,
        /// Bytes on disk.
        bytes: u64,
    },
}

/// A model of the registry and what is here of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The model.
    pub entry: &'static Entry,
    /// What is here.
    pub state: State,
    /// Commit of the repository that the files come from, if the hub told it.
    pub commit: Option<String>,
    /// Folder that the files are in, or would be.
    pub folder: PathBuf,
}

/// The models on this machine, and the hub that they come from.
#[derive(Debug, Clone)]
pub struct Hub {
    options: HubOptions,
}

impl Hub {
    /// A hub; the network is not used before [`Self::pull`].
    ///
    /// # Errors
    /// `InvalidOption` for an address that is not `http://` or `https://`, or a token with characters that none has.
    pub fn new(options: HubOptions) -> Result<Self> {
        Ok(Self { options: options.checked()? })
    }

    /// The options, with the address of the hub as it is used.
    pub fn options(&self) -> &HubOptions {
        &self.options
    }

    /// The checkpoint of a model that is here whole; `None` for others, and for names that the registry does not have.
    pub fn locate(&self, name: &str) -> Option<PathBuf> {
        find(name).and_then(|entry| Place::new(&self.options.folder, entry).checkpoint())
    }

    /// As [`Self::locate`], with the way to the model where it is not here.
    ///
    /// # Errors
    /// `BadInput` for an unknown name, `Unavailable` if the model must be pulled first.
    pub fn require(&self, name: &str) -> Result<PathBuf> {
        let entry = known(name)?;
        self.locate(name).ok_or_else(|| {
            let size = entry.bytes as f64 / 1e6;
            absent(name).with_help(format!("maskline pull {name} (about {size:.1} MB, {})", entry.licence))
        })
    }

    /// Where the files of a model come from, as a person would open it in a browser.
    pub fn page(&self, entry: &Entry) -> String {
        format!("{}/{}", self.options.base, entry.repository)
    }

    /// What is here of a model.
    ///
    /// # Errors
    /// `BadInput` for an unknown name.
    pub fn show(&self, name: &str) -> Result<Listed> {
        known(name).map(|entry| self.listed(entry))
    }

    /// All models of the registry.
    pub fn list(&self) -> Vec<Listed> {
        registry().iter().map(|entry| self.listed(entry)).collect()
    }

    fn listed(&self, entry: &'static Entry) -> Listed {
        let place = Place::new(&self.options.folder, entry);
        let state = match (place.checkpoint(), place.bytes()) {
            (Some(path), bytes) => State::Pulled { path, bytes },
            (None, 0) => State::Absent,
            (None, bytes) => State::Partial { bytes },
        };
        let commit = Some(&state).filter(|state| **state != State::Absent).and_then(|_| place.record().commit);
        Listed { entry, state, commit, folder: place.folder }
    }

    /// Brings a model to this machine, if it is not here yet. Of several pulls at a time one works and the others wait for it.
    ///
    /// # Errors
    /// `BadInput` for an unknown name; `Unavailable` if it is not here and the hub is switched off, refuses, does not have it,
    /// cannot be reached, or sends something else; `Io` if the files cannot be written. What has come of a file whose transfer
    /// was cut off stays, and the next pull goes on from there.
    pub fn pull(&self, name: &str, mut report: impl FnMut(PullEvent<'_>)) -> Result<Pulled> {
        let entry = known(name)?;
        let place = Place::new(&self.options.folder, entry);
        if let Some(path) = place.checkpoint() {
            // A folder that was copied here may have no record, and may be one that nobody can write to: it is as good as pulled.
            let _ = place.note_whole(&mut place.record());
            return Ok(Pulled { path, files: 0 });
        }
        if self.options.offline {
            let error = unavailable(format!("the model `{name}` is not on this machine and the network is switched off (offline)"));
            let help = format!("pull without --offline and MASKLINE_OFFLINE, or copy its files to {}", place.folder.display());
            return Err(error.with_help(help));
        }
        let _lock = place.lock(|| report(PullEvent::Waiting))?;
        create_folder(&place.folder)?;
        let client = Client::new(&self.options);
        let (mut record, mut files) = (place.record(), 0);
        // The checkpoint last: what is wrong with access or network shows at the small files.
        for file in entry.files.iter().rev().filter(|file| !place.file(file).is_file()) {
            let resource = self.resource(entry, &record, file);
            let partial = Partial::open(&place.file(file), &resource.url);
            let download = Download { client: &client, resource, file, partial, retry: self.options.retry, report: &mut report };
            let facts = download.run()?;
            place.note(&mut record, file, &facts)?;
            report(PullEvent::Finished { file, bytes: facts.size.unwrap_or(0) });
            files += 1;
        }
        let gone = || Error::new(ErrorKind::Io, "the model's files vanished while it was pulled").at(&place.folder);
        let path = place.checkpoint().ok_or_else(gone)?;
        place.note_whole(&mut record)?;
        Ok(Pulled { path, files })
    }

    /// Where a file comes from: the commit that the registry names, else the one that the model's other files came from.
    fn resource(&self, entry: &Entry, record: &Record, file: &str) -> Resource {
        let page = self.page(entry);
        let revision = entry.pinned().or(record.commit.as_deref()).unwrap_or(entry.revision).to_string();
        Resource { url: format!("{page}/resolve/{revision}/{file}"), page, revision, gated: entry.gated }
    }

    /// Removes a model, or what is here of it, and says how many bytes that were.
    ///
    /// # Errors
    /// `BadInput` for an unknown name; `Unavailable` if nothing of it is here or it is being pulled; `Io`.
    pub fn remove(&self, name: &str) -> Result<u64> {
        let place = Place::new(&self.options.folder, known(name)?);
        place.remove()?.ok_or_else(|| absent(name).at(&self.options.folder))
    }
}

/// The entry of a name, or an error with the names that are like it.
fn known(name: &str) -> Result<&'static Entry> {
    find(name).ok_or_else(|| {
        let stem: String = name.to_ascii_lowercase().chars().take_while(char::is_ascii_alphabetic).take(4).collect();
        let alike = registry().iter().filter(|entry| stem.len() > 1 && entry.name.starts_with(&stem)).map(|entry| entry.name);
        let alike: Vec<&str> = alike.take(8).collect();
        let help = if alike.is_empty() {
            "`maskline list` names all".to_owned()
        } else {
            format!("like it are {}; `maskline list` names all", alike.join(", "))
        };
        Error::new(ErrorKind::BadInput, format!("no model is called `{name}`")).with_help(help)
    })
}

fn absent(name: &str) -> Error {
    unavailable(format!("the model `{name}` is not on this machine"))
}
