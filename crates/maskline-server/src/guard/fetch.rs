//! Pictures by their address, from hosts that were named, and never from the server's own network.
//!
//! Each address, the first and those of redirects, is checked where it is resolved: by its form, by the list of hosts, and by what its name
//! resolves to. The connection is made to the addresses that were checked, so a name that resolves to another one a moment later gains nothing.

use std::io::Read;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use maskline::{Error, ErrorKind};
use tokio::sync::{Semaphore, SemaphorePermit};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::{address, host};
use crate::fault::{Fault, Reason, Result};

/// Pictures that are fetched at a time, by all requests together.
const AT_A_TIME: usize = 8;
/// No address is longer.
const LONGEST_ADDRESS: usize = 8192;

static TURNS: Semaphore = Semaphore::const_new(AT_A_TIME);

/// From where pictures may be fetched, and how much of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRules {
    /// Hosts that may be asked: `example.org`, `*.example.org` for all below a name, `*` for any name. A host that is an address must be listed
    /// as that address. Whatever is listed, only addresses of the open network are asked.
    pub hosts: Vec<String>,
    /// Ports that may be asked beside those of `https` (443) and, if allowed, `http` (80).
    pub ports: Vec<u16>,
    /// Whether `http` will do; otherwise it must be `https`.
    pub has_plain: bool,
    /// Most redirects.
    pub redirects: usize,
    /// Most bytes.
    pub bytes: usize,
    /// The longest that all of it may take.
    pub time: Duration,
    /// Lets this machine's own addresses pass: for tests, which have no other server to ask.
    #[doc(hidden)]
    pub has_loopback: bool,
}

impl Default for FetchRules {
    /// From nowhere, until hosts are listed.
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            ports: Vec::new(),
            has_plain: false,
            redirects: 3,
            bytes: 32 << 20,
            time: Duration::from_secs(10),
            has_loopback: false,
        }
    }
}

/// What an address leads to: at most [`FetchRules::bytes`], for which the caller has room. Nothing that the caller sent goes with the question.
///
/// # Errors
/// `BadRequest` for what is no address of a picture, or cannot be had; `Forbidden` by the rules; `TooLarge`; `TimedOut`; `Busy`.
pub(crate) async fn fetch(rules: &FetchRules, url: &str) -> Result<Bytes> {
    let names = Box::new(DefaultResolver::default());
    fetch_by(Way { rules: rules.clone(), names, tls: TlsConfig::default() }, url).await
}

/// How the open network is reached.
struct Way {
    rules: FetchRules,
    names: Box<dyn Resolver>,
    tls: TlsConfig,
}

async fn fetch_by(way: Way, url: &str) -> Result<Bytes> {
    let (began, longest) = (Instant::now(), way.rules.time);
    let uri = way.rules.read(url)?;
    let turn = turn(longest).await?;
    let left = longest.saturating_sub(began.elapsed());
    let fetched = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        way.get(uri, left)
    });
    fetched.await.unwrap_or_else(|_| Err(crate::app::panicked("fetching a picture")))
}

/// A place among those who fetch; it is waited for no longer.
///
/// # Errors
/// `Busy`.
pub(super) async fn turn(longest: Duration) -> Result<SemaphorePermit<'static>> {
    let busy = || {
        let error = Error::new(ErrorKind::Busy, "other pictures are being fetched");
        Fault::new(Reason::Busy, error.with_help("ask again in a moment, or send the picture itself"))
    };
    tokio::time::timeout(longest, TURNS.acquire()).await.ok().and_then(std::result::Result::ok).ok_or_else(busy)
}

impl Way {
    fn get(self, uri: Uri, time: Duration) -> Result<Bytes> {
        let Self { rules, names, tls } = self;
        let place = origin(&uri);
        let told = |fault: Fault| match fault.error.place() {
            None => Fault { error: Box::new(fault.error.at_place(&place)), ..fault },
            Some(_) => fault,
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .https_only(!rules.has_plain)
            .max_redirects(u32::try_from(rules.redirects).unwrap_or(u32::MAX))
            .max_idle_connections(0)
            .proxy(None)
            .accept("image/*, */*;q=0.5")
            .accept_encoding("identity")
            .user_agent(concat!("maskline/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(time))
            .tls_config(tls)
            .build();
        let guard = Guard { rules: rules.clone(), names };
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), guard);
        let mut response = agent.get(uri).call().map_err(|error| told(rules.fault(error)))?;
        if response.status() != ureq::http::StatusCode::OK {
            return Err(told(Fault::bad("answer for the picture", "status 200", response.status())));
        }
        let most = rules.bytes as u64;
        let over = |found: String| told(Fault::over("picture", format!("{most} bytes"), found));
        let announced = response.body().content_length();
        if let Some(announced) = announced.filter(|announced| *announced > most) {
            return Err(over(announced.to_string()));
        }
        let mut bytes = Vec::new();
        let read = response.body_mut().as_reader().take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| told(rules.fault(error.into())))?;
        if bytes.len() as u64 > most {
            return Err(over("more".into()));
        }
        Ok(bytes.into())
    }
}

