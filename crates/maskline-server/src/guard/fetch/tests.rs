use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use ureq::tls::{Certificate, RootCerts};

use super::*;

/// Resolves every name to the same addresses; counts how often.
#[derive(Debug, Clone)]
struct Fixed {
    addresses: Vec<IpAddr>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fixed {
    fn to(addresses: &[&str]) -> Self {
        Self { addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(), asked: Arc::default() }
    }
}

impl Resolver for Fixed {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.asked.lock().expect("asked").push(uri.host().unwrap_or_default().to_owned());
        let mut found = self.empty();
        let port = uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
        self.addresses.iter().for_each(|address| found.push(SocketAddr::new(*address, port)));
        Ok(found)
    }
}

/// A server on this machine: what it answers to each path, and the heads that it was sent.
struct Origin {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

/// How one path is answered.
#[derive(Clone)]
enum Reply {
    /// As it stands, then the connection ends.
    Raw(String),
    /// A piece of a body again and again, as long as somebody reads.
    Endless(&'static str),
    /// Nothing.
    Silence,
}

impl Origin {
    fn start(replies: impl IntoIterator<Item = (&'static str, Reply)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let replies: Arc<HashMap<&str, Reply>> = Arc::new(replies.into_iter().collect());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let told = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (replies, told) = (Arc::clone(&replies), Arc::clone(&told));
                std::thread::spawn(move || serve(stream, &replies, &told));
            }
        });
        Self { port, heads }
    }

    fn url(&self, path: &str) -> String {
        format!("http://pictures.example:{}{path}", self.port)
    }

    fn rules(&self) -> FetchRules {
        FetchRules {
            hosts: vec!["pictures.example".into(), "*.pictures.example".into()],
            ports: vec![self.port],
            has_plain: true,
            has_loopback: true,
            time: Duration::from_secs(30),
            ..FetchRules::default()
        }
    }

    async fn fetch(&self, path: &str) -> Result<Bytes> {
        fetch_by(way(self.rules(), Fixed::to(&["127.0.0.1"])), &self.url(path)).await
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("heads").clone()
    }
}

fn serve(mut stream: TcpStream, replies: &HashMap<&str, Reply>, told: &Mutex<Vec<String>>) {
    let lines = BufReader::new(stream.try_clone().expect("a stream")).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    told.lock().expect("heads").push(head.join("\n"));
    match replies.get(path.as_str()).cloned().unwrap_or_else(|| status("404 Not Found", "")) {
        Reply::Raw(text) => drop(stream.write_all(text.as_bytes())),
        Reply::Endless(piece) => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
            while stream.write_all(chunk.as_bytes()).is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // Until the client has gone.
        Reply::Silence => drop(stream.read_to_end(&mut Vec::new())),
    }
}

