//! Downloads from a hub on the loopback interface: everything that can happen to the bytes.
#![allow(clippy::unwrap_used)]

mod place;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use maskline::{ErrorKind, ModelSource};
use maskline_hub::{PullEvent, State};
use place::{ONE, Place, TWO, content, sha256, starts, tagged};
use server::{Answer, Server};

#[test]
fn a_clean_download() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let server = Server::start(move |request| match request.path.rsplit('/').next() {
        Some("config.json") => Answer::file(b"{}").with("ETag", "\"git\"").with("X-Repo-Commit", commit),
        _ => tagged(Answer::file(&content()), &content()),
    });
    let place = Place::new(&server);
    let hub = place.hub();
    assert_eq!(hub.show(TWO).unwrap().state, State::Absent);
    let mut events = Vec::new();
    let pulled = hub
        .pull(TWO, |event| match event {
            PullEvent::Started { file, done: 0, total } => events.push(format!("started {file} {}", total.unwrap())),
            PullEvent::Progress { file, done, total } if Some(done) == total => events.push(format!("all of {file}")),
            PullEvent::Progress { .. } => {}
            PullEvent::Verifying { file } => events.push(format!("verifying {file}")),
            PullEvent::Finished { file, bytes } => events.push(format!("finished {file} {bytes}")),
            other => events.push(format!("{other:?}")),
        })
        .unwrap();
    let expected = [
        "started config.json 2",
        "all of config.json",
        "finished config.json 2",
        "started model.safetensors 3000000",
        "all of model.safetensors",
        "verifying model.safetensors",
        "finished model.safetensors 3000000",
    ];
    assert_eq!(events, expected);
    assert_eq!(pulled.files, 2);
    assert!(pulled.path.ends_with("sam2.1-tiny/sam2.1-tiny.safetensors"), "the checkpoint is called as the model is");
    assert_eq!(std::fs::read(&pulled.path).unwrap(), content());
    assert_eq!(std::fs::read(pulled.path.with_file_name("config.json")).unwrap(), b"{}");
    assert_eq!(hub.locate(TWO).as_ref(), Some(&pulled.path));
    let listed = hub.show(TWO).unwrap();
    assert_eq!(listed.state, State::Pulled { path: pulled.path, bytes: 3_000_002 });
    assert_eq!(listed.commit.as_deref(), Some(commit));
    let paths: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    let second = format!("/facebook/sam2.1-hiera-tiny/resolve/{commit}/model.safetensors");
    assert_eq!(paths, ["/facebook/sam2.1-hiera-tiny/resolve/main/config.json".to_string(), second], "both are of one commit");

    let again = hub.pull(TWO, |_| panic!("nothing happens")).unwrap();
    assert_eq!((again.files, server.requests().len()), (0, 2));
}

#[test]
fn the_engine_finds_a_model_that_is_whole() {
    let server = Server::start(|request| match request.path.rsplit('/').next() {
        Some("config.json") => Answer::file(b"{}").with("ETag", "\"git\""),
        _ if request.number == 1 => Answer::status(404),
        _ => tagged(Answer::file(&content()), &content()),
    });
    let place = Place::new(&server);
    let named = || ModelSource::named(TWO, place.folder.path());
    assert_eq!(named().unwrap_err().kind(), ErrorKind::BadInput);
    place.fails(TWO, &["404"]);
    assert_eq!(named().unwrap_err().kind(), ErrorKind::Unavailable, "half a model is none");
    let pulled = place.hub().pull(TWO, |_| {}).unwrap();
    assert_eq!(named().unwrap(), ModelSource::Checkpoint(pulled.path.clone()));
    // Without a record nothing was pulled; pulling what is there writes it.
    let record = pulled.path.with_file_name("pulled.json");
    std::fs::remove_file(&record).unwrap();
    assert_eq!(named().unwrap_err().kind(), ErrorKind::BadInput);
    let count = server.requests().len();
    assert_eq!(place.hub().pull(TWO, |_| {}).unwrap().files, 0);
    assert_eq!((named().unwrap(), server.requests().len()), (ModelSource::Checkpoint(pulled.path.clone()), count));
    std::fs::remove_file(pulled.path.with_file_name("config.json")).unwrap();
    assert!(named().unwrap_err().to_string().contains("config.json is missing"));
    place.hub().remove(TWO).unwrap();
    assert_eq!(named().unwrap_err().kind(), ErrorKind::BadInput);
}

