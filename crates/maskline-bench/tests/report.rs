//! The forms of a report: the schema, the ways out and back, hostile names.

mod cards_and_efforts;
#[path = "../examples/page/report.rs"]
mod example;
mod schema;

use std::sync::LazyLock;

use maskline_bench::Report;
use maskline_bench::compare::{self, Comparison, Options, compare};
use maskline_bench::format::estimate;
use maskline_bench::report::{Ceiling, Cold, Provider, SCHEMA, StageRow, Steady, Subject};
use maskline_bench::write::{Format, comparison_text, csv, html, markdown, render, render_comparison, text, write, write_comparison};
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
        ("/identity/subjects/0/prompts", json!({"kind": "word", "count": 1})),
        ("/identity/machine/load_before", json!("low")),
        ("/steady/0/embedding", json!("maybe")),
        ("/steady/0/subject", json!(null)),
        ("/sweeps/2/places", json!([1, 2])),
        ("/peers/0/verdict", json!(null)),
        ("/peers/0/first_result", json!({"name": "x"})),
        ("/ceilings/0/work", json!(-1.0)),
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
    assert!(
        message("/loads/0/subject", json!("nobody")).contains("expected one of [\"sam2.1-tiny\", \"sam2.1-tiny, bf16\"], found \"nobody\"")
    );
    assert!(message("/peers/0/compared_with", json!("no row")).contains("is compared with: expected one of [\"sam2.1-tiny: image\""));
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
    let fact = |name: &str| {
        let row = rows.iter().find(|row| row[..2] == ["subjects", "sam2.1-tiny, bf16"] && row[3] == name);
        row.unwrap_or_else(|| panic!("{name} is there"))[5].as_str()
    };
    let facts = ["weights (SHA-256)", "precision", "provider", "kind of prompts", "nodes that fell back"].map(fact);
    assert_eq!(facts, [&"0123456789abcdef".repeat(4), "bf16", "cpu", "click", "0"]);
    let start = rows.iter().find(|row| row[..3] == ["cold", "sam2.1-tiny, cache present", "session"] && row[3] == "p50");
    assert_eq!(start.expect("the part")[4], "ms");
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
        "prompts, logarithmic",
        "throughput (images/s)",
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
    let line = text.lines().find(|line| line.starts_with("| sam2.1-tiny: image | miss | VALID | ")).expect("the row");
    let cells: Vec<&str> = line.split(" | ").collect();
    assert!(cells[4].contains(" [") && cells[5].contains(" [") && cells[6] == "n/a", "{line}");
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

/// A report with so many subjects, each with all that a subject can have.
fn many(subjects: usize) -> Report {
    let mut report = report();
    let one = Report { peers: Vec::new(), sweeps: Vec::new(), ..report.clone() };
    for i in 1..subjects {
        let name = |name: &str| format!("{name}, variant {i}");
        report.identity.subjects.extend(one.identity.subjects.iter().cloned().map(|row| Subject { name: name(&row.name), ..row }));
        report.cold.extend(one.cold.iter().cloned().map(|row| Cold { name: name(&row.name), subject: name(&row.subject), ..row }));
        report.steady.extend(one.steady.iter().cloned().map(|row| Steady { name: name(&row.name), subject: name(&row.subject), ..row }));
        report.stages.extend(one.stages.iter().cloned().map(|row| StageRow { name: name(&row.name), subject: name(&row.subject), ..row }));
        report.ceilings.extend(one.ceilings.iter().cloned().map(|row| Ceiling { subject: name(&row.subject), ..row }));
    }
    report
}

fn comparison() -> Comparison {
    let later = example::later().expect("made-up figures are sound");
    compare(&report(), &later, &Options::default()).expect("fine options")
}

#[test]
fn the_overview_has_a_row_for_each_subject_and_peer() {
    let report = report();
    let text = markdown(&report);
    let (_, overview) = text.split_once("## Overview").expect("it is there");
    let (overview, _) = overview.split_once("\n## ").expect("more follows");
    let cells = |name: &str| -> Vec<&str> {
        let line = overview.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap_or_else(|| panic!("{name}: {overview}"));
        line.trim_matches('|').split('|').map(str::trim).collect()
    };
    let ours = cells("sam2.1-tiny");
    assert_eq!(ours[1..4], ["cpu", "f32", "8"]);
    let start = &report.cold[1];
    let figures =
        [report.steady[0].summary.p50_ms, start.ready.p50_ms, start.first_result.p50_ms].map(|own| estimate(&own.expect("enough")));
    assert_eq!([ours[4], ours[7], ours[8]], figures.each_ref().map(String::as_str));
    assert_eq!([ours[5], ours[6], ours[9]], ["–", "4.68", "612 MiB"]);
    assert_eq!(ours[10..], ["96.0 MiB, 2 steps", "–", "VALID"], "and no column for the memory of cards");
    let peer = cells("pytorch (PyTorch 2.9)");
    assert_eq!([peer[5], peer[10], peer[11]], [&estimate(&report.peers[0].ratio), "5.00 GiB, 3 steps", "yes"]);
    assert_eq!(cells("onnxruntime-python (ONNX Runtime 1.24)")[11], "not checked");
    assert!(cells("sam2.1-tiny, bf16")[5].starts_with("0.7"));
    let page = html(&report);
    assert!(page.find("id=\"overview\"") < page.find("id=\"identity\""), "it is the first thing one sees");
    let mut alone = Report { peers: Vec::new(), ..report };
    alone.identity.subjects.truncate(1);
    alone.steady.truncate(3);
    assert!(!markdown(&alone).contains("## Overview"), "there is nothing to set side by side");
    assert!(html(&alone).contains("class=\"cards\""));
}

