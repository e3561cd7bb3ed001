//! Where Label Studio is, and what lets us in.
//!
//! `/setup` says both, and whoever can send requests can send that one: what it says is believed only where it changes nothing about whom we
//! ask. That is the address which the server was started with, or one of this machine, named by a program on this machine.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName, header};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use maskline::{Error, ErrorKind};
use moka::future::Cache;
use tokio::sync::Mutex;
use ureq::http::Uri;

use super::body::Setup;
use crate::fault::{Fault, Reason, Result};
use crate::guard::{Origin, is_readable_by_others};

/// Projects that are remembered, the last ones.
const MOST_PROJECTS: u64 = 1024;
/// No address and no token is longer.
const LONGEST: usize = 8192;
/// The environment variable that the token may come from.
const VARIABLE: &str = "LABEL_STUDIO_API_KEY";

/// The Label Studio whose tasks name pictures that only it gives out.
#[derive(Debug, Clone)]
pub struct LabelStudio {
    address: Address,
    token: Option<LabelStudioToken>,
}

impl LabelStudio {
    /// At an address such as `https://label.example.org`, with a token for it; without one, with those that Label Studio sends when a project is
    /// connected, if it calls itself by the same address.
    ///
    /// # Errors
    /// `InvalidOption` for what is no address.
    pub fn new(address: &str, token: Option<LabelStudioToken>) -> maskline::Result<Self> {
        let invalid = || {
            let error =
                Error::new(ErrorKind::InvalidOption, "Label Studio's address").expecting("http://HOST[:PORT] or https://HOST[:PORT]");
            error.but_found(format!("`{}`", address.escape_debug().take(80).collect::<String>()))
        };
        Ok(Self { address: Address::read(address).ok_or_else(invalid)?, token })
    }
}

/// A token of Label Studio: a legacy token, or a personal access token. Nothing that is logged has it.
#[derive(Clone, PartialEq, Eq)]
pub struct LabelStudioToken(String);

impl std::fmt::Debug for LabelStudioToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LabelStudioToken(…)")
    }
}

impl LabelStudioToken {
    /// Of what Label Studio shows in the settings of an account.
    ///
    /// # Errors
    /// `InvalidOption` for what no header carries.
    pub fn new(secret: &str) -> maskline::Result<Self> {
        let is_sane = !secret.is_empty() && secret.len() <= LONGEST && secret.bytes().all(|byte| byte.is_ascii_graphic());
        let invalid = || Error::new(ErrorKind::InvalidOption, "Label Studio's token").expecting("letters, digits and signs of ASCII");
        is_sane.then(|| Self(secret.to_owned())).ok_or_else(invalid)
    }

    /// The token in a file. Warns where everybody on the machine may read it.
    ///
    /// # Errors
    /// As [`Error::io`], and as [`LabelStudioToken::new`], with the file.
    pub fn from_file(path: &Path) -> maskline::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
        if std::fs::metadata(path).is_ok_and(|metadata| is_readable_by_others(&metadata)) {
            tracing::warn!(file = %path.display(), "everybody on this machine may read Label Studio's token: chmod o-r");
        }
        Self::new(text.trim()).map_err(|error| error.at(path))
    }

    /// The token in the environment, `LABEL_STUDIO_API_KEY`; `None` where it is not set.
    ///
    /// # Errors
    /// As [`LabelStudioToken::new`].
    pub fn from_environment() -> maskline::Result<Option<Self>> {
        let Some(secret) = std::env::var_os(VARIABLE) else { return Ok(None) };
        Self::new(secret.to_string_lossy().trim()).map(Some).map_err(|error| error.at_place(VARIABLE))
    }

    /// Personal access tokens are JSON web tokens, which are given for others that last minutes; legacy ones are shown as they are.
    fn is_personal(&self) -> bool {
        let head = self.0.split_once('.').filter(|(_, rest)| rest.contains('.')).map(|(head, _)| head);
        let head = head.and_then(|head| BASE64_URL_SAFE_NO_PAD.decode(head).ok());
        head.is_some_and(|head| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&head).is_ok())
    }
}

/// Scheme, host and port, and the path that all paths begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    origin: Origin,
    /// As it was written, without the last slash.
    base: String,
    path: String,
}

