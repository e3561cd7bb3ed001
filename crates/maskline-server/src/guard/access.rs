//! Who may ask.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maskline::{Error, ErrorKind, Result};

use super::{FetchRules, Tls, host};
use crate::options::ServerOptions;

/// The other header that a key may come in.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
/// And the one that X-AnyLabeling sends it in.
const TOKEN: HeaderName = HeaderName::from_static("token");
/// The environment variable that a key may come from.
const VARIABLE: &str = "MASKLINE_API_KEY";
/// A key of fewer characters could be guessed.
const SHORTEST_KEY: usize = 16;

/// A key that callers show, known by its hash alone, so that comparing takes the same time for every guess, and nothing that is logged has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(blake3::Hash);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// Of what callers send.
    ///
    /// # Errors
    /// `InvalidOption` for fewer than 16 characters, and for characters that no header carries.
    pub fn new(secret: &str) -> Result<Self> {
        let invalid = |expected: String, found: String| {
            let help = "make one with: openssl rand -hex 32";
            Err(Error::new(ErrorKind::InvalidOption, "API key").expecting(expected).but_found(found).with_help(help))
        };
        if secret.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return invalid("letters, digits and signs of ASCII".into(), "others, or a space".into());
        }
        if secret.len() < SHORTEST_KEY {
            return invalid(format!("at least {SHORTEST_KEY} characters"), secret.len().to_string());
        }
        Ok(Self::hashed(secret.as_bytes()))
    }

    /// The keys of a file: one a line; empty lines, and those that begin with `#`, are none. Warns where everybody on the machine may read it.
    ///
    /// # Errors
    /// As [`Error::io`]; `InvalidOption` as [`Key::new`], with the file and the line, and for a file without keys.
    pub fn from_file(path: &Path) -> Result<Vec<Self>> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
        if std::fs::metadata(path).is_ok_and(|metadata| is_readable_by_others(&metadata)) {
            tracing::warn!(file = %path.display(), "everybody on this machine may read the API keys: chmod o-r");
        }
        let lines = text.lines().map(str::trim).enumerate();
        let secrets = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let key = |(at, line)| Self::new(line).map_err(|error| error.at_place(format!("{}:{}", path.display(), at + 1)));
        let keys = secrets.map(key).collect::<Result<Vec<Self>>>()?;
        if keys.is_empty() {
            return Err(Error::new(ErrorKind::InvalidOption, "API keys").expecting("one a line").but_found("none").at(path));
        }
        Ok(keys)
    }

    /// The key in the environment, `MASKLINE_API_KEY`; `None` where it is not set.
    ///
    /// # Errors
    /// `InvalidOption` as [`Key::new`].
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(secret) = std::env::var_os(VARIABLE) else { return Ok(None) };
        Self::new(secret.to_string_lossy().trim()).map(Some).map_err(|error| error.at_place(VARIABLE))
    }

    /// Of whatever a caller shows.
    fn hashed(secret: &[u8]) -> Self {
        Self(blake3::hash(secret))
    }
}

/// Whether everybody on this machine may read a file; where that cannot be told, nobody.
#[cfg(unix)]
pub(crate) fn is_readable_by_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
pub(crate) fn is_readable_by_others(_: &std::fs::Metadata) -> bool {
    false
}

/// Who may ask.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Keys of which every request must show one (`Authorization: Bearer …`, `X-Api-Key`, `Token`, or the password of `Basic`); none where
    /// everybody may ask. Whether the server lives and is ready is told without.
    pub keys: Vec<Key>,
    /// How connections are encrypted; `None` for not at all.
    pub tls: Option<Tls>,
    /// Names by which the server may be called beside its addresses, `localhost` and the machine's name (the `Host` header):
    /// `masks.example.org`, `*.example.org` for all below a name, `*` for any.
    pub hosts: Vec<String>,
    /// Pages that may ask from a browser (CORS), as `https://example.org`; `*` for any.
    pub origins: Vec<String>,
    /// Whether other machines may ask without a key.
    pub is_open: bool,
    /// Whether the metrics are told without a key.
    pub has_open_metrics: bool,
}

