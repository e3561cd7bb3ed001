//! Encrypted connections, with a certificate that may be renewed while the server runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use maskline::{Error, ErrorKind, Result};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};

/// The files are looked at no oftener.
const PACE: Duration = Duration::from_secs(1);
/// No certificate or key is larger.
const LARGEST_FILE: u64 = 1 << 20;
/// Protocols offered in the handshake, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate and its key, as PEM files. They may be replaced while the server runs: new connections get the new ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, and those that it stands on.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Tls {
    /// What encrypts connections.
    ///
    /// # Errors
    /// As [`Error::io`]; `BadInput` for files that are no certificate and its key, with what each of them is.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor> {
        self.acceptor_at(PACE)
    }

    fn acceptor_at(&self, pace: Duration) -> Result<TlsAcceptor> {
        let provider = Arc::new(ring::default_provider());
        let certificate = Certificate::open(self.clone(), pace)?;
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Error::new(ErrorKind::Failed, format!("TLS: {error}")))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(certificate));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey> {
        let chain = self.chain()?;
        let key = self.private_key()?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => bad(&self.key)
                .expecting(format!("the private key of the first certificate in {}", self.certificate.display()))
                .but_found("another key")
                .with_help("a chain begins with the server's own certificate; those that it stands on follow"),
            error => bad(&self.key).expecting("the private key of a certificate").but_found(error),
        })
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        let path = &self.certificate;
        let text = read_pem(path)?;
        let expected = "a certificate chain (PEM, `BEGIN CERTIFICATE`)";
        let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, pem::Error>>();
        let chain = chain.map_err(|error| bad(path).expecting(expected).but_found(error))?;
        if !chain.is_empty() {
            return Ok(chain);
        }
        let error = bad(path).expecting(expected);
        Err(match has_section(&text, "PRIVATE KEY") {
            true => error.but_found("a private key").with_help("are the files of the certificate and the key swapped?"),
            false => error.but_found("no certificate"),
        })
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>> {
        let path = &self.key;
        let text = read_pem(path)?;
        let error = bad(path).expecting("a private key (PEM, `BEGIN PRIVATE KEY`)");
        if has_section(&text, "ENCRYPTED PRIVATE KEY")
            || has_line(&text, |line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
        {
            let help = "the server asks for no password; write the key without one: openssl pkey -in KEY -out NEW";
            return Err(error.but_found("an encrypted one").with_help(help));
        }
        match PrivateKeyDer::from_pem_slice(&text) {
            Ok(key) => Ok(key),
            Err(pem::Error::NoItemsFound) if has_section(&text, "CERTIFICATE") => {
                Err(error.but_found("a certificate").with_help("are the files of the certificate and the key swapped?"))
            }
            Err(pem::Error::NoItemsFound) => Err(error.but_found("none")),
            Err(other) => Err(error.but_found(other)),
        }
    }

    /// When both files were written, and how long they are.
    fn stamp(&self) -> std::io::Result<[Stamp; 2]> {
        Ok([Stamp::of(&self.certificate)?, Stamp::of(&self.key)?])
    }
}

fn bad(path: &Path) -> Error {
    Error::new(ErrorKind::BadInput, "TLS").at(path)
}

fn read_pem(path: &Path) -> Result<Vec<u8>> {
    let length = std::fs::metadata(path).map_err(|error| Error::io(path, error))?.len();
    if length > LARGEST_FILE {
        return Err(bad(path).expecting(format!("a PEM file of at most {LARGEST_FILE} bytes")).but_found(length));
    }
    std::fs::read(path).map_err(|error| Error::io(path, error))
}

fn has_line(text: &[u8], is: impl Fn(&str) -> bool) -> bool {
    String::from_utf8_lossy(text).lines().any(is)
}

fn has_section(text: &[u8], label: &str) -> bool {
    has_line(text, |line| {
        line.trim().strip_prefix("-----BEGIN ").and_then(|line| line.strip_suffix("-----")).is_some_and(|line| line.ends_with(label))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    written: SystemTime,
    length: u64,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self { written: metadata.modified()?, length: metadata.len() })
    }
}

/// The certificate that new connections get: that of the files, or the last one that could be read.
#[derive(Debug)]
struct Certificate {
    files: Tls,
    provider: CryptoProvider,
    pace: Duration,
    now: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    certified: Arc<CertifiedKey>,
    stamp: Option<[Stamp; 2]>,
    looked: Instant,
}

impl Certificate {
    fn open(files: Tls, pace: Duration) -> Result<Self> {
        let provider = ring::default_provider();
        // The stamp is older than what is read after it: a file that changes between the two is read once more.
        let stamp = files.stamp().ok();
        let certified = Arc::new(files.read(&provider)?);
        let now = Mutex::new(Current { certified, stamp, looked: Instant::now() });
        Ok(Self { files, provider, pace, now })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.looked.elapsed() < self.pace {
            return Arc::clone(&now.certified);
        }
        now.looked = Instant::now();
        let stamp = self.files.stamp().ok();
        if stamp != now.stamp {
            // Told once for each change, not with every look.
            now.stamp = stamp;
            match self.files.read(&self.provider) {
                Ok(certified) => {
                    now.certified = Arc::new(certified);
                    tracing::info!(file = %self.files.certificate.display(), "the new certificate is in use");
                }
                Err(error) => tracing::error!(%error, "the new certificate cannot be used; the old one stays"),
            }
        }
        Arc::clone(&now.certified)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey as Made, KeyPair, generate_simple_self_signed};
    use tempfile::TempDir;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    use super::*;