fn status(status: &str, headers: &str) -> Reply {
    Reply::Raw(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"))
}

fn found(body: &str) -> Reply {
    Reply::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
}

fn redirect(to: &str) -> Reply {
    status("302 Found", &format!("Location: {to}\r\n"))
}

fn way(rules: FetchRules, names: Fixed) -> Way {
    Way { rules, names: Box::new(names), tls: TlsConfig::default() }
}

fn listed(hosts: &[&str]) -> FetchRules {
    FetchRules { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..FetchRules::default() }
}

#[tokio::test]
async fn a_picture_is_had_from_the_checked_address_under_the_name_that_was_asked() {
    let origin = Origin::start([("/a.png?x=1", found("picture"))]);
    let names = Fixed::to(&["127.0.0.1"]);
    let fetched = fetch_by(way(origin.rules(), names.clone()), &origin.url("/a.png?x=1#part")).await.expect("fetched");
    assert_eq!(fetched, "picture");
    assert_eq!(*names.asked.lock().expect("asked"), ["pictures.example"], "resolved once");
    let head = origin.heads().pop().expect("a request").to_ascii_lowercase();
    assert!(head.contains(&format!("host: pictures.example:{}", origin.port)), "{head}");
    assert!(!head.contains("cookie") && !head.contains("authorization") && !head.contains("referer"), "{head}");
}

#[test]
fn an_address_is_judged_by_its_form_and_the_lists() {
    let rules =
        FetchRules { ports: vec![8443], ..listed(&["example.org", "*.cdn.example", "8.8.8.8", "[2606:4700::1111]", "2001:4860::1"]) };
    for fine in [
        "https://example.org/a.png",
        "https://EXAMPLE.org./a",
        "https://example.org:443/a",
        "https://example.org:8443",
        "https://a.b.cdn.example/?q",
        "https://8.8.8.8/",
        "https://[2606:4700:0::1111]/",
        "https://[2001:4860::1]/",
    ] {
        rules.read(fine).unwrap_or_else(|fault| panic!("{fine}: {}", fault.line()));
    }
    let reason = |url: &str| rules.read(url).err().map(|fault| fault.reason);
    for forbidden in [
        "http://example.org/",
        "ftp://example.org/",
        "file://example.org/etc/passwd",
        "https://evil.example/",
        "https://cdn.example/",
        "https://example.org.evil.example/",
        "https://evilexample.org/",
        "https://example.org:8080/",
        "https://example.org:80/",
        "https://user@example.org/",
        "https://user:secret@example.org/",
        "https://evil.example@example.org/",
        "https://example.org@evil.example/",
        "https://9.9.9.9/",
        "https://[::1]/",
        "https://[::ffff:8.8.8.8]/",
        "https://localhost/",
    ] {
        assert_eq!(reason(forbidden), Some(Reason::Forbidden), "{forbidden}");
    }
    for broken in [
        "",
        "example.org/a.png",
        "/a.png",
        "https:///a.png",
        "https://",
        "data:image/png;base64,AAAA",
        "https://example.org\\@evil.example/",
        "https://example.org/a\\b",
        "https://example.org/a b",
        "https://example.org/\r\nHost: evil.example",
        "https://exämple.org/",
        " https://example.org/",
    ] {
        assert_eq!(reason(broken), Some(Reason::BadRequest), "{broken:?}");
    }
    assert_eq!(reason(&format!("https://example.org/{}", "a".repeat(LONGEST_ADDRESS))), Some(Reason::BadRequest));
}

#[test]
fn even_where_any_name_will_do_an_address_must_be_listed_however_it_is_written() {
    let rules = listed(&["*"]);
    rules.read("https://anything.example/").expect("a name");
    for literal in ["8.8.8.8", "127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.", "[::1]", "a.0x7f"] {
        let fault = rules.read(&format!("https://{literal}/")).expect_err(literal);
        assert_eq!(fault.reason, Reason::Forbidden, "{literal}");
    }
}

#[test]
fn no_secret_of_an_address_is_told() {
    let fault = listed(&[]).read("https://user:secret@example.org/?token=secret").expect_err("refused");
    assert!(!fault.line().contains("secret"), "{}", fault.line());
    let fault = listed(&[]).read("https://example.org/?token=secret").expect_err("refused");
    assert!(fault.line().contains("https://example.org") && !fault.line().contains("secret"), "{}", fault.line());
}

#[tokio::test]
async fn a_name_that_leads_into_an_own_network_is_not_asked() {
    let origin = Origin::start([("/", found("secret"))]);
    let rules = FetchRules { has_loopback: false, ..origin.rules() };
    for addresses in [
        &["127.0.0.1"][..],
        &["8.8.8.8", "127.0.0.1"],
        &["127.0.0.1", "8.8.8.8"],
        &["169.254.169.254"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["fd00::1"],
        &["0.0.0.0"],
    ] {
        let fault = fetch_by(way(rules.clone(), Fixed::to(addresses)), &origin.url("/")).await.expect_err("refused");
        assert_eq!(fault.reason, Reason::Forbidden, "{addresses:?}");
        assert!(addresses.iter().all(|address| !fault.line().contains(address)), "{}", fault.line());
    }
    assert!(origin.heads().is_empty(), "nothing was sent");
    let lax = FetchRules { has_loopback: true, ..rules };
    let fault = fetch_by(way(lax, Fixed::to(&["127.0.0.1", "10.0.0.1"])), &origin.url("/")).await.expect_err("refused");
    assert_eq!(fault.reason, Reason::Forbidden, "one of them is enough");
}

#[tokio::test]
async fn the_machines_own_resolver_is_asked_where_no_other_is_given() {
    let origin = Origin::start([("/", found("picture"))]);
    let url = format!("http://localhost:{}/", origin.port);
    let rules = FetchRules { hosts: vec!["localhost".into()], ..origin.rules() };
    assert_eq!(fetch(&rules, &url).await.expect("fetched"), "picture");
    let fault = fetch(&FetchRules { has_loopback: false, ..rules }, &url).await.expect_err("refused");
    assert_eq!(fault.reason, Reason::Forbidden);
    let listed = FetchRules { hosts: vec!["127.0.0.1".into()], has_loopback: false, ..origin.rules() };
    let fault = fetch(&listed, &url.replace("localhost", "127.0.0.1")).await.expect_err("refused");
    assert_eq!(fault.reason, Reason::Forbidden, "listed, and yet not of the open network");
}

#[tokio::test]
async fn each_redirect_is_checked_anew() {
    let inner = Origin::start([("/", found("secret"))]);
    let secret = format!("http://127.0.0.1:{}/", inner.port);
    let origin = Origin::start([
        ("/near", redirect("/there")),
        ("/there", redirect("b/c")),
        ("/b/c", found("picture")),
        ("/inner", redirect(Box::leak(secret.into_boxed_str()))),
        ("/foreign", redirect("http://evil.example/")),
        ("/ftp", redirect("ftp://pictures.example/")),
        ("/user", redirect("http://user@pictures.example/")),
        ("/port", redirect("http://pictures.example:22/")),
        ("/other", redirect("//evil.example/")),
        ("/broken", redirect("http://")),
        ("/nowhere", status("302 Found", "")),
    ]);
    assert_eq!(origin.fetch("/near").await.expect("fetched"), "picture");
    for path in ["/inner", "/foreign", "/user", "/port", "/other"] {
        let fault = origin.fetch(path).await.expect_err(path);
        assert_eq!(fault.reason, Reason::Forbidden, "{path}: {}", fault.line());
    }
    for path in ["/ftp", "/broken", "/nowhere"] {
        assert_eq!(origin.fetch(path).await.expect_err(path).reason, Reason::BadRequest, "{path}");
    }
    assert!(inner.heads().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let hops =
        [("/0", redirect("/1")), ("/1", redirect("/2")), ("/2", redirect("/3")), ("/3", found("picture")), ("/round", redirect("/round"))];
    let origin = Origin::start(hops);
    assert_eq!(origin.fetch("/0").await.expect("three redirects"), "picture");
    let rules = FetchRules { redirects: 2, ..origin.rules() };
    for (rules, path) in [(rules, "/0"), (origin.rules(), "/round"), (FetchRules { redirects: 0, ..origin.rules() }, "/2")] {
        let fault = fetch_by(way(rules, Fixed::to(&["127.0.0.1"])), &origin.url(path)).await.expect_err(path);
        assert_eq!(fault.reason, Reason::BadRequest, "{}", fault.line());
    }
}

#[tokio::test]
async fn only_a_whole_answer_with_success_is_a_picture() {
    let origin = Origin::start([
        ("/empty", found("")),
        ("/none", status("204 No Content", "")),
        ("/part", Reply::Raw("HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\npart".into())),
        ("/cut", Reply::Raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut".into())),
        ("/error", status("500 Internal Server Error", "")),
        ("/noise", Reply::Raw("SSH-2.0-OpenSSH_9.2\r\n".into())),
    ]);
    assert_eq!(origin.fetch("/empty").await.expect("what it is, the decoder says"), "");
    for path in ["/missing", "/none", "/part", "/cut", "/error", "/noise"] {
        let fault = origin.fetch(path).await.expect_err(path);
        assert_eq!(fault.reason, Reason::BadRequest, "{path}: {}", fault.line());
        assert!(fault.error.place().is_some_and(|place| place.starts_with("http://pictures.example:")), "{}", fault.line());
    }
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let rules = FetchRules { ports: vec![closed], ..origin.rules() };
    let fault = fetch_by(way(rules, Fixed::to(&["127.0.0.1"])), &format!("http://pictures.example:{closed}/")).await;
    assert_eq!(fault.expect_err("nobody there").reason, Reason::BadRequest);
}

#[tokio::test]
async fn no_more_bytes_are_read_than_allowed_announced_or_not() {
    let announced = Reply::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", u64::MAX));
    let origin =
        Origin::start([("/1000", found(&"x".repeat(1000))), ("/huge", announced), ("/endless", Reply::Endless("some more of it"))]);
    for (bytes, path, is_fine) in [(1000, "/1000", true), (999, "/1000", false), (1000, "/huge", false), (1000, "/endless", false)] {
        let rules = FetchRules { bytes, ..origin.rules() };
        let outcome = fetch_by(way(rules, Fixed::to(&["127.0.0.1"])), &origin.url(path)).await;
        let reason = outcome.as_ref().err().map(|fault| fault.reason);
        assert_eq!(reason, (!is_fine).then_some(Reason::TooLarge), "{bytes} {path}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_come_to_an_end_is_left() {
    let origin = Origin::start([("/silent", Reply::Silence), ("/endless", Reply::Endless(""))]);
    let drip = Origin::start([("/", Reply::Endless("."))]);
    for (origin, path) in [(&origin, "/silent"), (&drip, "/")] {
        let rules = FetchRules { time: Duration::from_millis(200), ..origin.rules() };
        let url = origin.url(path);
        let fetching = fetch_by(way(rules, Fixed::to(&["127.0.0.1"])), &url);
        let fault = tokio::time::timeout(Duration::from_secs(60), fetching).await.expect("it ends").expect_err(path);
        assert_eq!(fault.reason, Reason::TimedOut, "{path}: {}", fault.line());
    }
}

/// One answer over TLS, with a certificate for a name.
async fn encrypted(name: &str) -> (u16, Certificate<'static>, tokio::task::JoinHandle<Option<String>>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let tls = crate::Tls { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&tls.certificate, made.cert.pem()).expect("written");
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).expect("written");
    let acceptor = tls.acceptor().expect("an acceptor");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.ok()?;
        let mut stream = acceptor.accept(stream).await.ok()?;
        let asked_for = stream.get_ref().1.server_name().map(str::to_owned);
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\npicture").await.ok()?;
        stream.shutdown().await.ok()?;
        asked_for
    });
    (port, Certificate::from_der(made.cert.der()).to_owned(), serving)
}

#[tokio::test]
async fn an_encrypted_host_must_have_a_certificate_for_the_name_not_for_the_address() {
    for (certified, is_fine) in [("pictures.example", true), ("other.example", false)] {
        let (port, root, serving) = encrypted(certified).await;
        let rules = FetchRules { ports: vec![port], has_loopback: true, time: Duration::from_secs(30), ..listed(&["pictures.example"]) };
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).build();
        let way = Way { rules, names: Box::new(Fixed::to(&["127.0.0.1"])), tls };
        let outcome = fetch_by(way, &format!("https://pictures.example:{port}/")).await;
        assert_eq!(outcome.is_ok_and(|bytes| bytes == "picture"), is_fine, "{certified}");
        let asked_for = serving.await.expect("served");
        assert_eq!(asked_for.as_deref(), is_fine.then_some("pictures.example"), "the name is in the handshake");
    }
}
