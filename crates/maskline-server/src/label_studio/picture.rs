//! The pictures of tasks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use maskline::{Error, ErrorKind};
use moka::future::Cache;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use ureq::http::Uri;

use super::body::Task;
use super::connection::{Connection, Connections};
use crate::app::App;
use crate::fault::{Fault, Reason, Result};
use crate::guard::{self, Called, Errand, FetchRules, Origin};
use crate::pictures::{Picture, PictureHash};
use crate::rest::Source;

/// So long an address is taken to mean the picture that it meant.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Addresses that are remembered.
const MOST_ADDRESSES: u64 = 4096;
/// No address is longer.
const LONGEST: usize = 8192;
/// Storages of Label Studio's, which it opens for us.
const STORAGES: [&str; 3] = ["s3:", "gs:", "azure-blob:"];
/// What an address must not have as it is, beside what is no ASCII: file names have it.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// Pictures by their addresses.
pub(super) struct Gallery {
    pub(super) connections: Connections,
    /// What an address led to. The lock is held while it is fetched: whoever wants the same meanwhile waits, and fetches nothing.
    known: Cache<Address, Arc<Mutex<Option<PictureHash>>>>,
}

/// An address, and whose credentials open it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Address {
    opened_by: Option<blake3::Hash>,
    url: String,
}

/// Where a picture is.
enum Place {
    /// At Label Studio: below its address.
    Within(Arc<Connection>, Uri),
    /// Anywhere else.
    Without(String),
}

/// A picture that is wanted.
pub(super) struct Wanted<'a> {
    pub(super) task: &'a Task,
    /// Name of the field that has it.
    pub(super) field: &'a str,
    pub(super) project: Option<&'a str>,
}

impl Gallery {
    pub(super) fn new(connections: Connections) -> Self {
        let known = Cache::builder().max_capacity(MOST_ADDRESSES).time_to_live(REMEMBERED).build();
        Self { connections, known }
    }

    /// The picture of a task, decoded.
    ///
    /// # Errors
    /// `BadRequest` for a task without one, or what is none; `Forbidden` for addresses from which nothing is fetched; `TooLarge`, `Busy`,
    /// `TimedOut`.
    pub(super) async fn picture(&self, app: &App, wanted: Wanted<'_>) -> Result<Picture> {
        let text = field(&wanted.task.data, wanted.field)?;
        if text.starts_with("data:") {
            return Source::of_text(text)?.picture(app).await;
        }
        let place = self.place(&wanted, text).await?;
        let address = match &place {
            Place::Within(connection, uri) => Address { opened_by: Some(connection.identity()), url: uri.to_string() },
            Place::Without(url) => Address { opened_by: None, url: url.clone() },
        };
        let known = self.known.get_with(address, async { Arc::default() }).await;
        let mut known = known.lock().await;
        if let Some(hash) = *known
            && let Ok(picture) = app.pictures.held(hash).await
        {
            return Ok(picture);
        }
        let picture = match place {
            Place::Within(connection, uri) => within(app, connection, uri).await?,
            Place::Without(url) => Source::Address(url).picture(app).await?,
        };
        *known = Some(picture.hash);
        Ok(picture)
    }

    async fn place(&self, wanted: &Wanted<'_>, text: String) -> Result<Place> {
        if text.len() > LONGEST {
            return Err(Fault::over("picture's address", format!("{LONGEST} bytes"), text.len()));
        }
        let is_whole = text.starts_with("http://") || text.starts_with("https://");
        let connection = self.connections.of(wanted.project).await;
        if is_whole {
            let uri = escaped(&text).parse::<Uri>().ok();
            let own = connection.ok().zip(uri).filter(|(connection, uri)| Origin::of(uri).as_ref() == Some(connection.origin()));
            return match own {
                Some((connection, uri)) if may_ask(connection.path(uri.path())) => Ok(Place::Within(connection, uri)),
                _ => Ok(Place::Without(text)),
            };
        }
        let path = match &wanted.task.id {
            _ if text.starts_with('/') => escaped(&text),
            _ if text.starts_with("data/") || text.starts_with("upload/") => format!("/{}", escaped(&text)),
            Some(id) if STORAGES.iter().any(|scheme| text.starts_with(scheme)) && id.0.bytes().all(|digit| digit.is_ascii_digit()) => {
                format!("/tasks/{}/presign/?fileuri={}", id.0, BASE64_URL_SAFE.encode(&text))
            }
            _ => return Err(unknown(&text)),
        };
        let path = if path.starts_with("/upload/") { format!("/data{path}") } else { path };
        let connection = connection?;
        let uri = connection.uri(&path).filter(|uri| may_ask(connection.path(uri.path()))).ok_or_else(|| unknown(&text))?;
        Ok(Place::Within(connection, uri))
    }
}

