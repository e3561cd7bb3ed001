//! Reports for people.

use maskline_eval::{AveragePrecision, DetectionReport, LeftOut, Phrases, PromptQuality, PromptableReport, Quality};

use crate::terminal;

type Subset = (&'static str, fn(&PromptQuality) -> Option<Quality>);

const SUBSETS: [Subset; 5] = [
    ("small", |row| row.small),
    ("medium", |row| row.medium),
    ("large", |row| row.large),
    ("things", |row| row.things),
    ("stuff", |row| row.stuff),
];

/// Mean IoU by prompt.
pub(super) fn promptable(report: &PromptableReport) -> String {
    let columns: Vec<Subset> = SUBSETS.into_iter().filter(|(_, part)| report.prompts.iter().any(|row| part(row).is_some())).collect();
    let mut titles = vec!["prompt", "IoU", "95 % interval"];
    titles.extend(columns.iter().map(|(name, _)| *name));
    titles.extend(["> 0.5", "> 0.75", "> 0.9", "empty"]);
    let mut table = terminal::table(&titles);
    for row in &report.prompts {
        let all = &row.all;
        let interval = all.interval.map_or("-".into(), |[low, high]| format!("{low:.3} – {high:.3}"));
        let mut cells = vec![row.prompt.to_string(), format!("{:.3}", all.mean_iou), interval];
        cells.extend(columns.iter().map(|(_, part)| part(row).map_or("-".into(), |part| format!("{:.3}", part.mean_iou))));
        cells.extend([all.above_50, all.above_75, all.above_90, all.empty].map(percent));
        table.add_row(cells);
    }
    let mut text = format!("{} objects in {} pictures", report.objects, report.images);
    if let Some(first) = report.prompts.first() {
        let counts: Vec<String> = columns.iter().filter_map(|(name, part)| Some(format!("{} {name}", part(first)?.objects))).collect();
        text += &format!(": {}", counts.join(", "));
    }
    format!("{text}\n{table}\n{}", left_out(&report.left_out))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn left_out(left_out: &LeftOut) -> String {
    let LeftOut { crowds, small, without_mask, not_chosen } = *left_out;
    let reasons = [(crowds, "crowds"), (small, "too small"), (without_mask, "without a segmentation"), (not_chosen, "not chosen")];
    let told: Vec<String> = reasons.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    if told.is_empty() { String::new() } else { format!("left out: {}\n", told.join(", ")) }
}

/// Average precision and recall of boxes and masks.
pub(super) fn detections(report: &DetectionReport) -> String {
    let mut table = terminal::table(&["", "boxes", "masks"]);
    if report.segm.is_none() {
        table = terminal::table(&["", "boxes"]);
    }
    for (name, figure) in FIGURES {
        let number = |figures: &AveragePrecision| figure(figures).map_or("-".into(), |value| format!("{value:.4}"));
        let mut cells = vec![name.to_string(), number(&report.bbox)];
        cells.extend(report.segm.as_ref().map(number));
        table.add_row(cells);
    }
    let mut text = format!(
        "{} detections, {} objects of {} categories in {} pictures",
        report.detections, report.objects, report.categories, report.images
    );
    if report.crowds > 0 {
        text += &format!(", {} crowds", report.crowds);
    }
    text += &format!("\n{table}\n");
    if let Some(phrases) = &report.phrases {
        text += &asked(phrases);
    }
    if report.is_federated {
        text += "each picture was searched for some categories only: these are COCO's figures, which are below LVIS's own\n";
    }
    if report.left_out > 0 {
        text += &format!("not judged: {} detections of other categories\n", report.left_out);
    }
    text + &names("classes that no category has", &report.labels_without_category)
        + &names("categories that the model has no class for", &report.categories_without_label)
}

fn asked(phrases: &Phrases) -> String {
    let Phrases { asked, has_templates, encoded, from_disk } = *phrases;
    let phrasings = if has_templates { " in seven phrasings" } else { "" };
    let earlier = if from_disk > 0 { format!(", {from_disk} by an earlier run") } else { String::new() };
    format!("asked for {asked} phrases{phrasings} in every picture: {encoded} encoded in this run{earlier}\n")
}

fn names(what: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("not judged: {} {what}: {}\n", names.len(), names.join(", ")) }
}

type Figure = (&'static str, fn(&AveragePrecision) -> Option<f64>);

const FIGURES: [Figure; 12] = [
    ("AP 50–95", |figures| figures.ap),
    ("AP 50", |figures| figures.ap_50),
    ("AP 75", |figures| figures.ap_75),
    ("AP small", |figures| figures.ap_small),
    ("AP medium", |figures| figures.ap_medium),
    ("AP large", |figures| figures.ap_large),
    ("AR 1", |figures| figures.ar_1),
    ("AR 10", |figures| figures.ar_10),
    ("AR 100", |figures| figures.ar_100),
    ("AR small", |figures| figures.ar_small),
    ("AR medium", |figures| figures.ar_medium),
    ("AR large", |figures| figures.ar_large),
];
