//! One GET, with redirects followed by hand: the token stays with the hub, and what the hub says of a file is heard before the
//! request moves on to the host that holds the bytes.

use std::io::{ErrorKind as IoKind, Read};
use std::time::Duration;

use maskline::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use ureq::http::{HeaderMap, Response, StatusCode, header};

use crate::options::HubOptions;

const MOST_REDIRECTS: usize = 8;

/// Why a request gave no file, and what can be done about it.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It may work later.
    Retry { reason: String, wait: Option<Duration> },
    /// What is there already is of no use.
    StartOver(String),
    /// It will not work.
    Fatal(Error),
}

impl Fault {
    pub(crate) fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into(), wait: None }
    }
}

/// An error for what the hub does not give.
pub(crate) fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// A file on the hub.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) url: String,
    /// The repository's page, where its licence is accepted.
    pub(crate) page: String,
    /// Branch, tag or commit that is asked for.
    pub(crate) revision: String,
    pub(crate) gated: bool,
}

/// What is known of a file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Strong ETag of the host that holds the bytes.
    pub(crate) etag: Option<String>,
    /// `X-Linked-Etag` of the hub: for large files the SHA-256 of the content.
    ///
    /// The ETag of the host that holds the bytes may look like one and be another hash: only the hub's counts.
    pub(crate) linked: Option<String>,
    /// Bytes of the whole file.
    pub(crate) size: Option<u64>,
    /// Commit that the revision stands for.
    pub(crate) commit: Option<String>,
}

impl Facts {
    /// Whether the file can be known again: only then is the rest of it the rest of the same file.
    pub(crate) fn is_marked(&self) -> bool {
        self.etag.is_some() || self.linked.is_some()
    }

    /// The SHA-256 of the content in hexadecimal, if the hub tells it.
    pub(crate) fn sha256(&self) -> Option<&str> {
        self.linked.as_deref().filter(|tag| tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

/// Bytes from `start` on, if the file is still the one with this ETag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest<'a> {
    pub(crate) start: u64,
    pub(crate) etag: Option<&'a str>,
}

/// `Content-Range: bytes start-end/total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) total: Option<u64>,
}

/// An answer with a body (200, 206), or 416.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) facts: Facts,
    pub(crate) range: Option<ContentRange>,
    pub(crate) body: Box<dyn Read>,
}

/// Whom a request that was made for a file has come to.
#[derive(Clone, Copy)]
struct Asked<'a> {
    resource: &'a Resource,
    /// Whether it is the hub itself, not a host that it redirects to.
    at_hub: bool,
}

/// Talks to one hub.
pub(crate) struct Client {
    agent: ureq::Agent,
    origin: String,
    token: Option<String>,
    longest_wait: Duration,
}

