//! Pictures that only Label Studio gives out: who is asked for them, with what, and how often.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use maskline_server::{FetchRules, LabelStudio, LabelStudioToken};
use serde_json::{Value, json};

use super::client::{Answer, post};
use super::requests::{BRUSH, click, drawn, predict, setup, task};
use super::running::{Running, picture};
use super::studio::{Reply, Studio};

const TOKEN: &str = "0123456789abcdef0123";

/// A server that was told where Label Studio is.
fn told(studio: &Studio, token: Option<&str>) -> Running {
    let token = token.map(|token| LabelStudioToken::new(token).unwrap());
    let address = studio.url();
    Running::with_nano(|options| options.label_studio = Some(LabelStudio::new(&address, token).unwrap()))
}

fn ask(to: SocketAddr, image: &str) -> Answer {
    post("/label-studio/predict").json(&predict(&[task(7, image)], BRUSH, drawn(&[click(48.0, 30.0, true)]))).answer(to)
}

fn is_brush(answer: Answer) -> bool {
    answer.expect(200).json()["results"][0]["result"][0]["type"] == "brushlabels"
}

#[test]
fn a_file_of_label_studios_is_fetched_once_with_its_token() {
    let studio = Studio::with_token(TOKEN, picture(1));
    let server = told(&studio, Some(TOKEN));
    let to = server.address;
    for (image, line) in [
        ("/data/upload/1/a b.png", "GET /data/upload/1/a%20b.png"),
        ("/data/local-files/?d=x/y.png", "GET /data/local-files/?d=x/y.png"),
        ("upload/1/c.png", "GET /data/upload/1/c.png"),
        ("s3://bucket/dir/d.png", "GET /tasks/7/presign/?fileuri=czM6Ly9idWNrZXQvZGlyL2QucG5n"),
        (&format!("{}/data/upload/1/e.png", studio.url()), "GET /data/upload/1/e.png"),
    ] {
        let before = studio.lines().len();
        assert!(is_brush(ask(to, image)), "{image}");
        assert!(is_brush(ask(to, image)), "{image}, once more");
        assert_eq!(studio.lines()[before..], [line], "fetched once");
    }
    assert!(studio.heard().iter().all(|heard| heard.authorization.as_deref() == Some(&format!("Token {TOKEN}"))));
}

#[test]
fn equal_prewarms_at_once_and_the_click_behind_them_fetch_once() {
    let file = picture(2);
    let studio = Studio::start(move |_| Reply { pause: Duration::from_millis(300), ..Reply::file(file.clone()) });
    let server = told(&studio, Some(TOKEN));
    let to = server.address;
    let warm = || post("/label-studio/predict").json(&predict(&[task(7, "/data/upload/1/a.png")], BRUSH, json!({"event": "prewarm"})));
    std::thread::scope(|scope| {
        let warming: Vec<_> = (0..8).map(|_| scope.spawn(move || warm().answer(to).expect(200).json())).collect();
        for answer in warming.into_iter().map(|warming| warming.join().unwrap()) {
            assert_eq!(answer["results"][0]["result"], json!([]));
        }
    });
    assert!(is_brush(ask(to, "/data/upload/1/a.png")));
    assert_eq!(studio.lines().len(), 1);
}

#[test]
fn an_address_in_setup_is_asked_only_where_it_is_this_machine_told_by_this_machine() {
    let studio = Studio::with_token(TOKEN, picture(3));
    let connect =
        |to: SocketAddr, hostname: &str| post("/label-studio/setup").json(&setup(hostname, TOKEN)).header("x-test", to.to_string());
    let server = Running::with_nano(|_| {});
    let to = server.address;
    let unknown = ask(to, "/data/upload/1/a.png").problem(403);
    assert!(unknown["help"].as_str().unwrap().contains("--label-studio-url"), "{unknown}");
    for passed_on in ["x-forwarded-for", "forwarded", "via"] {
        connect(to, &studio.url()).header(passed_on, "203.0.113.9").answer(to).expect(200);
        ask(to, "/data/upload/1/a.png").problem(403);
    }
    // Nobody answers there, and nobody is asked.
    for foreign in ["http://203.0.113.9", "http://169.254.169.254", "http://localhost.example"] {
        connect(to, foreign).answer(to).expect(200);
        ask(to, "/data/upload/1/a.png").problem(403);
    }
    assert!(studio.heard().is_empty());
    connect(to, &studio.url()).answer(to).expect(200);
    assert!(is_brush(ask(to, "/data/upload/1/a.png")));
    assert_eq!(studio.lines(), ["GET /data/upload/1/a.png"]);
    // Another project's token is not this one's.
    let mut other = predict(&[task(7, "/data/upload/1/a.png")], BRUSH, drawn(&[click(48.0, 30.0, true)]));
    other["project"] = json!("2.1700000000");
    post("/label-studio/predict").json(&other).answer(to).problem(403);
}

