//! Which hub, and how patiently it is asked.

use std::path::PathBuf;
use std::time::Duration;

use maskline::runtime::home_dir;
use maskline::{Error, ErrorKind, Result};

/// Address of the hub that is asked where none is named.
pub const DEFAULT_HUB: &str = "https://huggingface.co";

/// Options of a [`Hub`](crate::Hub).
#[derive(Clone)]
pub struct HubOptions {
    /// Address of the hub: `https://host` or `http://host:port`, perhaps with a path.
    pub base: String,
    /// Access token for gated models. It is sent to the hub alone, never to a host that the hub redirects to.
    pub token: Option<String>,
    /// Never use the network.
    pub offline: bool,
    /// Folder that holds the models.
    pub folder: PathBuf,
    /// What is done when the network fails.
    pub retry: RetryOptions,
}

/// What is done when the network fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// How often in a row a request may fail without getting further.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each further one.
    pub first_wait: Duration,
    /// Longest pause, also of those that the hub asks for.
    pub longest_wait: Duration,
    /// A connection that gives nothing for so long is given up.
    pub stall: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self { attempts: 6, first_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(60), stall: Duration::from_secs(30) }
    }
}

impl Default for HubOptions {
    /// The public hub without a token, and the user's folder. Only `MASKLINE_HOME` is read.
    fn default() -> Self {
        Self { base: DEFAULT_HUB.into(), token: None, offline: false, folder: home_dir().join("models"), retry: RetryOptions::default() }
    }
}

impl HubOptions {
    /// The default with what the environment says:
    /// - `MASKLINE_HUB`, else `HF_ENDPOINT`: address of the hub
    /// - `HF_TOKEN`: access token
    /// - `MASKLINE_OFFLINE`: never use the network, when set to anything but `0` or nothing
    pub fn from_env() -> Self {
        let variable = |name: &str| std::env::var(name).ok().map(|value| value.trim().to_string()).filter(|value| !value.is_empty());
        Self {
            base: variable("MASKLINE_HUB").or_else(|| variable("HF_ENDPOINT")).unwrap_or_else(|| DEFAULT_HUB.into()),
            token: variable("HF_TOKEN"),
            offline: variable("MASKLINE_OFFLINE").is_some_and(|value| value != "0"),
            ..Self::default()
        }
    }

    /// Refuses what can be no hub, and takes slashes off the end of its address.
    pub(crate) fn checked(mut self) -> Result<Self> {
        self.base.truncate(self.base.trim_end_matches('/').len());
        let invalid = |expected: &str| Error::new(ErrorKind::InvalidOption, "").expecting(expected);
        let host = self.base.strip_prefix("https://").or_else(|| self.base.strip_prefix("http://")).unwrap_or_default();
        if host.is_empty() || self.base.contains(char::is_whitespace) || self.base.contains(['?', '#']) {
            let error = invalid(&format!("the address of a hub such as {DEFAULT_HUB}")).but_found(format!("`{}`", self.base));
            return Err(error.at_place("MASKLINE_HUB or HF_ENDPOINT"));
        }
        // The value is a secret: it is not repeated.
        if self.token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(invalid("printable characters without spaces").at_place("HF_TOKEN"));
        }
        Ok(self)
    }
}

impl std::fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubOptions")
            .field("base", &self.base)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .field("folder", &self.folder)
            .field("retry", &self.retry)
            .finish()
    }
}