impl Client {
    pub(crate) fn new(options: &HubOptions) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("maskline/", env!("CARGO_PKG_VERSION")))
            // A compressed body would have other bytes than the ranges and sizes speak of.
            .accept_encoding("identity")
            .timeout_connect(Some(options.retry.stall))
            .timeout_recv_response(Some(options.retry.stall))
            .timeout_per_read(Some(options.retry.stall))
            .timeout_per_write(Some(options.retry.stall));
        let origin = origin(&options.base).to_string();
        let token = options.token.clone().filter(|_| may_carry_token(&origin));
        Self { agent: config.build().new_agent(), origin, token, longest_wait: options.retry.longest_wait }
    }

    /// Asks for a file or the rest of it.
    pub(crate) fn get(&self, resource: &Resource, rest: Option<Rest<'_>>) -> Result<Reply, Fault> {
        let (mut url, mut facts, mut at_hub) = (resource.url.clone(), Facts::default(), true);
        for _ in 0..=MOST_REDIRECTS {
            let response = self.send(&url, rest, at_hub)?;
            if at_hub {
                note_linked(&mut facts, response.headers());
            }
            if !response.status().is_redirection() {
                return self.accept(response, facts, Asked { resource, at_hub });
            }
            url = redirected(&url, text(response.headers(), header::LOCATION.as_str()))?;
            // Once away from the hub, a redirect back to it is somebody else's wish: the token stays out of it.
            at_hub &= origin(&url).eq_ignore_ascii_case(&self.origin);
        }
        Err(unavailable(format!("{}: more than {MOST_REDIRECTS} redirects", resource.url)).into())
    }

    fn send(&self, url: &str, rest: Option<Rest<'_>>, with_token: bool) -> Result<Response<ureq::Body>, Fault> {
        let mut request = self.agent.get(url);
        if let Some(token) = self.token.as_ref().filter(|_| with_token) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(rest) = rest {
            request = request.header(header::RANGE, format!("bytes={}-", rest.start));
            if let Some(etag) = rest.etag {
                request = request.header(header::IF_RANGE, etag);
            }
        }
        request.call().map_err(|error| transport_fault(url, &error))
    }

    fn accept(&self, response: Response<ureq::Body>, mut facts: Facts, asked: Asked<'_>) -> Result<Reply, Fault> {
        let status = response.status();
        if !matches!(status.as_u16(), 200 | 206 | 416) {
            return Err(self.status_fault(status, response.headers(), asked));
        }
        let headers = response.headers();
        if status != StatusCode::RANGE_NOT_SATISFIABLE {
            expect_file(headers, &asked.resource.url)?;
        }
        facts.etag = text(headers, header::ETAG.as_str()).filter(|tag| tag.starts_with('"')).map(str::to_string);
        let range = text(headers, header::CONTENT_RANGE.as_str()).and_then(content_range);
        let length = text(headers, header::CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
        let chunked = headers.contains_key(header::TRANSFER_ENCODING);
        let size = if status == StatusCode::OK { length } else { range.and_then(|range| range.total) };
        if let (Some(size), Some(linked)) = (size, facts.size)
            && size != linked
            && status != StatusCode::RANGE_NOT_SATISFIABLE
        {
            return Err(Fault::retry(format!("the hub announces {linked} bytes, the answer has {size}")));
        }
        facts.size = facts.size.or(size);
        if status == StatusCode::OK && facts.size.is_none() && !chunked {
            return Err(unavailable(format!("{}: the answer does not say how large the file is", asked.resource.url)).into());
        }
        Ok(Reply { status: status.as_u16(), facts, range, body: Box::new(response.into_body().into_reader()) })
    }

    /// What a status other than success means.
    fn status_fault(&self, status: StatusCode, headers: &HeaderMap, asked: Asked<'_>) -> Fault {
        let Asked { resource, at_hub } = asked;
        let url = &resource.url;
        match status.as_u16() {
            401 | 403 if at_hub => self.refused(status, headers, resource),
            // The link that the hub gave has run out: it gives a new one.
            401 | 403 => Fault::retry(format!("the host of the file answered {status}")),
            404 | 410 => {
                let help = "get the checkpoint elsewhere and give its path, or name another hub in MASKLINE_HUB";
                unavailable(format!("the hub has no such file ({status})")).at_place(url).with_help(help).into()
            }
            408 | 429 | 500..=599 => {
                let wait = text(headers, header::RETRY_AFTER.as_str()).and_then(|seconds| seconds.trim().parse().ok());
                let wait = wait.map(Duration::from_secs);
                match wait.filter(|wait| *wait > self.longest_wait) {
                    Some(wait) => {
                        let message = format!("the hub answered {status} and asks to come back in {} s", wait.as_secs());
                        unavailable(message).at_place(url).into()
                    }
                    None => Fault::Retry { reason: format!("the answer was {status}"), wait },
                }
            }
            _ => unavailable("").expecting("the file").but_found(format!("the answer {status}")).at_place(url).into(),
        }
    }

    /// A gate, a wrong token, or a repository that one must be allowed to see.
    fn refused(&self, status: StatusCode, headers: &HeaderMap, resource: &Resource) -> Fault {
        let gated = resource.gated || text(headers, "x-error-code") == Some("GatedRepo");
        let page = &resource.page;
        let what = if gated {
            format!("the model is gated: its licence must be accepted ({status})")
        } else {
            format!("the hub refused ({status})")
        };
        let help = match (&self.token, gated) {
            (None, true) => format!("accept the licence at {page}, then set HF_TOKEN to an access token of your account"),
            (Some(_), true) => format!("HF_TOKEN is set, but its account has no access yet: accept the licence at {page}"),
            (None, false) => format!("see {page}; if the repository is not public, set HF_TOKEN to an access token"),
            (Some(_), false) => format!("see {page}; HF_TOKEN is set, but it may be wrong or expired"),
        };
        let unsafe_hub = !may_carry_token(&self.origin);
        let note = if unsafe_hub { "\n  note: a token is never sent to a hub without https" } else { "" };
        unavailable(what).at_place(&resource.url).with_help(format!("{help}{note}")).into()
    }
}

/// Login pages and error pages come with status 200 too.
fn expect_file(headers: &HeaderMap, url: &str) -> Result<(), Fault> {
    let kind = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if kind.starts_with("text/html") {
        let error = unavailable("").expecting("a file").but_found("a web page").at_place(url);
        return Err(error.with_help("does the network want a login first?").into());
    }
    match text(headers, header::CONTENT_ENCODING.as_str()) {
        None | Some("identity") => Ok(()),
        Some(encoding) => {
            let found = format!("it encoded as {encoding}");
            Err(unavailable("").expecting("the file as it is").but_found(found).at_place(url).into())
        }
    }
}

