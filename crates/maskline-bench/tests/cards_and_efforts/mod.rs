//! Cards that computed, and what it takes to come to an answer, in all forms of a report.

use maskline_bench::Report;
use maskline_bench::report::{Card, CardState, Effort};
use maskline_bench::write::{Format, csv, html, markdown, render, text};

use super::{assert_balanced, parse_csv, schema};

/// The example on a card that was slowed down.
fn on_card() -> Report {
    let mut report = super::report();
    let state = |mhz, degrees| CardState { clock_mhz: Some(mhz), temperature_celsius: Some(degrees) };
    report.identity.machine.throttles = Some(3);
    report.identity.machine.cards = vec![Card {
        name: "NVIDIA H200".into(),
        clock_max_mhz: Some(1980.0),
        power_limit_watts: None,
        before: state(345.0, 35.0),
        after: state(1755.0, 61.0),
        slowed_by: vec!["power limit".into()],
    }];
    report.cold[1].device_memory_bytes = Some(5 << 30);
    report.steady[0].device_memory_bytes = Some(6 << 30);
    report
}

#[test]
fn the_memory_of_cards_is_a_column_where_a_row_has_it() {
    let report = on_card();
    let text = markdown(&report);
    let table = |title: &str| {
        let (_, table) = text.split_once(&format!("## {title}\n")).unwrap_or_else(|| panic!("{title}: {text}"));
        table.split_once("\n## ").map_or(table, |(table, _)| table)
    };
    for (title, bytes) in [("Overview", "6.00 GiB"), ("Cold start", "5.00 GiB"), ("Steady calls", "6.00 GiB")] {
        let table = table(title);
        assert!(table.contains("| device memory |") && table.matches(bytes).count() == 1, "{table}");
        assert!(!markdown(&super::report()).contains("device memory"));
    }
    let json = render(&report, Format::Json).expect("sound figures");
    assert_eq!(schema::faults(&schema(), &serde_json::from_str(&json).expect("JSON")), Vec::<String>::new());
    assert!(Report::from_json(json.as_bytes()).expect("what was written") == report);
    let rows = parse_csv(&csv(&report));
    let figures: Vec<_> = rows.iter().filter(|row| row[3] == "device memory").map(|row| (row[0].as_str(), row[5].as_str())).collect();
    assert_eq!(figures, [("cold", "5368709120"), ("steady", "6442450944")]);
    let page = html(&report);
    assert_balanced(&page);
    assert!(page.matches("device memory").count() >= 3);
}

#[test]
fn clocks_are_told_and_what_was_slowed_down_is_said_first() {
    let report = on_card();
    let card =
        "NVIDIA H200: 345 MHz, 35 °C before and 1755 MHz, 61 °C after the steady calls; at most 1980 MHz; slowed down by: power limit";
    for shown in [markdown(&report), html(&report), csv(&report)] {
        assert!(shown.contains(card) && shown.contains("3390 MHz, 3600 MHz at most") && shown.contains("3 times"), "{shown}");
    }
    for shown in [text(&report, 200), markdown(&report), html(&report)] {
        let (head, _) = shown.split_once("Overview").expect("the first table");
        assert!(head.contains("NVIDIA H200 was slowed down during the steady calls: power limit."), "{head}");
        assert!(head.contains("The processor slowed down for heat, 3 times during the run."), "{head}");
    }
}

#[test]
fn what_it_takes_to_come_to_an_answer_is_told_once_for_all_that_take_the_same() {
    let mut report = super::report();
    report.peers[1].effort = Some(Effort { installed_bytes: None, steps: vec!["run it".into()] });
    let shown = markdown(&report);
    let (_, efforts) = shown.split_once("## Until the first answer").expect("the table");
    let (efforts, _) = efforts.split_once("\n## ").expect("more follows");
    assert_eq!(
        efforts.matches("| maskline, cpu | 96.0 MiB | 2 | install maskline; maskline run |").count(),
        1,
        "of two subjects: {efforts}"
    );
    assert!(efforts.contains("| PyTorch | 5.00 GiB | 3 | pip install torch; write a script"), "{efforts}");
    assert!(shown.contains("size unknown, 1 step |"));
    let rows = parse_csv(&csv(&report));
    let steps: Vec<&str> = rows.iter().filter(|row| row[3] == "steps").map(|row| row[5].as_str()).collect();
    assert_eq!(steps, ["2", "2", "3", "1"]);
    let json = render(&report, Format::Json).expect("sound figures");
    assert_eq!(schema::faults(&schema(), &serde_json::from_str(&json).expect("JSON")), Vec::<String>::new());
    report.identity.subjects.iter_mut().for_each(|subject| subject.effort = None);
    report.peers.iter_mut().for_each(|peer| peer.effort = None);
    let quiet = markdown(&report);
    assert!(!quiet.contains("difficulty") && !quiet.contains("Until the first answer"));
}
