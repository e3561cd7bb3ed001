//! By which name the server is called, and which pages may make it do something: against pages that point a name of theirs at this machine
//! (DNS rebinding), and against forms that are sent from elsewhere.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri, header};
use maskline::{Error, ErrorKind};

use super::{Access, cors};
use crate::fault::{Fault, Reason, Result};

/// Names that are always this machine, whoever resolves them.
const OWN_NAME: &str = "localhost";

/// The names that a server goes by.
pub(super) struct Names {
    allowed: Vec<String>,
    machine: String,
}

impl Names {
    pub(super) fn new(access: &Access) -> Self {
        Self { allowed: access.hosts.clone(), machine: gethostname::gethostname().to_string_lossy().into_owned() }
    }

    /// Refuses a request that calls the server by a name that is not its own. One without a name passes: no browser leaves it out, but
    /// simple health checks do.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<()> {
        let in_headers = headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
        let mut called = in_headers.chain(uri.authority().map(Authority::as_str));
        called.find(|called| !self.are(called)).map_or(Ok(()), |called| Err(foreign(called)))
    }

    /// Whether an authority (`name:port`) is one of them.
    fn are(&self, called: &str) -> bool {
        let Ok(authority) = called.parse::<Authority>() else { return false };
        if called.contains('@') {
            return false;
        }
        let name = authority.host();
        is_address(name) || is_same(name, OWN_NAME) || is_same(name, &self.machine) || is_any(&self.allowed, name)
    }
}

fn foreign(called: &str) -> Fault {
    let found = called.escape_debug().take(80).collect::<String>();
    let error = Error::new(ErrorKind::BadInput, "`Host`").expecting("an address, or a name of this server").but_found(format!("`{found}`"));
    Fault::new(Reason::Forbidden, error.with_help("the server is told its further names with --hosts"))
}

/// Refuses a request that changes something and comes from a page of another origin that was not named.
///
/// # Errors
/// `Forbidden`.
pub(super) fn check_origin(access: &Access, request: Asking<'_>) -> Result<()> {
    let Asking { method, uri, headers } = request;
    if method.is_safe() {
        return Ok(());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let called = uri.authority().map(Authority::as_str).or(host);
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let is_own = cors::place(origin).is_some_and(|place| called.is_some_and(|called| place.eq_ignore_ascii_case(called)));
        if !is_own && !cors::is_allowed(&access.origins, origin) {
            let found = origin.escape_debug().take(80).collect::<String>();
            let error = Error::new(ErrorKind::BadInput, "`Origin`").expecting("a page of this server, or one that may ask");
            let help = "the server is told with --origins which pages may ask";
            return Err(Fault::new(Reason::Forbidden, error.but_found(format!("`{found}`")).with_help(help)));
        }
    }
    Ok(())
}

/// The head of a request.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

/// Whether a host is an address as addresses are usually written.
pub(super) fn is_address(host: &str) -> bool {
    address(host).is_some()
}

/// The address that a host is, `[…]` around those of IPv6.
pub(super) fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// Whether a name is meant by one of some patterns: itself, `*.example.org` for all below a name, `*` for any.
pub(super) fn is_any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_prefix('*') {
        Some("") => true,
        Some(end) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            let at = name.len().checked_sub(end.len()).filter(|at| *at > 0);
            at.and_then(|at| name.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
        }
        None => is_same(name, pattern),
    })
}

fn is_same(name: &str, other: &str) -> bool {
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_owned();
    !other.is_empty() && bare(name).eq_ignore_ascii_case(&bare(other))
}

