//! A folder for models, and a hub client that loses no time.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::path::PathBuf;
use std::time::Duration;

use maskline::{Error, ErrorKind};
use maskline_hub::{Hub, HubOptions, RetryOptions};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::server::{Answer, Request, Server};

/// A model of one file, and one of two.
pub const ONE: &str = "mobile-sam";
pub const TWO: &str = "sam2.1-tiny";
pub const PATH: &str = "/dhkim2810/MobileSAM/resolve/main/mobile_sam.pt";

/// A file of 3 MB, larger than all buffers.
pub fn content() -> Vec<u8> {
    (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub struct Place {
    pub folder: TempDir,
    pub options: HubOptions,
}

impl Place {
    pub fn new(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let retry = RetryOptions {
            attempts: 4,
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_secs(2),
            stall: Duration::from_secs(5),
        };
        let options = HubOptions { base: server.base.clone(), folder: folder.path().join("models"), retry, ..HubOptions::default() };
        Self { folder, options }
    }

    /// A new hub each time, as in a new process.
    pub fn hub(&self) -> Hub {
        Hub::new(self.options.clone()).unwrap()
    }

    /// Pulls and gives the checkpoint's bytes.
    pub fn pull(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.hub().pull(name, |_| {}).map(|pulled| std::fs::read(pulled.path).unwrap())
    }

    pub fn fails(&self, name: &str, words: &[&str]) {
        let error = self.pull(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
        }
        assert_eq!(self.hub().locate(name), None, "nothing bad is ever in its place");
    }

    pub fn target(&self) -> PathBuf {
        self.options.folder.join(ONE).join("mobile-sam.pt")
    }

    pub fn partial(&self) -> PathBuf {
        self.target().with_file_name("mobile-sam.pt.partial")
    }

    /// Nothing but the model and its record.
    pub fn assert_tidy(&self) {
        let mut names: Vec<String> = std::fs::read_dir(self.options.folder.join(ONE))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["mobile-sam.pt", "pulled.json"]);
    }
}

/// A file with the headers of the hub's own answers.
pub fn tagged(answer: Answer, body: &[u8]) -> Answer {
    answer.with("ETag", "\"tag\"").with("X-Linked-Etag", format!("\"{}\"", sha256(body))).with("X-Linked-Size", body.len())
}

pub fn starts(server: &Server) -> Vec<Option<usize>> {
    server.requests().iter().map(Request::start).collect()
}
