//! Servers under load, against small ones whose behaviour is known.
#![allow(clippy::unwrap_used)]

mod schema;
mod server;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use maskline::{ErrorKind, Image};
use maskline_bench::Report;
use maskline_bench::load::Arrivals;
use maskline_bench::measure::{Given, Load, Pictures};
use maskline_bench::remote::{Asked, Key, Plan, Protocol, run};
use maskline_bench::report::{EmbeddingState, LoadKind, PromptKind, Prompts, SCHEMA, Steady, TextKind, Texts};
use maskline_bench::samples::Sample;
use maskline_bench::steadiness::Status;
use maskline_bench::write::{Format, render, text};
use serde_json::Value;
use server::{Manner, Server, segmenter};

/// A short run: what is counted is whole.
fn plan(servers: &[&Server], model: &str) -> Plan {
    Plan {
        servers: servers.iter().map(|server| server.url.parse().unwrap()).collect(),
        key: None,
        models: vec![model.to_owned()],
        protocol: None,
        shapes: Vec::new(),
        pictures: Pictures::Generated,
        asked: Asked {
            prompts: Prompts { kind: PromptKind::Click, count: 2 },
            texts: Texts { kind: TextKind::Words, count: 1 },
            phrases: Vec::new(),
            is_by_prompts: false,
        },
        given: Vec::new(),
        embeddings: vec![EmbeddingState::Miss, EmbeddingState::Hit],
        seconds: 0.3,
        loads: vec![Load::Closed { callers: 1 }],
        seed: 1,
        arguments: vec!["bench".to_owned()],
    }
}

fn measured(plan: &Plan) -> Report {
    let report = run(plan, None, &|_, _| ()).unwrap();
    report.check().unwrap();
    let json = render(&report, Format::Json).unwrap();
    let schema = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(schema::faults(&schema, &serde_json::from_str(&json).unwrap()), Vec::<String>::new());
    assert!(Report::from_json(json.as_bytes()).unwrap() == report);
    report
}

fn refused(plan: &Plan) -> maskline::Error {
    run(plan, None, &|_, _| ()).unwrap_err()
}

/// All latencies of a row, warm-up too, in milliseconds.
fn latencies(row: &Steady) -> Vec<f64> {
    let series = row.samples.as_ref().unwrap();
    series.warm_up().iter().chain(series.steady()).map(Sample::milliseconds).collect()
}

#[test]
fn loads_of_a_server_are_measured_beside_what_it_says() {
    let server = Server::start(Manner { takes: Duration::from_millis(4), ..Manner::default() });
    let mut plan = plan(&[&server], "echo");
    plan.loads.push(Load::Closed { callers: 2 });
    plan.loads.push(Load::Open { rate: 40.0, arrivals: Arrivals::Constant });
    let report = measured(&plan);
    let names: Vec<&str> = report.steady.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["echo, closed loop, 1 caller", "echo, closed loop, 2 callers", "echo, open loop, constant, 40/s"]);
    assert!(report.cold.is_empty() && report.ceilings.is_empty() && report.peers.is_empty());
    assert!(report.steady.iter().all(|row| row.errors == 0 && row.embedding.is_none() && row.verdict.status == Status::Insufficient));
    assert!(report.steady.iter().flat_map(latencies).all(|latency| latency >= 4.0), "a call takes 4 ms");
    let described = report.identity.subjects[0].server.as_ref().unwrap();
    assert_eq!((described.name.as_str(), described.version.as_str(), described.protocol.as_str()), ("test-server", "9.9", "oip, binary"));
    assert_eq!((described.state.as_deref(), &described.inputs[..]), (Some("READY"), &["x FP32 [1, 4]".to_owned()][..]));
    for point in report.loads.iter().flat_map(|curve| &curve.points) {
        let side = point.server.as_ref().unwrap();
        let told = side.told.unwrap();
        let parts = [told.queue_ms, told.compute_input_ms, told.compute_infer_ms, told.compute_output_ms];
        assert_eq!((parts, told.rows_per_run), ([1.0, 0.5, 2.0, 0.25], Some(4.0)));
        assert_eq!(side.overhead_ms(), Some(side.call_ms - 3.75));
        assert!(side.call_ms >= 4.0 && side.unanswered.is_empty() && point.achieved_per_second > 0.0, "{side:?}");
    }
    for asked in server.asked() {
        let (head, data) = asked.parts();
        assert_eq!((data.len(), &head["inputs"][0]["parameters"]["binary_data_size"]), (16, &Value::from(16)), "{head}");
    }
    for shown in [text(&report, 160), render(&report, Format::Markdown).unwrap(), render(&report, Format::Html).unwrap()] {
        assert!(shown.contains("What the servers say") && shown.contains("test-server 9.9") && shown.contains("overhead"), "{shown}");
    }
    assert!(render(&report, Format::Csv).unwrap().contains("server: infer,ms,2,"));
}