    fn made() -> Made<KeyPair> {
        generate_simple_self_signed(["masks.example.org".to_owned()]).expect("a certificate")
    }

    struct Files {
        _folder: TempDir,
        tls: Tls,
    }

    impl Files {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let tls = Tls { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
            Self { _folder: folder, tls }
        }

        fn of(made: &Made<KeyPair>) -> Self {
            let files = Self::new();
            files.write(&made.cert.pem(), &made.signing_key.serialize_pem());
            files
        }

        fn write(&self, certificate: &str, key: &str) {
            std::fs::write(&self.tls.certificate, certificate).expect("written");
            std::fs::write(&self.tls.key, key).expect("written");
        }
    }

    /// What a client that trusts one certificate comes to: the chosen protocol, if the server has that certificate.
    async fn shake(acceptor: &TlsAcceptor, trusted: &Made<KeyPair>) -> std::io::Result<Option<Vec<u8>>> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.cert.der().clone()).expect("a root");
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        let (near, far) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from("masks.example.org").expect("a name");
        let (client, _server) = tokio::join!(TlsConnector::from(Arc::new(config)).connect(name, near), acceptor.accept(far));
        Ok(client?.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    }

    #[tokio::test]
    async fn a_client_that_trusts_the_certificate_is_let_in_and_http_2_is_preferred() {
        let (own, other) = (made(), made());
        let acceptor = Files::of(&own).tls.acceptor().expect("an acceptor");
        assert_eq!(shake(&acceptor, &own).await.expect("encrypted"), Some(b"h2".to_vec()));
        assert!(shake(&acceptor, &other).await.is_err());
    }

    #[tokio::test]
    async fn a_changed_certificate_is_taken_up_and_a_broken_one_leaves_the_old_in_use() {
        let (first, second, third) = (made(), made(), made());
        let files = Files::of(&first);
        let acceptor = files.tls.acceptor_at(Duration::ZERO).expect("an acceptor");
        assert!(shake(&acceptor, &first).await.is_ok());
        let [second_key, third_key] = [&second, &third].map(|made| made.signing_key.serialize_pem());
        for (certificate, key) in [("broken", second_key.as_str()), (&second.cert.pem(), &third_key), ("", "")] {
            files.write(certificate, key);
            assert!(shake(&acceptor, &first).await.is_ok(), "{certificate}");
        }
        std::fs::remove_file(&files.tls.key).expect("removed");
        assert!(shake(&acceptor, &first).await.is_ok());
        files.write(&second.cert.pem(), &second_key);
        assert!(shake(&acceptor, &second).await.is_ok());
        assert!(shake(&acceptor, &first).await.is_err());
    }

    #[tokio::test]
    async fn the_files_are_not_looked_at_with_every_connection() {
        let (first, second) = (made(), made());
        let files = Files::of(&first);
        let acceptor = files.tls.acceptor_at(Duration::from_secs(3600)).expect("an acceptor");
        files.write(&second.cert.pem(), &second.signing_key.serialize_pem());
        assert!(shake(&acceptor, &first).await.is_ok());
    }

    #[test]
    fn files_that_cannot_be_used_are_named_with_what_is_wrong() {
        let (own, other) = (made(), made());
        let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let cut = certificate.replace("-----END CERTIFICATE-----", "");
        let files = Files::new();
        let cases: [(&str, &str, &str, &str); 9] = [
            (&key, &certificate, "chain.pem", "a private key"),
            (&certificate, &certificate, "key.pem", "a certificate"),
            (&certificate, encrypted, "key.pem", "an encrypted one"),
            (&certificate, old_encrypted, "key.pem", "an encrypted one"),
            (&certificate, &other.signing_key.serialize_pem(), "key.pem", "another key"),
            ("", &key, "chain.pem", "no certificate"),
            ("no PEM at all", &key, "chain.pem", "no certificate"),
            (&certificate, "", "key.pem", "none"),
            (&cut, &key, "chain.pem", "missing section end marker"),
        ];
        for (certificate, key, file, found) in cases {
            files.write(certificate, key);
            let error = files.tls.acceptor().err().expect(found);
            assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
            assert!(error.place().is_some_and(|place| place.ends_with(file)), "{error}");
            assert!(error.found().is_some_and(|told| told.starts_with(found)), "{error}");
        }
        let none = Tls { certificate: files.tls.certificate.with_file_name("none"), ..files.tls.clone() };
        let missing = none.acceptor().err().expect("no file");
        assert!(missing.place().is_some_and(|place| place.ends_with("none")), "{missing}");
    }
}