impl Access {
    /// Refuses what would let other machines ask unasked, and names and origins that no request could have. Warns where keys travel unencrypted.
    ///
    /// # Errors
    /// `InvalidOption`.
    pub(crate) fn check(&self, options: &ServerOptions) -> Result<()> {
        self.hosts.iter().try_for_each(|pattern| host::check_pattern(pattern))?;
        self.origins.iter().try_for_each(|origin| super::cors::check_origin(origin))?;
        options.fetch.as_ref().map_or(Ok(()), FetchRules::check_hosts)?;
        let addresses = [("HTTP", Some(options.http)), ("gRPC", options.grpc)];
        for (what, address) in addresses {
            let Some(address) = address.filter(|address| !is_loopback(address)) else { continue };
            if self.keys.is_empty() && !self.is_open {
                let error = Error::new(ErrorKind::InvalidOption, format!("{what} on {address}"));
                let help =
                    "other machines reach this address: give keys with --api-key-file, or --open if everybody on the network is meant";
                return Err(error
                    .expecting("an address of this machine alone (127.0.0.1, [::1]), or keys")
                    .but_found("no key")
                    .with_help(help));
            }
            if self.tls.is_none() && !self.keys.is_empty() {
                tracing::warn!(%address, "keys and pictures travel unencrypted over {what}: give a certificate, or stand behind what encrypts");
            }
        }
        Ok(())
    }

    /// Whether a request may pass: it shows a key, or none is needed.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        self.keys.is_empty() || shown(headers).any(|shown| self.has(&shown))
    }

    /// All keys are compared, so that the time does not tell which one was nearly met.
    fn has(&self, shown: &[u8]) -> bool {
        let shown = Key::hashed(shown);
        self.keys.iter().fold(false, |is, key| is | (*key == shown))
    }
}

/// What a request shows as its key; of a name and a password (`Basic`, for clients that have no other way) the password.
fn shown(headers: &HeaderMap) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let after = |value: &'_ HeaderValue, scheme: &str| {
        let (named, rest) = value.as_bytes().split_at_checked(scheme.len())?;
        named.eq_ignore_ascii_case(scheme.as_bytes()).then(|| rest.trim_ascii().to_vec())
    };
    let authorizations = headers.get_all(header::AUTHORIZATION).iter().filter_map(move |value| {
        let password = |encoded: Vec<u8>| {
            let named = BASE64_STANDARD.decode(encoded).ok()?;
            named.iter().position(|byte| *byte == b':').map(|at| named[at + 1..].to_vec())
        };
        after(value, "Bearer ").or_else(|| after(value, "Basic ").and_then(password)).map(Cow::Owned)
    });
    let others = headers.get_all(KEY_HEADER).iter().chain(headers.get_all(TOKEN));
    authorizations.chain(others.map(|value| Cow::Borrowed(value.as_bytes().trim_ascii())))
}