#[test]
fn a_page_of_many_subjects_stays_readable() {
    let report = many(12);
    let text = render(&report, Format::Json).expect("the names hold together");
    assert_eq!(schema::faults(&schema(), &serde_json::from_str(&text).expect("JSON")), Vec::<String>::new());
    let page = html(&report);
    assert_balanced(&page);
    assert!(!page.contains("class=\"cards\""));
    // All but four charts of samples and four sets of stages.
    assert_eq!(page.matches("<details>").count(), report.steady.len() + report.stages.len() - 8);
    let (_, stages) = page.split_once("id=\"stages\"").expect("the section");
    assert!(stages.contains("Stages, mean (ms)"), "all rows side by side");
}

#[test]
fn a_terminal_is_never_too_narrow() {
    let mut hostile = many(3);
    hostile.identity.subjects[0].model.name = "a-name-that-is-longer-than-any-terminal-is-wide/".repeat(3);
    hostile.steady[0].name = "\u{1b}[2Jcleared\n".to_owned() + &"x".repeat(200);
    hostile.peers.iter_mut().for_each(|peer| peer.compared_with = hostile.steady[0].name.clone());
    hostile.notes.push("\u{202e}a very long note ".repeat(20));
    hostile.sweeps[0].curves = vec![hostile.sweeps[0].curves[0].clone(); 30];
    let fits = |shown: &str, width: usize| {
        for line in shown.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
            assert_eq!(line.trim_end(), line);
        }
        assert!(!shown.chars().any(|letter| letter != '\n' && (letter.is_control() || letter == '\u{202e}')));
    };
    for width in [0, 40, 60, 80, 100, 120, 200] {
        for report in [&report(), &hostile, &many(24), &Report::new(report().identity)] {
            fits(&text(report, width), width.max(40));
        }
        fits(&comparison_text(&comparison(), width), width.max(40));
    }
}

#[test]
fn a_terminal_shows_what_matters_and_why() {
    let report = report();
    for width in [80, 120] {
        let shown = text(&report, width);
        for title in
            ["Overview", "Cold start", "Parts of a start", "Steady calls", "Stages of sam2.1-tiny: image", "Against the hardware's"]
        {
            assert!(shown.contains(&format!("\n{title}")), "{title} in {width}");
        }
        let words: Vec<&str> = shown.split_whitespace().collect();
        let reason = report.steady.last().map(|row| row.verdict.reason.clone()).expect("a row");
        assert!(words.join(" ").contains(&format!("now and then: UNSTABLE: {reason}")), "the reason stands below");
        let row = shown.lines().find(|line| line.starts_with("sam2.1-tiny: image ")).expect("the row");
        assert!(row.contains("VALID") && row.contains("212 [2"), "{row}");
        assert!(shown.ends_with("- All figures are made up; this page shows what a report looks like.\n"));
        assert!(!shown.contains("errors"), "no call failed");
    }
    let mut failed = report;
    failed.steady[0].errors = 17;
    let shown = text(&failed, 80);
    let (_, calls) = shown.split_once("Steady calls").expect("the table");
    assert!(
        calls.contains("errors") && calls.lines().any(|line| line.starts_with("sam2.1-tiny: image ") && line.ends_with(" 17")),
        "{calls}"
    );
}

#[test]
fn charts_show_all_parts_of_a_start_and_all_places_of_a_sweep() {
    let report = report();
    let page = html(&report);
    let section = |id: &str| {
        let (_, from) = page.split_once(&format!("<section id=\"{id}\">")).expect("the section");
        from.split_once("</section>").expect("it ends").0.to_owned()
    };
    let cold = section("cold");
    let parts = report.cold.iter().map(|row| row.stages.len()).sum::<usize>();
    // Eight parts in the legend, seven of them with the cache present.
    assert_eq!(cold.matches("class=\"bar ").count(), parts + 8);
    assert_eq!(cold.matches("class=\"upright\"").count(), report.cold.len() + 1, "a mark per row, one in the legend");
    assert!(cold.contains("ready for calls</li>") && cold.contains(" ms in all, first result p50 "));
    let sweeps = section("sweeps");
    let (_, grouped) = sweeps.split_once("<figcaption>Throughput by provider").expect("the chart");
    for place in ["cpu", "openvino", "cuda"] {
        assert!(grouped.contains(&format!(">{place}</text>")), "{place}");
    }
    let bars = report.sweeps[2].curves.iter().map(|curve| curve.points.len()).sum::<usize>();
    assert_eq!(grouped.matches("class=\"bar ").count(), bars + report.sweeps[2].curves.len());
    assert!(markdown(&report).contains("| openvino | 13.7 ["), "places by name");
}