/// Scheme, host and port: the rest may hold a secret of whoever asks.
fn origin(uri: &Uri) -> String {
    format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map(|at| at.as_str()).unwrap_or_default())
}

impl FetchRules {
    /// Refuses hosts that no address could have.
    ///
    /// # Errors
    /// `InvalidOption`.
    pub(super) fn check_hosts(&self) -> maskline::Result<()> {
        let names = self.hosts.iter().filter(|listed| listed.parse::<IpAddr>().is_err());
        names.map(String::as_str).try_for_each(host::check_pattern)
    }

    /// An address that may be asked, as far as it can be told from its form.
    fn read(&self, url: &str) -> Result<Uri> {
        let is_sane = url.len() <= LONGEST_ADDRESS && url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let uri = url.parse::<Uri>().ok().filter(|uri| is_sane && uri.scheme().is_some() && uri.authority().is_some());
        let uri = uri.ok_or_else(|| Fault::bad("picture's address", "`https://host/path`", format!("`{}`", shortened(url))))?;
        self.check(&uri)?;
        Ok(uri)
    }

    /// Refuses an address by its form and its host.
    fn check(&self, uri: &Uri) -> Result<()> {
        let forbidden = |expected: &str| {
            let error = Error::new(ErrorKind::BadInput, "picture's address").expecting(expected).at_place(origin(uri));
            Err(Fault::new(
                Reason::Forbidden,
                error.with_help("send the picture itself; the server's --fetch-from says which hosts it may ask"),
            ))
        };
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return forbidden("scheme and host") };
        let default_port = match scheme {
            scheme if *scheme == Scheme::HTTPS => 443,
            scheme if *scheme == Scheme::HTTP && self.has_plain => 80,
            _ if self.has_plain => return forbidden("https or http"),
            _ => return forbidden("https"),
        };
        if authority.as_str().contains(['@', '\\']) {
            // Not told back: what stands before the `@` is a secret.
            return Err(Fault::new(
                Reason::Forbidden,
                Error::new(ErrorKind::BadInput, "picture's address").expecting("no user and password"),
            ));
        }
        let port = authority.port_u16().unwrap_or(default_port);
        if port != default_port && !self.ports.contains(&port) {
            return forbidden("a port that may be asked");
        }
        if !self.names_host(authority.host()) {
            return forbidden("a host that may be asked");
        }
        Ok(())
    }

    fn names_host(&self, host: &str) -> bool {
        if let Some(address) = host::address(host) {
            return self.hosts.iter().any(|listed| host::address(listed).or_else(|| listed.parse().ok()) == Some(address));
        }
        // Other ways to write an address, which resolvers read (`0x7f.1`, `2130706433`); no name ends like this.
        let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        !last.starts_with(|first: char| first.is_ascii_digit()) && host::is_any(&self.hosts, host)
    }

    fn reaches(&self, address: IpAddr) -> bool {
        address::is_global(address) || (self.has_loopback && address.to_canonical().is_loopback())
    }

    pub(super) fn fault(&self, error: ureq::Error) -> Fault {
        let failed = |kind: ErrorKind, message: String| Error::new(kind, format!("the picture cannot be fetched: {message}"));
        match error {
            ureq::Error::Other(error) => match error.downcast::<Refused>() {
                Ok(refused) => refused.0,
                Err(error) => Fault::new(Reason::BadRequest, failed(ErrorKind::BadInput, error.to_string())),
            },
            ureq::Error::Timeout(_) => {
                Fault::new(Reason::TimedOut, failed(ErrorKind::TimedOut, format!("it took more than {:?}", self.time)))
            }
            ureq::Error::TooManyRedirects => Fault::bad("picture's address", format!("at most {} redirects", self.redirects), "more"),
            ureq::Error::RequireHttpsOnly(_) => {
                Fault::new(Reason::Forbidden, failed(ErrorKind::BadInput, "a redirect leaves https".into()))
            }
            other => Fault::new(Reason::BadRequest, failed(ErrorKind::BadInput, other.to_string())),
        }
    }
}

fn shortened(url: &str) -> String {
    url.escape_debug().take(80).collect()
}

/// Resolves names to addresses that may be asked.
#[derive(Debug)]
struct Guard {
    rules: FetchRules,
    names: Box<dyn Resolver>,
}

impl Resolver for Guard {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.rules.check(uri).map_err(refused)?;
        let found = self.names.resolve(uri, config, timeout)?;
        if found.iter().all(|found| self.rules.reaches(found.ip())) {
            return Ok(found);
        }
        // One is enough: which of them is asked is chance. None is told: it may be one of the server's own network.
        let error = Error::new(ErrorKind::BadInput, "picture's address").expecting("a host of the open network").at_place(origin(uri));
        Err(refused(Fault::new(Reason::Forbidden, error)))
    }
}

/// A refusal on its way through the client.
#[derive(Debug)]
struct Refused(Fault);

fn refused(fault: Fault) -> ureq::Error {
    ureq::Error::Other(Box::new(Refused(fault)))
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.line())
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests;