/// Refuses what is no pattern of names.
///
/// # Errors
/// `InvalidOption`.
pub(super) fn check_pattern(pattern: &str) -> maskline::Result<()> {
    let name = pattern.strip_prefix("*.").unwrap_or(pattern);
    let is_name = || name.parse::<Authority>().is_ok_and(|authority| authority.host() == name) && !name.contains(['*', '@']);
    if pattern == "*" || (is_name() && (name == pattern || !is_address(name))) {
        return Ok(());
    }
    let expected = "a name without scheme and port: `example.org`, `*.example.org`, or `*`";
    Err(Error::new(ErrorKind::InvalidOption, "host").expecting(expected).but_found(format!("`{}`", pattern.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(allowed: &[&str]) -> Names {
        Names { allowed: allowed.iter().map(|name| (*name).to_owned()).collect(), machine: "gpubox".into() }
    }

    fn called(name: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, name.parse().expect("a value"))])
    }

    #[test]
    fn addresses_localhost_the_machine_and_what_was_named_are_the_server() {
        let names = names(&["masks.example.org", "*.lab.example"]);
        let path = Uri::from_static("/v1/segment");
        for own in [
            "127.0.0.1:8000",
            "192.168.1.7",
            "[::1]:8000",
            "[fe80::1]",
            "localhost",
            "LOCALHOST:8000",
            "localhost.",
            "gpubox:8000",
            "Masks.Example.org",
            "masks.example.org.:443",
            "a.lab.example",
            "a.b.LAB.example:1",
        ] {
            assert!(names.check(&path, &called(own)).is_ok(), "{own}");
        }
        for foreign in [
            "evil.example:8000",
            "masks.example.org.evil.example",
            "evilmasks.example.org",
            "lab.example",
            ".lab.example",
            "xlab.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "gpubox.evil.example",
            "user@localhost",
            "evil.example@127.0.0.1",
            "",
            "0x7f.1",
            "2130706433",
            "::1",
            "[::1",
            "local host",
        ] {
            let fault = names.check(&path, &called(foreign)).expect_err(foreign);
            assert_eq!(fault.reason, Reason::Forbidden, "{foreign}");
        }
    }

    #[test]
    fn the_name_is_looked_for_wherever_a_request_may_have_it() {
        let names = names(&[]);
        assert!(names.check(&Uri::from_static("/"), &HeaderMap::new()).is_ok(), "a simple health check names no host");
        assert!(names.check(&Uri::from_static("http://evil.example/"), &HeaderMap::new()).is_err(), "`:authority` of HTTP/2");
        assert!(names.check(&Uri::from_static("http://evil.example/"), &called("localhost")).is_err());
        assert!(names.check(&Uri::from_static("http://localhost/"), &called("evil.example")).is_err());
        let mut two = called("localhost");
        two.append(header::HOST, "evil.example".parse().expect("a value"));
        assert!(names.check(&Uri::from_static("/"), &two).is_err());
        assert!(self::names(&["*"]).check(&Uri::from_static("/"), &called("evil.example")).is_ok(), "any name, if so wished");
    }

    #[test]
    fn a_machine_without_a_name_is_not_called_by_none() {
        let nameless = Names { allowed: Vec::new(), machine: String::new() };
        assert!(!nameless.are("") && !nameless.are("."));
    }

    #[test]
    fn only_pages_that_may_ask_change_something() {
        let access = Access { origins: vec!["https://lab.example".into()], ..Access::default() };
        let uri = Uri::from_static("/v1/segment");
        let check = |method: Method, origin: &str| {
            let mut headers = called("localhost:8000");
            headers.insert(header::ORIGIN, origin.parse().expect("a value"));
            check_origin(&access, Asking { method: &method, uri: &uri, headers: &headers })
        };
        for own in ["http://localhost:8000", "https://LOCALHOST:8000", "https://lab.example"] {
            assert!(check(Method::POST, own).is_ok(), "{own}");
        }
        for foreign in [
            "http://localhost:3000",
            "http://localhost",
            "http://lab.example",
            "https://evil.example",
            "null",
            "",
            "https://lab.example:444",
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                assert_eq!(check(method, foreign).expect_err(foreign).reason, Reason::Forbidden);
            }
            assert!(check(Method::GET, foreign).is_ok() && check(Method::OPTIONS, foreign).is_ok(), "{foreign}");
        }
        let without = check_origin(&access, Asking { method: &Method::POST, uri: &uri, headers: &HeaderMap::new() });
        assert!(without.is_ok(), "programs that are no browsers send no origin");
    }
}