#[test]
fn every_caller_has_one_connection_and_keeps_it() {
    let server = Server::start(Manner::default());
    let report = measured(&Plan { loads: vec![Load::Closed { callers: 3 }], ..plan(&[&server], "echo") });
    assert!(report.steady[0].summary.n > 30, "{}", report.steady[0].summary.n);
    // One more asks for metadata and statistics.
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 4);
}

#[test]
fn what_is_refused_is_counted_by_status_and_has_no_latency() {
    let server = Server::start(Manner { refuses: Some((3, 503)), takes: Duration::from_millis(1), ..Manner::default() });
    let report = measured(&plan(&[&server], "echo"));
    let (row, point) = (&report.steady[0], &report.loads[0].points[0]);
    let side = point.server.as_ref().unwrap();
    assert_eq!(side.unanswered.keys().collect::<Vec<_>>(), ["503"]);
    let (refused, answered) = (side.unanswered["503"], latencies(row).len());
    assert_eq!((row.errors, point.errors), (refused, refused));
    // The first call was made before, to see whether there is anything to measure; it was answered.
    assert_eq!(refused + answered + 1, server.seen.calls.load(Ordering::SeqCst));
    assert_eq!(refused, server.seen.refused.load(Ordering::SeqCst));
    assert_eq!(side.told.unwrap().failures as usize, refused);
    assert!(
        report.notes.iter().any(|note| note.contains(&format!("503 × {refused}")) && note.contains("too many wait")),
        "{:?}",
        report.notes
    );
    assert!(text(&report, 200).contains(&format!("503 × {refused}")));
}

#[test]
fn a_stall_shows_in_an_open_loop_and_is_one_slow_call_in_a_closed_one() {
    let slow = |load: Load| {
        let server = Server::start(Manner { stalls: Some((40, Duration::from_millis(800))), ..Manner::default() });
        let report = measured(&Plan { loads: vec![load], seconds: 2.0, ..plan(&[&server], "echo") });
        latencies(&report.steady[0]).into_iter().filter(|latency| *latency > 200.0).count()
    };
    // At 50 calls per second thirty come while those before them have more than 200 ms to wait.
    let open = slow(Load::Open { rate: 50.0, arrivals: Arrivals::Constant });
    assert!((20..).contains(&open), "{open} slow calls");
    let closed = slow(Load::Closed { callers: 1 });
    assert!((1..10).contains(&closed), "{closed} slow calls");
}

#[test]
fn servers_take_turns_and_are_compared() {
    let quick = Server::start(Manner { takes: Duration::from_millis(1), ..Manner::default() });
    let slow = Server::start(Manner { name: "slow-server", takes: Duration::from_millis(15), ..Manner::default() });
    let report = measured(&Plan { seconds: 1.0, ..plan(&[&quick, &slow], "echo") });
    assert_eq!((report.steady.len(), report.peers.len(), report.identity.subjects.len()), (1, 1, 2));
    let (own, peer) = (&report.steady[0], &report.peers[0]);
    assert_eq!((peer.program.as_str(), peer.compared_with.as_str()), ("slow-server 9.9", own.name.as_str()));
    assert!(peer.is_interleaved && peer.parity.is_none());
    // 15 ms beside 1 ms, and what a call costs by itself on both sides.
    assert!(peer.ratio.low > 1.5, "{:?}", peer.ratio);
    let authority = |server: &Server| server.url.trim_start_matches("http://").to_owned();
    assert!(own.name.contains(&authority(&quick)) && peer.name.contains(&authority(&slow)), "{} {}", own.name, peer.name);
    let kinds: Vec<LoadKind> = report.loads.iter().map(|curve| curve.kind).collect();
    assert_eq!(kinds, [LoadKind::Closed; 2]);
    // More than one turn each, after the first calls, which say whether there is anything to measure.
    let times = [&quick, &slow].map(|server| server.times().into_iter().skip(1).collect::<Vec<_>>());
    let mut order: Vec<_> = times.iter().enumerate().flat_map(|(index, times)| times.iter().map(move |time| (*time, index))).collect();
    order.sort();
    let changes = order.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
    assert!((3..20).contains(&changes), "{changes} changes");
    assert!(text(&report, 160).contains("slow-server 9.9"));
}