#[test]
fn a_drop_goes_on_from_where_it_was() {
    let server = Server::start(|request| {
        let answer = tagged(Answer::rest(request, &content()), &content());
        if request.number < 2 { answer.cut(1_000_000) } else { answer }
    });
    let place = Place::new(&server);
    let mut retries = 0;
    let pulled = place.hub().pull(ONE, |event| retries += usize::from(matches!(event, PullEvent::Retrying { .. }))).unwrap();
    assert_eq!(std::fs::read(pulled.path).unwrap(), content());
    assert_eq!(starts(&server), [None, Some(1_000_000), Some(2_000_000)]);
    assert!(server.requests()[1..].iter().all(|request| request.header("if-range") == Some("\"tag\"")));
    assert_eq!(retries, 2);
    place.assert_tidy();
}

#[test]
fn a_new_process_goes_on_from_where_the_old_one_was() {
    let server = Server::start(|request| {
        let answer = tagged(Answer::rest(request, &content()), &content());
        if request.number == 0 { answer.cut(1_234_567) } else { answer }
    });
    let mut place = Place::new(&server);
    place.options.retry.attempts = 1;
    place.fails(ONE, &["gave up after 1 attempts", "pull again: it goes on"]);
    assert_eq!(place.hub().show(ONE).unwrap().state, State::Partial { bytes: 1_234_567 });
    let mut first = None;
    place.hub().pull(ONE, |event| first = first.or(if let PullEvent::Started { done, .. } = event { Some(done) } else { None })).unwrap();
    assert_eq!(first, Some(1_234_567));
    assert_eq!(std::fs::read(place.target()).unwrap(), content());
    assert_eq!(starts(&server), [None, Some(1_234_567)]);
}

