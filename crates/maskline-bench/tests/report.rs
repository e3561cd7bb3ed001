//! The forms of a report: the schema, the ways out and back, hostile names.

#[path = "../examples/page/report.rs"]
mod example;
mod schema;

use std::sync::LazyLock;

use maskline_bench::Report;
use maskline_bench::report::SCHEMA;
use maskline_bench::write::{Format, csv, html, markdown, render, write};
use serde_json::{Value, json};

fn report() -> Report {
    static REPORT: LazyLock<Report> = LazyLock::new(|| example::example().expect("made-up figures are sound"));
    REPORT.clone()
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

#[test]
fn the_example_follows_the_schema_and_comes_back() {
    let report = report();
    let text = render(&report, Format::Json).expect("sound figures");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(schema::faults(&schema(), &value), Vec::<String>::new());
    assert!(Report::from_json(text.as_bytes()).expect("what was written") == report);
}

#[test]
fn the_schema_says_no() {
    let whole = serde_json::to_value(report()).expect("JSON");
    let broken = |pointer: &str, value: Value| {
        let mut broken = whole.clone();
        *broken.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there")) = value;
        schema::faults(&schema(), &broken)
    };
    let cases = [
        ("/format", json!("maskline-bench/0")),
        ("/identity/subjects/0/model/sha256", json!("0123")),
        ("/identity/subjects/0/model/precision", json!("f64")),
        ("/identity/subjects/0/threads", json!(-1)),
        ("/identity/subjects/0/threads", json!(1.5)),
        ("/cold/0/stages/0/mean_ms", json!(-0.5)),
        ("/steady/0/verdict/status", json!("FINE")),
        ("/steady/0/summary/p50_ms", json!({"value": 1.0, "low": 1.0})),
        ("/steady/0/samples/steady/0", json!([1.0, 2.0])),
        ("/steady/0/samples/steady/0", json!([1.0, 2.0, 3, 4])),
        ("/stages/0/end_to_end", json!(null)),
        ("/loads/0/kind", json!("wild")),
        ("/peers/0/parity", json!({})),
        ("/ceilings/0", json!({"name": "x", "unit": "GB/s", "achieved": 1, "limit": 2, "share": 0.5})),
    ];
    for (pointer, value) in cases {
        assert!(!broken(pointer, value.clone()).is_empty(), "{pointer} may not be {value}");
    }
}

#[test]
fn reading_says_what_is_wrong() {
    let whole = serde_json::to_value(report()).expect("JSON");
    let message = |pointer: &str, value: Value| {
        let mut broken = whole.clone();
        *broken.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there")) = value;
        Report::from_json(broken.to_string().as_bytes()).expect_err("it is broken").to_string()
    };
    assert!(message("/format", json!("other/2")).contains("expected maskline-bench/1, found other/2"));
    assert!(message("/steady/0/summary/seconds", json!(-3.0)).contains("report.steady[0].summary.seconds: expected at least 0"));
    let inverted = json!({"value": 1.0, "low": 2.0, "high": 3.0});
    assert!(message("/steady/0/summary/mean_ms", inverted).contains("report.steady[0].summary.mean_ms: expected an interval"));
    assert!(message("/steady/1/name", whole["steady"][0]["name"].clone()).contains("twice"));
    assert!(message("/loads/0/subject", json!("nobody")).contains("subject of \"image, encode\": expected one of [\"sam2.1-tiny\"]"));
    assert!(message("/peers/0/compared_with", json!("no row")).contains("is compared with: expected one of [\"image, encode\""));
    assert!(message("/sweeps/0/places", json!(["cpu"])).contains("expected the number of one of its 1 places, from 0, found 1"));
    let subject = whole["identity"]["subjects"][0].clone();
    assert!(message("/identity/subjects", json!([subject, subject])).contains("identity.subjects: expected a name for each row"));
    assert!(message("/notes", json!("none")).contains("expected a sequence"));
    assert!(Report::from_json(b"{").is_err_and(|error| error.to_string().starts_with("not a benchmark report")));
}

#[test]
fn numbers_that_are_none_are_not_written() {
    for wrong in [f64::NAN, f64::INFINITY, -1.0] {
        let mut report = report();
        report.steady[0].summary.max_ms = wrong;
        assert!(Format::ALL.iter().all(|format| render(&report, *format).is_err()), "{wrong}");
        let mut report = self::report();
        report.sweeps[0].curves[0].points[0].figure.high = wrong;
        assert!(render(&report, Format::Html).is_err(), "{wrong}");
    }
}

/// Lines and fields of CSV after RFC 4180.
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut field)),
            '\r' if !is_quoted && letters.peek() == Some(&'\n') => {
                letters.next();
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(letter),
        }
    }
    assert!(row.is_empty() && field.is_empty() && !is_quoted, "the last line ends");
    rows
}