#[test]
fn what_a_reader_must_know_first_is_said_first() {
    let mut report = report();
    report.identity.subjects[1].provider = Provider { asked: "cuda".to_owned(), actual: "cpu".to_owned(), fallback_share: Some(1.0) };
    report.identity.machine.load_before = Some(1.7);
    for shown in [text(&report, 120), markdown(&report), html(&report)] {
        let (head, _) = shown.split_once("Overview").expect("the first table");
        assert!(head.contains("sam2.1-tiny, bf16: the provider cuda was asked for, but cpu ran."), "{head}");
        assert!(head.contains("1.70 processors were busy before the run"), "{head}");
    }
    assert!([markdown(&report), html(&report)].iter().all(|shown| shown.contains("cpu (asked for: cuda)")));
    let quiet = text(&self::report(), 120);
    assert!(!quiet.contains("warning:"));
}

#[test]
fn all_forms_of_a_comparison_say_the_same() {
    let found = comparison();
    let json: Value = serde_json::from_str(&render_comparison(&found, Format::Json).expect("finite")).expect("JSON");
    let schema: Value = serde_json::from_str(compare::SCHEMA).expect("the schema is JSON");
    assert_eq!(schema::faults(&schema, &json), Vec::<String>::new());
    let mut wrong = json.clone();
    wrong["rows"][0]["change"] = json!("worse");
    assert!(!schema::faults(&schema, &wrong).is_empty());

    let [csv, markdown, page] =
        [Format::Csv, Format::Markdown, Format::Html].map(|format| render_comparison(&found, format).expect("finite"));
    let shown = comparison_text(&found, 120);
    let counts = "1 regression, 3 improvements, 8 same, 2 unclear, 1 not comparable; the threshold is 5.00 %.";
    for text in [&markdown, &page, &shown] {
        assert!(text.contains(counts));
        assert!(text.contains("subject sam2.1-tiny, bf16: threads: 8 before, 4 after"));
        assert!(text.contains("the earlier is UNSTABLE: two modes"));
    }
    let ratio = found.rows[0].ratio.expect("two medians");
    let figures = format!("{:.3} [{:.3}, {:.3}]", ratio.value, ratio.low, ratio.high);
    assert!(shown.contains(&figures) && markdown.contains(&figures));
    let rows = parse_csv(&csv);
    assert!(rows.iter().all(|row| row.len() == 8) && rows.len() == 1 + 4 * found.rows.len());
    let line = rows.iter().find(|row| row[3] == "ratio").expect("the first row");
    assert_eq!(line[..3], ["steady", "sam2.1-tiny: image", "regression"]);
    assert_eq!(line[5..], [ratio.value, ratio.low, ratio.high].map(|figure| figure.to_string()));
    assert_balanced(&page);
    assert!(page.contains(">later median over earlier (ratio), logarithmic<") && page.contains("class=\"shade c0\""));
    assert_eq!(page.matches("class=\"whisker\"").count(), found.rows.iter().filter(|row| row.ratio.is_some()).count());
}

#[test]
fn a_hostile_comparison_is_harmless() {
    let mut found = comparison();
    let name = "</title><script>alert('x')</script>\" onload=\"y|\u{1b}[2J";
    found.rows[0].name = name.to_owned();
    found.rows.iter_mut().for_each(|row| row.reason = name.to_owned());
    found.differences.push(name.to_owned());
    found.before.tool.commit = Some(name.to_owned());
    let page = render_comparison(&found, Format::Html).expect("finite");
    assert!(!page.contains("<script") && !page.contains("\" onload") && !page.contains('\u{1b}'));
    assert_balanced(&page);
    assert!(!render_comparison(&found, Format::Markdown).expect("finite").contains("<script"));
    assert!(!comparison_text(&found, 80).contains('\u{1b}'));
    assert!(parse_csv(&render_comparison(&found, Format::Csv).expect("finite")).iter().all(|row| row.len() == 8));
    let none = Comparison { rows: Vec::new(), differences: Vec::new(), ..found };
    assert!(Format::ALL.iter().all(|format| render_comparison(&none, *format).is_ok()));
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
    write_comparison(&comparison(), Format::Json, &folder.join("comparison.json")).expect("a writable folder");
    let read = std::fs::read(folder.join("comparison.json")).expect("the file");
    assert!(serde_json::from_slice::<Comparison>(&read).expect("a comparison") == comparison());
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 2, "nothing half-written is left");
    std::fs::remove_dir_all(&folder).expect("it is ours");
    let left: Vec<_> = std::fs::read_dir(std::env::temp_dir()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(&format!("maskline-bench-{}.", std::process::id()))));
}