#[test]
fn without_the_binary_extension_numbers_are_json() {
    let server = Server::start(Manner { extensions: Vec::new(), ..Manner::default() });
    let mut plan = plan(&[&server], "echo");
    plan.shapes = vec!["x:3,4".parse().unwrap()];
    let report = measured(&plan);
    assert_eq!(report.identity.subjects[0].server.as_ref().unwrap().protocol, "oip, JSON");
    let (head, _) = server.asked()[0].parts();
    assert_eq!((head["inputs"][0]["data"].as_array().unwrap().len(), &head["inputs"][0]["shape"]), (12, &Value::from(vec![3, 4])));
}

/// The picture of a binary request: its last tensor, behind its length.
fn picture(asked: &server::Asked) -> Vec<u8> {
    let (head, data) = asked.parts();
    let last = head["inputs"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["name"], "image");
    let size = last["parameters"]["binary_data_size"].as_u64().unwrap() as usize;
    data[data.len() - size + 4..].to_vec()
}

#[test]
fn pictures_are_the_same_for_a_hit_and_always_others_for_a_miss() {
    let server = Server::start(Manner { models: vec![("nano", segmenter())], takes: Duration::from_millis(5), ..Manner::default() });
    let of = |state| {
        let before = server.asked().len();
        let plan = Plan { embeddings: vec![state], loads: vec![Load::Closed { callers: 2 }], ..plan(&[&server], "nano") };
        let report = measured(&plan);
        assert_eq!(report.steady.iter().map(|row| row.embedding).collect::<Vec<_>>(), [Some(state)]);
        server.asked().split_off(before)
    };
    let hits = of(EmbeddingState::Hit);
    assert_eq!(hits.iter().map(picture).collect::<BTreeSet<_>>().len(), 1);
    let names: Vec<String> = hits[0].parts().0["inputs"].as_array().unwrap().iter().map(|input| input["name"].to_string()).collect();
    assert_eq!(names, ["\"points\"", "\"point_labels\"", "\"point_objects\"", "\"image\""]);
    // Two callers have clicks of their own.
    assert_eq!(hits.iter().map(|asked| asked.parts().1[..16].to_vec()).collect::<BTreeSet<_>>().len(), 2);
    let misses: Vec<Vec<u8>> = of(EmbeddingState::Miss).iter().map(picture).collect();
    assert!(misses.len() > 10);
    assert_eq!(misses.iter().collect::<BTreeSet<_>>().len(), misses.len());
    let options = maskline::vision::decode::DecodeOptions::default();
    let pixels: BTreeSet<Vec<u8>> =
        misses[..4].iter().map(|file| Image::from_bytes(file, &options).unwrap().pixels().pixels().to_vec()).collect();
    assert_eq!(pixels.len(), 4, "and they look different");
}

#[test]
fn maskline_is_asked_over_its_own_interface() {
    let manner = || Manner { name: "maskline", models: vec![("nano", segmenter())], takes: Duration::from_millis(5), ..Manner::default() };
    let server = Server::start(manner());
    let report = measured(&plan(&[&server], "nano"));
    assert_eq!(report.identity.subjects[0].server.as_ref().unwrap().protocol, "rest");
    let states: Vec<Option<EmbeddingState>> = report.steady.iter().map(|row| row.embedding).collect();
    assert_eq!(states, [EmbeddingState::Hit, EmbeddingState::Miss].map(Some), "misses push out what hits need, so they come last");
    let (forms, hits): (Vec<_>, Vec<_>) =
        server.asked().into_iter().partition(|asked| asked.header("content-type").unwrap().starts_with("multipart/form-data; boundary="));
    assert!(forms.len() > 2 && hits.len() > 2 && forms.iter().chain(&hits).all(|asked| asked.path == "/v1/segment"));
    let hit: Value = serde_json::from_slice(&hits[0].body).unwrap();
    assert_eq!((&hit["model"], &hit["image"]["ref"]), (&Value::from("nano"), &Value::from("0123abcd")));
    assert_eq!(hit["prompts"].as_array().unwrap().len(), 2);
    assert_eq!(hit["prompts"][0]["points"][0][2], 1, "{hit}");
    // The same, over the protocol of others.
    let server = Server::start(manner());
    measured(&Plan { protocol: Some(Protocol::Oip), ..plan(&[&server], "nano") });
    assert!(server.asked().iter().all(|asked| asked.path == "/v2/models/nano/infer"));
}

