//! Access to a hub on the loopback interface: gates, refusals, redirects, tokens, names and settings.
#![allow(clippy::unwrap_used)]

mod place;
mod server;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use maskline::ErrorKind;
use maskline_hub::{Hub, HubOptions};
use place::{ONE, PATH, Place, content, tagged};
use server::{Answer, Server};

#[test]
fn gates_and_refusals_say_the_way_in() {
    let server = Server::start(|request| Answer::status(if request.path.starts_with("/facebook") { 401 } else { 403 }));
    let mut place = Place::new(&server);
    let page = format!("{}/facebook/sam3", server.base);
    place.fails("sam3", &["gated", "401", "accept the licence", &page, "set HF_TOKEN"]);
    place.fails(ONE, &["refused", "403", "HF_TOKEN"]);
    place.options.token = Some("hf_secret".into());
    place.fails("sam3", &["HF_TOKEN is set", "no access yet", &page]);
    place.fails(ONE, &["wrong or expired"]);
    assert_eq!(server.requests().len(), 4, "a refusal is not asked again");
    assert!(!format!("{:?}", place.hub()).contains("secret"));
    let error = place.pull("sam3").unwrap_err();
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn a_gate_that_the_registry_does_not_know() {
    let server = Server::start(|_| Answer::status(403).with("X-Error-Code", "GatedRepo"));
    Place::new(&server).fails(ONE, &["gated", "accept the licence"]);
}

#[test]
fn a_file_that_is_not_there() {
    let server = Server::start(|_| Answer::status(404));
    Place::new(&server).fails(ONE, &["no such file", "404", PATH, "give its path"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn busy_hubs_are_asked_again_after_the_pause_that_they_want() {
    let server = Server::start(|request| match request.number {
        0 => Answer::status(429).with("Retry-After", 1),
        1 => Answer::status(503),
        2 => Answer::status(500),
        _ => tagged(Answer::file(&content()), &content()),
    });
    let place = Place::new(&server);
    let start = Instant::now();
    assert_eq!(place.pull(ONE).unwrap(), content());
    assert!(start.elapsed() >= Duration::from_secs(1), "Retry-After was not heeded");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn too_long_a_pause_is_told_instead() {
    let server = Server::start(|_| Answer::status(429).with("Retry-After", 3600));
    Place::new(&server).fails(ONE, &["429", "3600 s"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_broken_hub_is_given_up() {
    let server = Server::start(|_| Answer::status(502));
    Place::new(&server).fails(ONE, &["502", "gave up after 4 attempts", "try again later"]);
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_hub_that_nobody_answers_for() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start(|_| Answer::status(500));
    let mut place = Place::new(&server);
    place.options.base = format!("http://127.0.0.1:{port}");
    place.fails(ONE, &["gave up", "MASKLINE_HUB"]);
}

#[test]
fn the_token_stays_with_the_hub() {
    let bytes = Server::start(|request| Answer::rest(request, &content()).with("ETag", "\"bytes\""));
    let there = format!("{}/blob?signature=1", bytes.base);
    let hub = Server::start(move |request| match request.path.as_str() {
        PATH => tagged(Answer::status(307), &content()).with("Location", "/api/resolve"),
        _ => Answer::redirect(&there),
    });
    let mut place = Place::new(&hub);
    place.options.token = Some("hf_secret".into());
    assert_eq!(place.pull(ONE).unwrap(), content());
    let tokens = |server: &Server| server.requests().iter().map(|r| r.header("authorization").map(str::to_string)).collect::<Vec<_>>();
    assert_eq!(tokens(&hub), vec![Some("Bearer hf_secret".to_string()); 2]);
    assert_eq!(tokens(&bytes), [None]);
    assert_eq!(bytes.requests()[0].path, "/blob?signature=1");
}

#[test]
fn a_redirect_back_to_the_hub_does_not_bring_the_token() {
    let hub_base = Arc::new(std::sync::Mutex::new(String::new()));
    let base = hub_base.clone();
    let other = Server::start(move |_| Answer::redirect(&format!("{}/back", base.lock().unwrap())));
    let there = other.base.clone();
    let hub = Server::start(move |request| if request.path == "/back" { Answer::file(&content()) } else { Answer::redirect(&there) });
    hub_base.lock().unwrap().clone_from(&hub.base);
    let mut place = Place::new(&hub);
    place.options.token = Some("hf_secret".into());
    assert_eq!(place.pull(ONE).unwrap(), content());
    let tokens: Vec<bool> = hub.requests().iter().map(|request| request.header("authorization").is_some()).collect();
    assert_eq!(tokens, [true, false]);
}

#[test]
fn a_hub_without_tls_is_told_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let server = Server::start(|_| Answer::status(500));
    let mut place = Place::new(&server);
    place.options.base = format!("https://{address}");
    place.fails(ONE, &["no secure connection", "is the address right"]);
}

#[test]
fn redirects_in_a_circle_end() {
    let server = Server::start(|_| Answer::redirect(PATH));
    Place::new(&server).fails(ONE, &["redirects"]);
}

#[test]
fn a_login_page_is_no_file() {
    let server = Server::start(|_| Answer::file(b"<html>log in</html>").with("Content-Type", "text/html; charset=utf-8"));
    Place::new(&server).fails(ONE, &["web page", "login"]);
}

#[test]
fn offline_asks_nobody() {
    let server = Server::start(|_| tagged(Answer::file(&content()), &content()));
    let mut place = Place::new(&server);
    place.options.offline = true;
    place.fails(ONE, &["offline", ONE]);
    assert_eq!(server.requests().len(), 0);
    place.options.offline = false;
    place.pull(ONE).unwrap();
    place.options.offline = true;
    assert_eq!(place.pull(ONE).unwrap(), content(), "what is here is here");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn names_that_nobody_has() {
    let server = Server::start(|_| Answer::status(500));
    let hub = Place::new(&server).hub();
    let error = hub.pull("sam2-tiny", |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadInput);
    assert!(error.to_string().contains("sam2-tiny") && error.to_string().contains("sam2.1-tiny"), "{error}");
    assert_eq!(hub.remove("../etc").unwrap_err().kind(), ErrorKind::BadInput);
    assert_eq!(hub.require("nothing").unwrap_err().kind(), ErrorKind::BadInput);
    assert_eq!(hub.locate("../etc"), None);
    let error = hub.require(ONE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("maskline pull mobile-sam"), "{error}");
}

#[test]
fn hubs_and_tokens_that_are_none() {
    for base in ["", "huggingface.co", "ftp://hub.example", "https://", "https://hub.example/?a=b", "https://hub example"] {
        let error = Hub::new(HubOptions { base: base.into(), ..HubOptions::default() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption, "{base}: {error}");
    }
    let error = Hub::new(HubOptions { token: Some("se cret\n".into()), ..HubOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("HF_TOKEN") && !error.to_string().contains("cret\n"), "{error}");
    let hub = Hub::new(HubOptions { base: "https://mirror.example/hub//".into(), ..HubOptions::default() }).unwrap();
    assert_eq!(hub.options().base, "https://mirror.example/hub");
}