#[test]
fn what_setup_says_changes_nothing_about_the_one_that_the_server_was_told_of() {
    let (studio, evil) = (Studio::with_token(TOKEN, picture(4)), Studio::with_token(TOKEN, picture(4)));
    let server = told(&studio, Some(TOKEN));
    let to = server.address;
    for (hostname, token) in [(evil.url(), TOKEN), (studio.url(), "another-token"), (format!("{}@{}", studio.url(), evil.port), TOKEN)] {
        post("/label-studio/setup").json(&setup(&hostname, token)).answer(to).expect(200);
    }
    assert!(is_brush(ask(to, "/data/upload/1/a.png")));
    assert!(evil.heard().is_empty());
    assert_eq!(studio.heard()[0].authorization.as_deref(), Some(&*format!("Token {TOKEN}")));
    // Told of the address alone, the server takes the token that comes with that address, and no other.
    let server = told(&studio, None);
    let to = server.address;
    post("/label-studio/setup").json(&setup(&evil.url(), TOKEN)).answer(to).expect(200);
    let unknown = ask(to, "/data/upload/1/a.png").problem(403);
    assert!(unknown["help"].as_str().unwrap().contains("--label-studio-token-file"), "{unknown}");
    post("/label-studio/setup").json(&setup(&studio.url(), TOKEN)).header("x-forwarded-for", "203.0.113.9").answer(to).expect(200);
    assert!(is_brush(ask(to, "/data/upload/1/a.png")));
    assert!(evil.heard().is_empty());
}

#[test]
fn redirects_keep_the_token_within_label_studio() {
    let (away, file) = (
        Studio::start({
            let file = picture(5);
            move |_| Reply::file(file.clone())
        }),
        picture(5),
    );
    let elsewhere = format!("{}/bucket/a.png?signature=x", away.url());
    let answer = {
        let elsewhere = elsewhere.clone();
        move |heard: &super::studio::Heard| match heard.line.as_str() {
            "GET /tasks/7/presign/?fileuri=czM6Ly9iL2EucG5n" => Reply::redirect(elsewhere.clone()),
            "GET /data/upload/near.png" => Reply::redirect("/data/upload/there.png"),
            "GET /data/upload/login.png" => Reply::redirect("/user/login/?next=/data/upload/login.png"),
            "GET /data/upload/api.png" => Reply::redirect("/api/users/"),
            "GET /data/upload/round.png" => Reply::redirect("/data/upload/round.png"),
            "GET /data/upload/broken.png" => Reply::redirect("where"),
            "GET /data/upload/there.png" => Reply::file(file.clone()),
            _ => Reply::status("404 Not Found"),
        }
    };
    let studio = Studio::start(answer);
    let server = told(&studio, Some(TOKEN));
    let to = server.address;
    assert!(is_brush(ask(to, "/data/upload/near.png")));
    for (image, status) in [("s3://b/a.png", 403), ("/data/upload/login.png", 403), ("/data/upload/api.png", 403)] {
        let problem = ask(to, image).problem(status);
        assert!(!problem.to_string().contains(TOKEN) && !problem.to_string().contains("signature"), "{problem}");
    }
    for image in ["/data/upload/round.png", "/data/upload/broken.png", "/data/upload/none.png"] {
        ask(to, image).problem(400);
    }
    assert!(away.heard().is_empty(), "nothing was sent there");
    assert!(!studio.lines().iter().any(|line| line.contains("/user/") || line.contains("/api/")), "{:?}", studio.lines());
    // Where pictures may be fetched from, that host is asked, and not told the token.
    let (address, port) = (studio.url(), away.port);
    let server = Running::with_nano(|options| {
        options.label_studio = Some(LabelStudio::new(&address, Some(LabelStudioToken::new(TOKEN).unwrap())).unwrap());
        let hosts = vec!["127.0.0.1".to_owned()];
        options.fetch = Some(FetchRules { hosts, ports: vec![port], has_plain: true, has_loopback: true, ..FetchRules::default() });
    });
    assert!(is_brush(ask(server.address, "s3://b/a.png")));
    assert_eq!(away.lines(), ["GET /bucket/a.png?signature=x"]);
    assert_eq!(away.heard()[0].authorization, None);
    assert!(is_brush(ask(server.address, &elsewhere)), "and so is one that a task names");
    assert!(away.heard().iter().all(|heard| heard.authorization.is_none()));
}

