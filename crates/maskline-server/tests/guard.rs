//! A server that would be open to others unasked, or whose certificate cannot be used, is not opened.

use std::net::SocketAddr;
use std::sync::Arc;

use maskline::{Error, ErrorKind, Result};
use maskline_server::{Access, Key, ModelSpec, Parts, Repository, Server, ServerOptions, Tls};

struct NoModels;

impl Repository for NoModels {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn find(&self, name: &str) -> Result<ModelSpec> {
        Err(Error::new(ErrorKind::BadInput, format!("no model `{name}`")))
    }

    fn fetch(&self, name: &str, _: &mut dyn FnMut(String)) -> Result<()> {
        self.find(name).map(drop)
    }
}

async fn open(http: &str, access: Access) -> Result<SocketAddr> {
    let options = ServerOptions { http: http.parse().expect("an address"), grpc: None, access, ..ServerOptions::default() };
    let engine = || Err(Error::new(ErrorKind::Failed, "no engine is needed to open a port"));
    let server = Server::open(options, Parts { engine: Box::new(engine), repository: Arc::new(NoModels) }).await?;
    Ok(server.http().expect("an address"))
}

fn keyed() -> Access {
    Access { keys: vec![Key::new("0123456789abcdef").expect("a key")], ..Access::default() }
}

#[tokio::test]
async fn an_address_of_the_network_is_opened_with_a_key_or_on_a_word_only() {
    let error = open("0.0.0.0:0", Access::default()).await.expect_err("refused");
    assert_eq!((error.kind(), error.found()), (ErrorKind::InvalidOption, Some("no key")));
    assert!(error.help().is_some_and(|help| help.contains("--api-key-file") && help.contains("--open")), "{error}");
    assert!(open("127.0.0.1:0", Access::default()).await.is_ok());
    assert!(open("0.0.0.0:0", keyed()).await.is_ok());
    assert!(open("0.0.0.0:0", Access { is_open: true, ..Access::default() }).await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told_before_the_port_is_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let encrypted = |certificate: &std::path::Path, key: &std::path::Path| {
        let tls = Tls { certificate: certificate.to_owned(), key: key.to_owned() };
        open("127.0.0.1:0", Access { tls: Some(tls), ..keyed() })
    };
    assert!(encrypted(&certificate, &key).await.is_ok());
    let swapped = encrypted(&key, &certificate).await.expect_err("refused");
    assert_eq!((swapped.kind(), swapped.found()), (ErrorKind::BadInput, Some("a private key")));
    assert!(swapped.place().is_some_and(|place| place.ends_with("key.pem")), "{swapped}");
    let missing = encrypted(&certificate, &folder.path().join("none.pem")).await.expect_err("refused");
    assert!(missing.place().is_some_and(|place| place.ends_with("none.pem")), "{missing}");
}