fn transport_fault(url: &str, error: &ureq::Error) -> Fault {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::InvalidProxyUrl => {
            unavailable(error.to_string()).at_place(url).into()
        }
        // What the other side says is no TLS, or its certificate is not accepted: the same the next time.
        ureq::Error::Io(error) if error.kind() == IoKind::InvalidData => unavailable(format!("no secure connection: {error}"))
            .at_place(url)
            .with_help("is the address right, and does something stand between?")
            .into(),
        ureq::Error::Io(error) => Fault::retry(error.to_string()),
        _ => Fault::retry(error.to_string()),
    }
}

/// What the hub itself says of a file; the first answer that says it counts.
fn note_linked(facts: &mut Facts, headers: &HeaderMap) {
    let tag = text(headers, "x-linked-etag").map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_ascii_lowercase());
    facts.linked = facts.linked.take().or(tag);
    facts.size = facts.size.or_else(|| text(headers, "x-linked-size").and_then(|size| size.parse().ok()));
    // It becomes a part of addresses: only what can be a commit is taken.
    let commit = text(headers, "x-repo-commit").filter(|commit| commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()));
    facts.commit = facts.commit.take().or_else(|| commit.map(str::to_string));
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn content_range(text: &str) -> Option<ContentRange> {
    let (bounds, total) = text.strip_prefix("bytes")?.trim_start().split_once('/')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    let (start, end) = bounds.split_once('-')?;
    let range = ContentRange { start: start.parse().ok()?, end: end.parse().ok()?, total };
    (range.start <= range.end && range.total.is_none_or(|total| range.end < total)).then_some(range)
}

/// Scheme, host and port of an address.
pub(crate) fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    url[start..].find(['/', '?', '#']).map_or(url, |length| &url[..start + length])
}

/// A token goes over an encrypted connection, or stays on this machine.
fn may_carry_token(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").map(|rest| rest.rsplit_once(':').map_or(rest, |(host, _)| host));
    origin.starts_with("https://") || host.is_some_and(|host| ["127.0.0.1", "localhost", "[::1]"].contains(&host))
}

/// Where a redirect leads.
fn redirected(from: &str, location: Option<&str>) -> Result<String, Fault> {
    let location = location.ok_or_else(|| Fault::retry(format!("{from}: a redirect without an address")))?;
    let scheme = if from.starts_with("https://") { "https:" } else { "http:" };
    let to = if location.contains("://") && !location.starts_with('/') {
        location.to_string()
    } else if location.starts_with("//") {
        format!("{scheme}{location}")
    } else if location.starts_with('/') {
        format!("{}{location}", origin(from))
    } else {
        let path = from.split(['?', '#']).next().unwrap_or(from);
        format!("{}/{location}", path.rsplit_once('/').map_or(path, |(folder, _)| folder))
    };
    let allowed = to.starts_with("https://") || (scheme == "http:" && to.starts_with("http://"));
    if allowed { Ok(to) } else { Err(unavailable(format!("{from}: a redirect to {to}, which is not https")).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some(ContentRange { start: 5, end: 9, total: Some(10) }));
        assert_eq!(content_range("bytes 0-0/*"), Some(ContentRange { start: 0, end: 0, total: None }));
        for bad in ["bytes 9-5/10", "bytes 5-10/10", "bytes */10", "items 0-1/2", "bytes 1/2", "", "bytes -1-2/3", "bytes 0-1/x"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn redirects_of_every_form() {
        let from = "https://hub.example/owner/name/resolve/main/file?x=/y";
        let to = |location| redirected(from, Some(location)).map_err(|_| ());
        assert_eq!(to("https://cdn.example/a"), Ok("https://cdn.example/a".into()));
        assert_eq!(to("/api/b?c=https://d"), Ok("https://hub.example/api/b?c=https://d".into()));
        assert_eq!(to("//cdn.example/a"), Ok("https://cdn.example/a".into()));
        assert_eq!(to("other"), Ok("https://hub.example/owner/name/resolve/main/other".into()));
        assert_eq!(to("http://hub.example/a"), Err(()), "never from https to http");
        assert_eq!(to("ftp://hub.example/a"), Err(()));
        assert!(redirected(from, None).is_err());
    }

    #[test]
    fn tokens_travel_only_where_nobody_listens() {
        for (base, may) in [
            ("https://hub.example", true),
            ("http://127.0.0.1:80", true),
            ("http://localhost", true),
            ("http://[::1]:8080", true),
            ("http://hub.example", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(may_carry_token(base), may, "{base}");
        }
        assert_eq!(origin("https://hub.example:8080/a/b"), "https://hub.example:8080");
        assert_eq!(origin("https://hub.example"), "https://hub.example");
    }

    #[test]
    fn only_a_sha256_is_taken_for_one() {
        let facts = |tag: &str| Facts { linked: Some(tag.into()), ..Facts::default() };
        assert!(facts(&"a1".repeat(32)).sha256().is_some());
        assert!(facts(&"a1".repeat(20)).sha256().is_none());
        assert!(facts(&"zz".repeat(32)).sha256().is_none());
    }
}