#[test]
fn a_part_that_is_complete_needs_no_request() {
    let server = Server::start(|request| tagged(Answer::rest(request, &content()), &content()).cut(2_999_999));
    let mut place = Place::new(&server);
    place.options.retry.attempts = 1;
    place.fails(ONE, &[]);
    std::fs::write(place.partial(), content()).unwrap();
    assert_eq!(place.pull(ONE).unwrap(), content());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn many_short_bodies_end_in_the_whole_file() {
    // More drops than attempts: what counts is whether it gets further.
    let server = Server::start(|request| tagged(Answer::rest(request, &content()), &content()).cut(1_100_000));
    let mut place = Place::new(&server);
    place.options.retry.attempts = 2;
    assert_eq!(place.pull(ONE).unwrap(), content());
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_hub_that_gives_a_few_bytes_at_a_time_is_given_up() {
    let server = Server::start(|request| tagged(Answer::rest(request, &content()), &content()).cut(1000));
    let place = Place::new(&server);
    place.fails(ONE, &["gave up after 4 attempts"]);
    assert_eq!(std::fs::metadata(place.partial()).unwrap().len(), 4000);
}

#[test]
fn a_short_body_with_a_fitting_length_is_no_file() {
    // The answer is complete as HTTP; only the hub's announcement tells that bytes are missing.
    let server = Server::start(|_| tagged(Answer::file(&content()[..1000]), &content()));
    Place::new(&server).fails(ONE, &["announces 3000000 bytes", "1000"]);
}

#[test]
fn a_wrong_content_range_starts_over() {
    for range in ["bytes 0-1999999/3000000", "bytes 1000000-2999999/3000001", "bytes nonsense"] {
        let server = Server::start(move |request| match request.number {
            0 => tagged(Answer::file(&content()), &content()).cut(1_000_000),
            1 => Answer { body: vec![7; 2_000_000], ..Answer::status(206) }.with("ETag", "\"tag\"").with("Content-Range", range),
            _ => tagged(Answer::rest(request, &content()), &content()),
        });
        let place = Place::new(&server);
        assert_eq!(place.pull(ONE).unwrap(), content(), "{range}");
        assert_eq!(starts(&server), [None, Some(1_000_000), None], "{range}");
    }
}

#[test]
fn a_part_that_nobody_asked_for_is_no_file() {
    let server = Server::start(|_| {
        let part = Answer { body: content()[..1000].to_vec(), ..Answer::status(206) };
        tagged(part, &content()).with("Content-Range", "bytes 0-999/3000000")
    });
    Place::new(&server).fails(ONE, &["nobody asked for"]);
}

#[test]
fn an_ignored_range_starts_over() {
    let server = Server::start(|request| {
        let whole = tagged(Answer::file(&content()), &content());
        if request.number == 0 { whole.cut(1_000_000) } else { whole }
    });
    let place = Place::new(&server);
    assert_eq!(place.pull(ONE).unwrap(), content());
    assert_eq!(starts(&server), [None, Some(1_000_000)]);
    place.assert_tidy();
}

#[test]
fn a_range_beyond_the_file_starts_over() {
    let server = Server::start(|request| match request.number {
        0 => tagged(Answer::file(&content()), &content()).cut(1_000_000),
        1 => Answer::status(416),
        _ => tagged(Answer::rest(request, &content()), &content()),
    });
    assert_eq!(Place::new(&server).pull(ONE).unwrap(), content());
    assert_eq!(starts(&server), [None, Some(1_000_000), None]);
}

/// The file of the hub changes after the first, broken answer; `heeds` says whether the hub obeys If-Range.
fn changed(heeds: bool, linked: bool) {
    let (old, new) = (content(), content().into_iter().rev().collect::<Vec<u8>>());
    let server = Server::start({
        let new = new.clone();
        move |request| {
            let tag = |answer: Answer, tag: &str, body: &[u8]| {
                let answer = answer.with("ETag", tag);
                if linked { answer.with("X-Linked-Etag", format!("\"{}\"", sha256(body))) } else { answer }
            };
            match request.number {
                0 => tag(Answer::file(&old), "\"old\"", &old).cut(1_000_000),
                _ if heeds && request.header("if-range") == Some("\"old\"") => tag(Answer::file(&new), "\"new\"", &new),
                _ => tag(Answer::rest(request, &new), "\"new\"", &new),
            }
        }
    });
    let place = Place::new(&server);
    assert_eq!(place.pull(ONE).unwrap(), new, "heeds {heeds}, linked {linked}");
    assert_eq!(server.requests().len(), if heeds { 2 } else { 3 });
}

#[test]
fn a_file_that_changed_meanwhile_starts_over() {
    for heeds in [true, false] {
        for linked in [true, false] {
            changed(heeds, linked);
        }
    }
}

#[test]
fn parts_without_a_mark_are_not_gone_on_from() {
    // A weak ETag says nothing of bytes.
    let server = Server::start(|request| {
        let answer = Answer::rest(request, &content()).with("ETag", "W/\"weak\"");
        if request.number == 0 { answer.cut(1_000_000) } else { answer }
    });
    assert_eq!(Place::new(&server).pull(ONE).unwrap(), content());
    assert_eq!(starts(&server), [None, None]);
}

#[test]
fn parts_of_another_address_are_not_gone_on_from() {
    let first = Server::start(|request| tagged(Answer::rest(request, &content()), &content()).cut(1_000_000));
    let second = Server::start(|request| tagged(Answer::rest(request, &content()), &content()));
    let mut place = Place::new(&first);
    place.options.retry.attempts = 1;
    place.fails(ONE, &[]);
    place.options.base.clone_from(&second.base);
    assert_eq!(place.pull(ONE).unwrap(), content());
    assert_eq!(starts(&second), [None]);
}

#[test]
fn silence_is_a_drop() {
    let server = Server::start(|request| {
        let answer = tagged(Answer::rest(request, &content()), &content());
        if request.number == 0 { Answer { silence: Duration::from_secs(30), ..answer.cut(1_000_000) } } else { answer }
    });
    let mut place = Place::new(&server);
    place.options.retry.stall = Duration::from_millis(300);
    let start = Instant::now();
    assert_eq!(place.pull(ONE).unwrap(), content());
    assert!(start.elapsed() < Duration::from_secs(20), "the silence was waited for");
    assert_eq!(starts(&server), [None, Some(1_000_000)]);
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let server = Server::start(|_| Answer::file(&content()).with("X-Linked-Etag", format!("\"{}\"", sha256(b"another"))));
    let place = Place::new(&server);
    place.fails(ONE, &["expected sha256", &sha256(b"another"), &sha256(&content()), "nothing was kept"]);
    assert!(!place.partial().exists());
    assert_eq!(place.hub().show(ONE).unwrap().state, State::Absent);
    assert_eq!(server.requests().len(), 1, "a file in one piece is wrong for good");
}

#[test]
fn a_spoiled_part_is_fetched_again() {
    let server = Server::start(|request| {
        let answer = tagged(Answer::rest(request, &content()), &content());
        if request.number == 0 { answer.cut(1_000_000) } else { answer }
    });
    let mut place = Place::new(&server);
    place.options.retry.attempts = 1;
    place.fails(ONE, &[]);
    std::fs::write(place.partial(), vec![0; 1_000_000]).unwrap();
    place.options.retry.attempts = 4;
    assert_eq!(place.pull(ONE).unwrap(), content());
    assert_eq!(starts(&server), [None, Some(1_000_000), None]);
}

#[test]
fn an_etag_of_the_bytes_host_is_no_checksum() {
    // It may have 64 digits and be another hash.
    let server = Server::start(|_| Answer::file(&content()).with("ETag", format!("\"{}\"", "ab".repeat(32))));
    assert_eq!(Place::new(&server).pull(ONE).unwrap(), content());
}

#[test]
fn drops_after_a_redirect_go_on_with_a_fresh_link() {
    let count = Arc::new(AtomicUsize::new(0));
    let bytes = Server::start(|request| match request.number {
        0 => Answer::rest(request, &content()).with("ETag", "\"bytes\"").cut(1_000_000),
        1 => Answer::status(403),
        _ => Answer::rest(request, &content()).with("ETag", "\"bytes\""),
    });
    let there = bytes.base.clone();
    let hub = Server::start(move |_| tagged(Answer::redirect(&format!("{there}/{}", count.fetch_add(1, Ordering::Relaxed))), &content()));
    assert_eq!(Place::new(&hub).pull(ONE).unwrap(), content());
    let seen: Vec<_> = bytes.requests().iter().map(|r| (r.path.clone(), r.start(), r.header("if-range").map(str::to_string))).collect();
    let tag = Some("\"bytes\"".to_string());
    assert_eq!(
        seen,
        [("/0".into(), None, None), ("/1".into(), Some(1_000_000), tag.clone()), ("/2".into(), Some(1_000_000), tag)],
        "a link that has run out is renewed"
    );
}

#[test]
fn a_body_without_end_is_no_file() {
    let server = Server::start(|_| Answer { endless: true, ..Answer::file(&content()).cut(1000) });
    Place::new(&server).fails(ONE, &["does not say how large"]);
    // Chunks say where they end.
    let server = Server::start(|_| Answer::file(b"4\r\nabcd\r\n0\r\n\r\n").with("Transfer-Encoding", "chunked"));
    assert_eq!(Place::new(&server).pull(ONE).unwrap(), b"abcd");
    let server = Server::start(|_| Answer::file(b"4\r\nabcd\r\n").with("Transfer-Encoding", "chunked"));
    Place::new(&server).fails(ONE, &["gave up"]);
}

#[test]
fn removing_takes_wholes_and_parts() {
    let server = Server::start(|request| {
        let answer = tagged(Answer::rest(request, &content()), &content());
        if request.number == 0 { answer.cut(1_000_000) } else { answer }
    });
    let mut place = Place::new(&server);
    let hub = place.hub();
    assert_eq!(hub.remove(ONE).unwrap_err().kind(), ErrorKind::Unavailable);
    place.options.retry.attempts = 1;
    place.fails(ONE, &[]);
    assert_eq!(hub.remove(ONE).unwrap(), 1_000_000);
    place.pull(ONE).unwrap();
    assert_eq!(starts(&server), [None, None], "what was removed is not gone on from");
    assert_eq!(hub.remove(ONE).unwrap(), 3_000_000);
    assert_eq!(hub.show(ONE).unwrap().state, State::Absent);
    assert!(!place.options.folder.join(ONE).exists());
    assert!(place.folder.path().exists());
}

#[test]
fn of_several_pulls_one_works() {
    let server =
        Server::start(|request| Answer { delay: Duration::from_millis(300), ..tagged(Answer::rest(request, &content()), &content()) });
    let place = Place::new(&server);
    let waited = AtomicUsize::new(0);
    let files: usize = std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let pulled = place.hub().pull(ONE, |event| {
                        waited.fetch_add(usize::from(event == PullEvent::Waiting), Ordering::Relaxed);
                    });
                    pulled.unwrap().files
                })
            })
            .collect();
        // What is being pulled cannot be removed.
        while server.requests().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(place.hub().remove(ONE).unwrap_err().to_string().contains("being pulled"));
        pulls.into_iter().map(|pull| pull.join().unwrap()).sum()
    });
    assert_eq!((files, server.requests().len()), (1, 1));
    assert_eq!(waited.load(Ordering::Relaxed), 3);
    assert_eq!(std::fs::read(place.target()).unwrap(), content());
    place.assert_tidy();
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told() {
    let server = Server::start(|_| tagged(Answer::file(&content()), &content()));
    let place = Place::new(&server);
    std::fs::create_dir_all(place.options.folder.join(ONE)).unwrap();
    std::os::unix::fs::symlink("/dev/full", place.partial()).unwrap();
    let error = place.pull(ONE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("the disk is full") && error.to_string().contains("make room"), "{error}");
    assert_eq!(place.hub().locate(ONE), None);
}

#[test]
#[cfg(unix)]
fn a_file_without_room_is_refused_before_it_comes() {
    // The hub says how large it is; the bytes themselves would take for ever.
    let huge = 1_u64 << 60;
    let server = Server::start(move |_| {
        let answer = Answer { endless: true, ..Answer::file(b"the beginning") };
        answer.with("X-Linked-Size", huge).with("X-Linked-Etag", "0".repeat(64))
    });
    let place = Place::new(&server);
    let error = place.pull(ONE).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Io, "{text}");
    assert!(text.contains("the disk is full") && text.contains("MB are free") && text.contains("MASKLINE_HOME"), "{text}");
    assert_eq!(server.requests().len(), 1, "no second attempt makes room");
}

#[test]
fn a_hub_that_changes_the_commit_midway_is_refused() {
    let (first, second) = ("0123456789abcdef0123456789abcdef01234567", "76543210fedcba9876543210fedcba9876543210");
    let server = Server::start(move |request| {
        let commit = if request.number == 0 { first } else { second };
        Answer::file(b"{}").with("ETag", "\"git\"").with("X-Repo-Commit", commit)
    });
    let place = Place::new(&server);
    place.fails(TWO, &[first, second]);
}