#[test]
fn tasks_cannot_make_the_token_ask_for_anything_but_files() {
    let studio = Studio::with_token(TOKEN, picture(6));
    let server = told(&studio, Some(TOKEN));
    for (image, status) in [
        ("/api/users/", 400),
        ("/data/../api/token/", 400),
        ("/data/%2e%2e/api/token/", 400),
        ("//203.0.113.9/data/upload/a.png", 400),
        ("/\\203.0.113.9/data/a.png", 400),
        ("file:///etc/passwd", 400),
        ("photo.png", 400),
        ("", 400),
        (&"/data/upload/a".repeat(1000), 413),
        (&format!("{}/api/users/", studio.url()), 403),
        (&studio.url().replace("http://", "http://user:password@"), 403),
        ("http://203.0.113.9/a.png", 403),
    ] {
        ask(server.address, image).problem(status);
    }
    assert!(studio.heard().is_empty(), "{:?}", studio.lines());
}

#[test]
fn a_personal_access_token_is_given_for_one_that_lasts_minutes_and_again_when_that_has_ended() {
    let personal = format!("{}.e30.c2ln", BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#));
    let file = picture(7);
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let studio = Studio::start(move |heard| {
        let count = || asked.load(std::sync::atomic::Ordering::SeqCst);
        if heard.line == "POST /api/token/refresh/" {
            asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            return Reply::file(json!({"access": format!("short.lived.{}", count())}).to_string().into_bytes());
        }
        let is_old = heard.line.ends_with("late.png") && count() < 2;
        let is_let_in = heard.authorization == Some(format!("Bearer short.lived.{}", count())) && !is_old;
        if is_let_in { Reply::file(file.clone()) } else { Reply::status("401 Unauthorized") }
    });
    let server = told(&studio, Some(&personal));
    for image in ["/data/upload/1/a.png", "/data/upload/1/b.png", "/data/upload/1/late.png"] {
        assert!(is_brush(ask(server.address, image)), "{image}");
    }
    let refreshed: Vec<_> = studio.heard().into_iter().filter(|heard| heard.line.starts_with("POST")).collect();
    assert_eq!(refreshed.len(), 2, "once at first, and once when it had ended");
    let sent: Value = serde_json::from_str(&refreshed[0].body).unwrap();
    assert_eq!(sent, json!({"refresh": personal}));
    assert!(
        studio.heard().iter().filter(|heard| heard.line.starts_with("GET")).all(|heard| !heard
            .authorization
            .as_ref()
            .unwrap()
            .contains(&personal))
    );
}

#[test]
fn a_token_that_is_not_accepted_is_told_with_the_way_out() {
    let studio = Studio::with_token("another", picture(8));
    let server = told(&studio, Some(TOKEN));
    let problem = ask(server.address, "/data/upload/1/a.png").problem(403);
    assert!(problem["help"].as_str().unwrap().contains("personal access token"), "{problem}");
    assert_eq!(problem["where"], format!("http://127.0.0.1:{}", studio.port));
}
