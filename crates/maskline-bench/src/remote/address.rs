//! Where a server is, and the key that it wants.

use std::str::FromStr;

use maskline::{Error, ErrorKind, Result};
use ureq::http::Uri;

/// Address of a server: `http://` or `https://`, a host, a port, and perhaps a path before that of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    url: String,
    /// Host and port.
    pub(super) authority: String,
}

impl Address {
    /// As it was given, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let error = Error::new(ErrorKind::InvalidOption, "url").expecting("http:// or https://, a host and a port").but_found(text);
            error.with_help("for example http://127.0.0.1:8000")
        };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let is_plain = matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none() && !authority.as_str().contains('@');
        if !is_plain || authority.host().is_empty() {
            return Err(wrong());
        }
        Ok(Self { url: text.trim_end_matches('/').to_owned(), authority: authority.to_string() })
    }
}

/// Key of a server's interface. It is never printed.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    /// The key as it is sent, behind `Bearer`.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_keys_are_not_printed() {
        let address: Address = "http://127.0.0.1:8000/".parse().expect("an address");
        assert_eq!((address.url(), address.authority.as_str()), ("http://127.0.0.1:8000", "127.0.0.1:8000"));
        assert_eq!("https://a.example/models/".parse::<Address>().expect("an address").url(), "https://a.example/models");
        for wrong in ["127.0.0.1:8000", "ftp://a:1", "http://", "http://user:word@a:1", "http://a:1/?b=c", "", "http://a b"] {
            let error = wrong.parse::<Address>().expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::InvalidOption, "{wrong}");
            assert!(error.to_string().contains("http://127.0.0.1:8000"), "{error}");
        }
        assert!(!format!("{:?}", Key::new("secret")).contains("secret"));
    }
}