#[test]
fn csv_has_all_digits_and_survives_hostile_names() {
    let mut report = report();
    let name = "a,\"b\"\r\n=c, é";
    report.steady[0].name = name.to_owned();
    let rows = parse_csv(&csv(&report));
    assert!(rows.iter().all(|row| row.len() == 8), "every line has 8 fields");
    let median = rows.iter().find(|row| row[0] == "steady" && row[1] == name && row[3] == "p50").expect("the row");
    let p50 = report.steady[0].summary.p50_ms.expect("enough samples");
    assert_eq!(median[5..], [p50.value, p50.low, p50.high].map(|figure| figure.to_string()));
    let missing = rows.iter().find(|row| row[0] == "steady" && row[1] == name && row[3] == "p99.9").expect("the row");
    assert_eq!(missing[5..], ["", "", ""]);
}

#[test]
fn html_is_one_harmless_page() {
    let mut report = report();
    let name = "</title><script>alert('x')</script>\" onload=\"y";
    report.identity.subjects[0].model.name = name.to_owned();
    report.steady[0].name = name.to_owned();
    report.cold[0].stages[0].name = name.to_owned();
    report.loads[0].name = name.to_owned();
    report.sweeps[0].parameter = name.to_owned();
    report.peers.iter_mut().for_each(|peer| peer.compared_with = name.to_owned());
    report.notes.push(name.to_owned());
    let page = html(&report);
    assert!(!page.contains("<script") && !page.contains("\" onload"), "the name is text");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
    // No other file, no network: the only addresses are none.
    for outside in ["http://", "https://", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf\""));
    assert_balanced(&page);
}

/// Every element that is opened is closed, in order.
fn assert_balanced(page: &str) {
    const VOID: [&str; 3] = ["meta", "br", "!DOCTYPE"];
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("tags end");
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).expect("tags have names");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "near {tag}");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn charts_name_their_axes_with_units() {
    let page = html(&report());
    let axes = [
        "time from the start of the process (ms)",
        "latency (ms)",
        "share of calls (%)",
        "start of the call (s)",
        "time (ms)",
        "threads",
        "median latency (ms)",
        "offered rate (requests/s)",
        "callers",
        "share of the limit (%)",
    ];
    for axis in axes {
        assert!(page.contains(&format!(">{axis}")), "{axis}");
    }
    assert_eq!(page.matches("<figure>").count(), page.matches("role=\"img\" aria-label=").count());
    assert!(page.matches("<figure>").count() >= 10);
}

#[test]
fn tables_say_not_available_and_give_intervals() {
    let report = report();
    let text = markdown(&report);
    let line = text.lines().find(|line| line.starts_with("| image, encode (embedding: miss)")).expect("the row");
    let cells: Vec<&str> = line.split(" | ").collect();
    assert!(cells[4].contains(" [") && cells[6] == "n/a" && cells[7] == "n/a", "{line}");
    let widths: Vec<usize> = text
        .split("\n\n")
        .filter(|part| part.starts_with("| "))
        .map(|part| {
            let counts: Vec<usize> = part.lines().map(|line| line.replace("\\|", "").matches('|').count()).collect();
            assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{part}");
            counts[0]
        })
        .collect();
    assert!(widths.len() >= 8);
}

#[test]
fn an_empty_report_is_fine() {
    let empty = Report::new(report().identity);
    for format in Format::ALL {
        assert!(!render(&empty, format).expect("nothing is wrong").is_empty());
    }
    assert_balanced(&html(&empty));
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let folder = std::env::temp_dir().join(format!("maskline-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let path = folder.join("report.json");
    let report = report();
    write(&report, Format::Json, &path).expect("a writable folder");
    assert!(Report::from_json(&std::fs::read(&path).expect("the file")).expect("a report") == report);
    assert!(write(&report, Format::Json, &folder).is_err(), "a folder is no file");
    let missing = write(&report, Format::Html, &folder.join("none").join("x.html")).expect_err("no such folder");
    assert!(missing.to_string().contains("x.html"));
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 1, "nothing half-written is left");
    std::fs::remove_dir_all(&folder).expect("it is ours");
    let left: Vec<_> = std::fs::read_dir(std::env::temp_dir()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(&format!("maskline-bench-{}.", std::process::id()))));
}