impl Address {
    fn read(text: &str) -> Option<Self> {
        let base = text.trim().trim_end_matches('/');
        let is_sane = base.len() <= LONGEST && base.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte));
        let uri: Uri = is_sane.then(|| base.parse().ok()).flatten()?;
        let path = uri.path().trim_end_matches('/').to_owned();
        Some(Self { origin: Origin::of(&uri)?, base: base.to_owned(), path })
    }

    /// A path of Label Studio's, which has that path at its beginning or not.
    fn uri(&self, path: &str) -> Option<Uri> {
        let rest = path.strip_prefix(&self.path).filter(|rest| rest.starts_with('/')).unwrap_or(path);
        format!("{}{rest}", self.base).parse().ok()
    }
}

/// Label Studio at an address, and a token for it.
pub(super) struct Connection {
    address: Address,
    token: LabelStudioToken,
    /// What a personal access token was given for.
    access: Mutex<Option<String>>,
}

impl Connection {
    fn new(address: Address, token: LabelStudioToken) -> Self {
        Self { address, token, access: Mutex::default() }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.address.origin
    }

    /// Whose pictures it opens, so that what one token opened is not given out to others.
    pub(super) fn identity(&self) -> blake3::Hash {
        blake3::hash(format!("{}\n{}", self.address.base, self.token.0).as_bytes())
    }

    /// The address of one of its paths.
    pub(super) fn uri(&self, path: &str) -> Option<Uri> {
        self.address.uri(path)
    }

    /// The path of an address of its own as it names it.
    pub(super) fn path<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(&self.address.path).filter(|rest| rest.starts_with('/')).unwrap_or(path)
    }

    /// The header that lets us in; `is_fresh` where the last one did not.
    ///
    /// # Errors
    /// As asking for a token.
    pub(super) async fn authorization(&self, is_fresh: bool) -> Result<String> {
        if !self.token.is_personal() {
            return Ok(format!("Token {}", self.token.0));
        }
        let mut access = self.access.lock().await;
        if let Some(held) = access.as_ref().filter(|_| !is_fresh) {
            return Ok(format!("Bearer {held}"));
        }
        let uri = self.uri("/api/token/refresh/").ok_or_else(|| Fault::bad("Label Studio's address", "an address", &self.address.base))?;
        let asked = crate::guard::ask_for_token(uri, self.token.0.clone()).await?;
        // It becomes a header.
        let asked = LabelStudioToken::new(&asked)?.0;
        *access = Some(asked.clone());
        Ok(format!("Bearer {asked}"))
    }

    pub(super) fn can_be_renewed(&self) -> bool {
        self.token.is_personal()
    }
}

/// All that is known of them.
pub(super) struct Connections {
    named: Option<LabelStudio>,
    /// The one that was named, with its own token.
    own: Option<Arc<Connection>>,
    /// What `/setup` said, by project.
    learned: Cache<String, Arc<Connection>>,
}

impl Connections {
    pub(super) fn new(named: Option<LabelStudio>) -> Self {
        let own = named.as_ref().and_then(|named| Some(Connection::new(named.address.clone(), named.token.clone()?)));
        Self { named, own: own.map(Arc::new), learned: Cache::new(MOST_PROJECTS) }
    }

    /// The one that gives out a project's pictures.
    ///
    /// # Errors
    /// `Forbidden` where none is known, with what there is to do.
    pub(super) async fn of(&self, project: Option<&str>) -> Result<Arc<Connection>> {
        if let Some(own) = &self.own {
            return Ok(Arc::clone(own));
        }
        let learned = match project {
            Some(project) => self.learned.get(project).await,
            None => None,
        };
        learned.ok_or_else(|| {
            let error = Error::new(ErrorKind::BadInput, "only Label Studio gives this picture out, and it is not known here");
            let help = match &self.named {
                Some(_) => "start the server with --label-studio-token-file too",
                None => "start the server with --label-studio-url and --label-studio-token-file; for one on this machine that was not named, look at the project's model settings once more",
            };
            Fault::new(Reason::Forbidden, error.with_help(help))
        })
    }

    /// Hears where Label Studio says that it is, and what lets us in there.
    pub(super) async fn learn(&self, setup: &Setup, is_near: bool) {
        let (Some(project), Some(hostname), Some(token)) = (&setup.project, &setup.hostname, &setup.access_token) else { return };
        let (Some(address), Ok(token)) = (Address::read(hostname), LabelStudioToken::new(token)) else { return };
        let is_believed = match &self.named {
            Some(named) => named.address.origin == address.origin,
            None => is_near && address.origin.is_loopback(),
        };
        if self.own.is_some() || !is_believed || project.0.len() > LONGEST {
            tracing::debug!(origin = %address.origin, is_believed, "the address in /setup is not needed, or not believed");
            return;
        }
        let connection = Connection::new(self.named.as_ref().map_or(address, |named| named.address.clone()), token);
        let known = self.learned.get(&project.0).await;
        // The same one again keeps what its token was given for.
        if known.is_none_or(|known| known.identity() != connection.identity()) {
            self.learned.insert(project.0.clone(), Arc::new(connection)).await;
        }
    }
}