fn unknown(text: &str) -> Fault {
    let expected = "an address, a data URI, or a file of Label Studio's (/data/…, s3://…)";
    Fault::bad("picture's address", expected, format!("`{}`", text.escape_debug().take(80).collect::<String>()))
}

/// A field of a task that holds text.
fn field(data: &HashMap<String, Box<RawValue>>, name: &str) -> Result<String> {
    let shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
    let what = format!("task: data.{shown}");
    let raw = data.get(name).ok_or_else(|| Fault::bad(&what, "the address of a picture", "none"))?;
    serde_json::from_str(raw.get()).map_err(|error| Fault::bad(what, "the address of a picture", error))
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Whether a path is one from which Label Studio gives out files: with its credentials nothing else is asked, whatever tasks and redirects say.
fn may_ask(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    // However they are written: what is behind may decode them.
    let lower = path.to_ascii_lowercase();
    let climbs = parts.iter().any(|part| matches!(*part, "." | ".."))
        || ["%2e", "%2f", "%5c", "%252e", "%252f", "%255c", "\\"].iter().any(|sign| lower.contains(sign));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    !climbs
        && match parts.as_slice() {
            ["", "data" | "storage-data", first, ..] => !first.is_empty(),
            ["", "tasks" | "projects", id, "resolve" | "presign"] | ["", "tasks" | "projects", id, "resolve" | "presign", ""] => {
                is_number(id)
            }
            _ => false,
        }
}

/// A file of Label Studio's; where it leads elsewhere, by the rules for that, and without credentials.
async fn within(app: &App, connection: Arc<Connection>, uri: Uri) -> Result<Picture> {
    let room = app.pictures.room(FetchRules::default().bytes as u64).await?;
    let of_redirects = Arc::clone(&connection);
    let mut errand = Errand {
        origin: connection.origin().clone(),
        uri,
        authorization: connection.authorization(false).await?,
        may_ask: Arc::new(move |uri| may_ask(of_redirects.path(uri.path()))),
    };
    let mut called = guard::fetch_trusted(errand.clone()).await?;
    if matches!(called, Called::Refused) && connection.can_be_renewed() {
        errand.authorization = connection.authorization(true).await?;
        called = guard::fetch_trusted(errand).await?;
    }
    match called {
        Called::File(file) => {
            drop(room);
            app.pictures.take(file).await
        }
        Called::Elsewhere(url) => {
            drop(room);
            Source::Address(url).picture(app).await
        }
        Called::Refused => {
            let error = Error::new(ErrorKind::BadInput, "Label Studio does not give the picture out for the token that we have");
            let help = "legacy tokens may be switched off there: give a personal access token with --label-studio-token-file";
            Err(Fault::new(Reason::Forbidden, error.at_place(connection.origin().to_string()).with_help(help)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::may_ask;

    #[test]
    fn with_credentials_files_are_asked_for_and_nothing_else() {
        for file in [
            "/data/upload/1/photo.jpg",
            "/data/local-files/",
            "/storage-data/uploaded/",
            "/tasks/17/presign/",
            "/tasks/17/resolve",
            "/data/upload/1/a%20b..jpg",
        ] {
            assert!(may_ask(file), "{file}");
        }
        for other in [
            "/",
            "/data",
            "/data/",
            "/database",
            "/api/users/",
            "/user/login/",
            "/tasks/17/",
            "/tasks/1x/resolve/",
            "/tasks/17/resolve/../../../api",
            "/data/../api/token",
            "/data/./../api",
            "/data/%2e%2e/api",
            "/data/%252e%252e/api",
            "/data/..%2fapi",
            "/data\\..\\api",
            "//data/upload",
        ] {
            assert!(!may_ask(other), "{other}");
        }
    }
}