/// Whether only this machine reaches an address.
fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn access() -> Access {
        Access { keys: vec![Key::new("another-key-of-its-own").expect("a key"), Key::new(SECRET).expect("a key")], ..Access::default() }
    }

    fn headers(name: &str, value: &str) -> HeaderMap {
        let (name, value) = (HeaderName::try_from(name).expect("a name"), value.parse().expect("a value"));
        HeaderMap::from_iter([(name, value)])
    }

    #[test]
    fn a_key_is_shown_in_one_of_the_headers_and_nothing_else_will_do() {
        let access = access();
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        for (name, value) in [
            ("authorization", format!("Bearer {SECRET}")),
            ("authorization", format!("bearer   {SECRET} ")),
            ("authorization", basic(&format!("maskline:{SECRET}"))),
            ("authorization", basic(&format!(":{SECRET}")).replace("Basic", "basic")),
            ("x-api-key", SECRET.into()),
            ("token", SECRET.into()),
        ] {
            assert!(access.admits(&headers(name, &value)), "{name}: {value}");
        }
        for (name, value) in [
            ("authorization", SECRET.to_owned()),
            ("authorization", format!("Basic {SECRET}")),
            ("authorization", basic(SECRET)),
            ("authorization", basic(&format!("{SECRET}:"))),
            ("authorization", basic(&format!("maskline:{SECRET}:"))),
            ("authorization", "Basic ".into()),
            ("authorization", format!("Bearer {SECRET}0")),
            ("authorization", format!("Bearer {}", &SECRET[1..])),
            ("authorization", "Bearer ".into()),
            ("authorization", "Bearer".into()),
            ("x-api-key", format!("Bearer {SECRET}")),
            ("x-api-key", String::new()),
            ("x-key", SECRET.into()),
        ] {
            assert!(!access.admits(&headers(name, &value)), "{name}: {value}");
        }
        assert!(!access.admits(&HeaderMap::new()));
        assert!(Access::default().admits(&HeaderMap::new()), "where there are no keys, none is needed");
    }

    #[test]
    fn nothing_that_is_logged_has_a_key_or_its_hash() {
        let told = format!("{:?}", access());
        let hash = blake3::hash(SECRET.as_bytes()).to_hex();
        assert!(!told.contains(SECRET) && !told.contains(hash.as_str()) && told.contains("Key(…)"), "{told}");
    }

    #[test]
    fn keys_come_from_a_file_line_by_line_and_an_error_names_the_line_but_not_the_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            Key::from_file(&path)
        };
        let keys = read(&format!("# of the lab\n\n  {SECRET}  \r\nanother-key-of-its-own\n")).expect("keys");
        assert_eq!(keys, [Key::new(SECRET).expect("a key"), Key::new("another-key-of-its-own").expect("a key")]);
        for (text, found) in [(format!("{SECRET}\nshort\n"), "5"), (format!("{SECRET}\nhas a space in its middle"), "others, or a space")] {
            let error = read(&text).expect_err("refused");
            assert_eq!((error.kind(), error.found()), (ErrorKind::InvalidOption, Some(found)));
            assert!(error.place().is_some_and(|place| place.ends_with("keys:2")), "{error}");
            assert!(!error.to_string().contains("short") && !error.to_string().contains("middle"), "{error}");
        }
        assert_eq!(read("# nothing\n").expect_err("refused").kind(), ErrorKind::InvalidOption);
        let missing = Key::from_file(&folder.path().join("none")).expect_err("refused");
        assert_eq!(missing.kind(), ErrorKind::BadInput);
        assert!(missing.place().is_some_and(|place| place.ends_with("none")), "{missing}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_everybody_may_read_is_seen() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (mode, is) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).expect("a mode");
            assert_eq!(is_readable_by_others(&std::fs::metadata(file.path()).expect("metadata")), is, "{mode:o}");
        }
    }

    #[test]
    fn an_address_that_others_reach_needs_a_key_or_a_word() {
        let options = |http: &str, grpc: &str| ServerOptions {
            http: http.parse().expect("an address"),
            grpc: Some(grpc.parse().expect("an address")),
            ..ServerOptions::default()
        };
        let near = "127.0.0.1:0";
        for (http, grpc) in [(near, "127.9.9.9:1"), ("[::1]:8000", near), ("[::ffff:127.0.0.1]:8000", near)] {
            Access::default().check(&options(http, grpc)).expect("this machine alone");
        }
        for (http, grpc) in [("0.0.0.0:8000", near), (near, "[::]:8001"), ("192.168.1.2:8000", near), ("[::ffff:10.0.0.1]:8000", near)] {
            let options = options(http, grpc);
            let error = Access::default().check(&options).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::InvalidOption, "{http} {grpc}");
            assert!(error.help().is_some_and(|help| help.contains("--api-key-file") && help.contains("--open")), "{error}");
            access().check(&options).expect("with a key");
            Access { is_open: true, ..Access::default() }.check(&options).expect("with a word");
        }
    }

    #[test]
    fn hosts_that_no_picture_could_come_from_are_refused_at_the_start() {
        let check = |host: &str| {
            let fetch = FetchRules { hosts: vec![host.into()], ..FetchRules::default() };
            Access::default().check(&ServerOptions { fetch: Some(fetch), ..ServerOptions::default() })
        };
        for host in ["example.org", "*.example.org", "*", "8.8.8.8", "[2606:4700::1111]", "2606:4700::1111"] {
            check(host).expect(host);
        }
        for host in ["https://example.org", "example.org:443", "example.org/pictures", "*.8.8.8.8"] {
            assert_eq!(check(host).expect_err(host).kind(), ErrorKind::InvalidOption);
        }
    }

    #[test]
    fn names_and_origins_that_no_request_could_have_are_refused_at_the_start() {
        let check = |hosts: &[&str], origins: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            Access { hosts: owned(hosts), origins: owned(origins), ..Access::default() }.check(&ServerOptions::default())
        };
        check(&["a.example.org", "*.example.org", "*"], &["https://example.org", "http://localhost:3000", "*"]).expect("fine");
        for host in ["", "https://example.org", "example.org:80", "exa*mple.org", "*example.org", "a b"] {
            assert_eq!(check(&[host], &[]).expect_err(host).kind(), ErrorKind::InvalidOption);
        }
        for origin in ["", "example.org", "https://example.org/", "https://example.org/page", "https://", "https://a@b", "null"] {
            assert_eq!(check(&[], &[origin]).expect_err(origin).kind(), ErrorKind::InvalidOption);
        }
    }
}
