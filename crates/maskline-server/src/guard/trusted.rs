//! Files of a host that was named together with what it lets in: the credentials go to its origin and nowhere else.
//!
//! Unlike other hosts, this one may stand in the own network. Redirects are followed by hand: within the origin to paths that may be asked, and
//! with the credentials; what leads elsewhere is told to the caller, who has no credentials for it.

use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use maskline::{Error, ErrorKind};
use serde::Deserialize;
use ureq::http::uri::Scheme;
use ureq::http::{StatusCode, Uri, header};

use super::FetchRules;
use super::fetch::turn;
use super::host;
use crate::fault::{Fault, Reason, Result};

/// Bytes of an answer that holds a token.
const LARGEST_TOKEN: u64 = 64 << 10;

/// Scheme, host and port of an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// Of an address of http or https that holds no user and password.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let (scheme, authority) = (uri.scheme()?, uri.authority()?);
        let usual = match scheme {
            scheme if *scheme == Scheme::HTTPS => 443,
            scheme if *scheme == Scheme::HTTP => 80,
            _ => return None,
        };
        let has_odd_signs = authority.as_str().contains(['@', '\\']);
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        (!has_odd_signs && !host.is_empty()).then(|| Self {
            scheme: scheme.as_str().to_owned(),
            host,
            port: authority.port_u16().unwrap_or(usual),
        })
    }

    /// Whether it is this machine by its form, whoever resolves it.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host == "localhost" || host::address(&self.host).is_some_and(|address: IpAddr| address.to_canonical().is_loopback())
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// A file that is to be fetched with credentials.
#[derive(Clone)]
pub(crate) struct Errand {
    /// What may be asked with them.
    pub(crate) origin: Origin,
    /// Where the file is, at that origin.
    pub(crate) uri: Uri,
    /// The header `Authorization`.
    pub(crate) authorization: String,
    /// Which paths of the origin may be asked, those of redirects too.
    pub(crate) may_ask: Arc<dyn Fn(&Uri) -> bool + Send + Sync>,
}

/// What an errand came to.
#[derive(Debug)]
pub(crate) enum Called {
    /// The file.
    File(Bytes),
    /// The credentials are not accepted, or the redirect leads to a path that may not be asked, as where somebody must log in.
    Refused,
    /// The file is at another origin, which was not asked.
    Elsewhere(String),
}

/// Fetches a file: at most [`FetchRules::bytes`], for which the caller has room.
///
/// # Errors
/// `BadRequest` for what cannot be had; `TooLarge`; `TimedOut`; `Busy`.
pub(crate) async fn fetch_trusted(errand: Errand) -> Result<Called> {
    let rules = FetchRules::default();
    let began = Instant::now();
    let turn = turn(rules.time).await?;
    let left = rules.time.saturating_sub(began.elapsed());
    let fetched = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        errand.follow(&rules, left)
    });
    fetched.await.unwrap_or_else(|_| Err(crate::app::panicked("fetching a picture")))
}

fn agent(time: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections(0)
        .proxy(None)
        .accept_encoding("identity")
        .user_agent(concat!("maskline/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(time))
        .build()
        .into()
}

impl Errand {
    fn follow(mut self, rules: &FetchRules, time: Duration) -> Result<Called> {
        let began = Instant::now();
        for _ in 0..=rules.redirects {
            let left = time.saturating_sub(began.elapsed());
            let failed = |error| told(rules.fault(error), &self.origin);
            let request = agent(left).get(&self.uri).header(header::ACCEPT, "image/*, */*;q=0.5");
            let mut response = request.header(header::AUTHORIZATION, &self.authorization).call().map_err(failed)?;
            let status = response.status();
            if status == StatusCode::OK {
                return self.file(&mut response, rules).map(Called::File);
            }
            if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                return Ok(Called::Refused);
            }
            if !status.is_redirection() {
                return Err(told(Fault::bad("answer for the picture", "status 200", status), &self.origin));
            }
            let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            let to = self.joined(to).ok_or_else(|| told(Fault::bad("redirect", "an address", "none that is whole"), &self.origin))?;
            if Origin::of(&to).as_ref() != Some(&self.origin) {
                return Ok(Called::Elsewhere(to.to_string()));
            }
            if !(self.may_ask)(&to) {
                return Ok(Called::Refused);
            }
            self.uri = to;
        }
        Err(told(Fault::bad("picture's address", format!("at most {} redirects", rules.redirects), "more"), &self.origin))
    }

    fn file(&self, response: &mut ureq::http::Response<ureq::Body>, rules: &FetchRules) -> Result<Bytes> {
        let most = rules.bytes as u64;
        let mut bytes = Vec::new();
        let read = response.body_mut().as_reader().take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| told(rules.fault(error.into()), &self.origin))?;
        if bytes.len() as u64 > most {
            return Err(told(Fault::over("picture", format!("{most} bytes"), "more"), &self.origin));
        }
        Ok(bytes.into())
    }

    /// Where a redirect leads: a whole address, one without its scheme, or a path from the root.
    fn joined(&self, to: &str) -> Option<Uri> {
        let Origin { scheme, .. } = &self.origin;
        let whole = match (to.starts_with("//"), to.starts_with('/')) {
            (true, _) => format!("{scheme}:{to}"),
            (false, true) => format!("{scheme}://{}{to}", self.uri.authority()?),
            _ => to.to_owned(),
        };
        whole.parse::<Uri>().ok().filter(|uri| uri.scheme().is_some() && uri.authority().is_some())
    }
}

fn told(fault: Fault, origin: &Origin) -> Fault {
    Fault { error: Box::new(fault.error.at_place(origin.to_string())), ..fault }
}

/// Gives a token that lasts, and gets one that is shown: `POST {"refresh": …}`, answered by `{"access": …}`.
///
/// # Errors
/// `BadRequest` where it is refused or cannot be asked, `TimedOut`, `Busy`.
pub(crate) async fn ask_for_token(uri: Uri, refresh: String) -> Result<String> {
    #[derive(Deserialize)]
    struct Access {
        access: String,
    }
    let rules = FetchRules::default();
    let turn = turn(rules.time).await?;
    let asked = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let place = Origin::of(&uri).map(|origin| origin.to_string()).unwrap_or_default();
        let told = |fault: Fault| Fault { error: Box::new(fault.error.at_place(&place)), ..fault };
        let body = serde_json::json!({"refresh": refresh}).to_string();
        let request = agent(rules.time).post(uri).header(header::CONTENT_TYPE, "application/json");
        let mut response = request.send(body).map_err(|error| told(rules.fault(error)))?;
        if response.status() != StatusCode::OK {
            let error = Error::new(ErrorKind::BadInput, "the token is not accepted").but_found(response.status());
            return Err(told(Fault::new(Reason::BadRequest, error)));
        }
        let read = serde_json::from_reader::<_, Access>(response.body_mut().as_reader().take(LARGEST_TOKEN));
        read.map(|access| access.access).map_err(|error| told(Fault::bad("answer for the token", "`access`", error)))
    });
    asked.await.unwrap_or_else(|_| Err(crate::app::panicked("asking for a token")))
}