#[test]
fn who_is_not_there_or_not_ready_or_somebody_else_is_said() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut gone = plan(&[], "echo");
    gone.servers = vec![format!("http://{unused}").parse().unwrap()];
    let error = refused(&gone);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&unused.to_string()) && error.to_string().contains("maskline serve"), "{error}");

    let loading = Server::start(Manner { is_ready: false, ..Manner::default() });
    let error = refused(&plan(&[&loading], "echo"));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("echo is LOADING (warming up)"), "{error}");

    let server = Server::start(Manner::default());
    let error = refused(&plan(&[&server], "ecco"));
    assert_eq!(error.kind(), ErrorKind::BadInput);
    assert!(error.to_string().contains("no model ecco") && error.to_string().contains("it has: echo"), "{error}");

    let mut other = plan(&[&server], "echo");
    other.servers = vec![format!("{}/elsewhere", server.url).parse().unwrap()];
    let error = refused(&other);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("does not speak the Open Inference Protocol"), "{error}");

    let locked = Server::start(Manner { key: Some("open sesame"), ..Manner::default() });
    let error = refused(&plan(&[&locked], "echo"));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("MASKLINE_API_KEY") && error.to_string().contains("401"), "{error}");
    measured(&Plan { key: Some(Key::new("open sesame")), ..plan(&[&locked], "echo") });

    let broken = Server::start(Manner { refuses: Some((1, 500)), ..Manner::default() });
    let error = refused(&plan(&[&broken], "echo"));
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.to_string().contains("500: too many wait"), "{error}");
}

#[test]
fn a_plan_that_cannot_be_is_refused() {
    let server = Server::start(Manner { models: vec![("echo", server::tensors()), ("nano", segmenter())], ..Manner::default() });
    let echo = || plan(&[&server], "echo");
    let nano = || plan(&[&server], "nano");
    let mask = Asked { prompts: Prompts { kind: PromptKind::Mask, count: 1 }, ..nano().asked };
    let cases = [
        (plan(&[&server, &server], "echo"), "each server once"),
        (Plan { models: vec!["echo".into(), "echo".into()], ..echo() }, "echo twice"),
        (plan(&[&server], "a/b"), "names of the server's models"),
        (Plan { embeddings: vec![EmbeddingState::Held], ..nano() }, "hit or miss"),
        (Plan { seconds: 0.0, ..echo() }, "--time"),
        (Plan { protocol: Some(Protocol::Rest), ..echo() }, "--protocol rest does not apply"),
        (Plan { shapes: vec!["z:1,4".parse().unwrap()], ..echo() }, "one of x"),
        (Plan { shapes: vec!["x:1,5".parse().unwrap()], ..echo() }, "[-1, 4]"),
        (Plan { shapes: vec!["image:1".parse().unwrap()], ..nano() }, "the models take pictures"),
        (Plan { given: vec![Given::Prompts], ..echo() }, "--prompts does not apply to echo"),
        (Plan { given: vec![Given::Embedding], ..echo() }, "--embedding does not apply to echo"),
        (Plan { given: vec![Given::Text], ..nano() }, "--text does not apply to nano"),
        (Plan { pictures: Pictures::Files(vec!["a.jpg".into()]), ..echo() }, "--images does not apply"),
        (Plan { asked: mask, ..nano() }, "click or box"),
    ];
    for (plan, words) in cases {
        let error = refused(&plan);
        assert_eq!(error.kind(), ErrorKind::InvalidOption, "{error}");
        assert!(error.to_string().contains(words), "`{words}` is not in: {error}");
    }
    assert_eq!(server.seen.calls.load(Ordering::SeqCst), 0, "nothing was measured");
}