/// Whether a program on this machine asks: not what passes something on, and no page.
pub(super) fn is_near(extensions: &Extensions, headers: &HeaderMap) -> bool {
    const FORWARDED: [HeaderName; 6] = [
        header::FORWARDED,
        header::VIA,
        header::ORIGIN,
        HeaderName::from_static("x-forwarded-for"),
        HeaderName::from_static("x-forwarded-host"),
        HeaderName::from_static("x-real-ip"),
    ];
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
    peer.is_some_and(|peer| peer.is_loopback()) && !FORWARDED.iter().any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label_studio::body::Text;

    fn setup(hostname: &str) -> Setup {
        Setup {
            project: Some(Text("1.5".into())),
            hostname: Some(hostname.into()),
            access_token: Some("a-legacy-token".into()),
            ..Setup::default()
        }
    }

    async fn learned(named: Option<&str>, hostname: &str, is_near: bool) -> Option<String> {
        let connections = Connections::new(named.map(|named| LabelStudio::new(named, None).expect("an address")));
        connections.learn(&setup(hostname), is_near).await;
        connections.of(Some("1.5")).await.ok().map(|connection| connection.uri("/data/a").expect("an address").to_string())
    }

    #[tokio::test]
    async fn an_address_that_setup_names_is_believed_only_where_it_makes_us_ask_nobody_new() {
        for near in ["http://localhost:8080", "http://127.0.0.1:8080/", "http://[::1]:8080", "https://LOCALHOST."] {
            assert!(learned(None, near, true).await.is_some(), "{near}");
            assert!(learned(None, near, false).await.is_none(), "{near}: told from elsewhere");
        }
        for other in [
            "http://192.168.1.2:8080",
            "http://169.254.169.254",
            "https://evil.example",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "http://evil.example#@localhost",
            "http://0x7f.1",
            "ftp://localhost",
            "localhost:8080",
            "",
        ] {
            assert!(learned(None, other, true).await.is_none(), "{other}");
        }
        let named = Some("https://label.example.org/ls/");
        assert_eq!(
            learned(named, "https://Label.example.org:443/other", false).await.as_deref(),
            Some("https://label.example.org/ls/data/a")
        );
        for other in ["http://label.example.org/ls", "https://label.example.org:8443/ls", "http://localhost:8080", "https://evil.example"] {
            assert!(learned(named, other, true).await.is_none(), "{other}");
        }
    }

    #[tokio::test]
    async fn the_token_that_the_server_was_started_with_is_replaced_by_no_request() {
        let token = LabelStudioToken::new("of-the-operator").expect("a token");
        let connections = Connections::new(Some(LabelStudio::new("http://localhost:8080", Some(token)).expect("an address")));
        connections.learn(&setup("http://localhost:8080"), true).await;
        let connection = connections.of(Some("1.5")).await.expect("known");
        assert_eq!(connection.authorization(false).await.expect("a header"), "Token of-the-operator");
    }

    #[test]
    fn a_path_is_asked_below_the_address_whether_it_has_its_path_or_not() {
        let address = Address::read("https://label.example.org/ls").expect("an address");
        for (path, whole) in [("/data/a", "/ls/data/a"), ("/ls/data/a", "/ls/data/a"), ("/lsdata/a", "/ls/lsdata/a")] {
            assert_eq!(address.uri(path).expect(path).path(), whole);
        }
    }

    #[test]
    fn tokens_are_told_apart_by_their_form_and_logged_by_none() {
        let personal = format!("{}.e30.c2ln", BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
        for (token, is_personal) in [(personal.as_str(), true), ("0123456789abcdef", false), ("a.b.c", false), ("e30", false)] {
            let token = LabelStudioToken::new(token).expect("a token");
            assert_eq!(token.is_personal(), is_personal, "{}", token.0);
            assert_eq!(format!("{token:?}"), "LabelStudioToken(…)");
        }
        assert!(LabelStudioToken::new("a b").is_err() && LabelStudioToken::new("").is_err() && LabelStudioToken::new("a\r\nb").is_err());
    }
}
