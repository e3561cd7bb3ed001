//! What was measured, as a table and as JSON.

use std::fmt::Write;

use serde::Serialize;

/// Who follows objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Follower {
    /// maskline.
    Maskline,
    /// transformers' `Sam2VideoModel` in PyTorch.
    Transformers,
}

/// Frames on which so many memories were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fill {
    /// Memories of each object.
    pub memories: usize,
    /// Median time of a frame.
    pub milliseconds: f64,
    /// Frames.
    pub frames: usize,
}

/// One video.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Who followed them.
    pub program: Follower,
    /// Objects.
    pub objects: usize,
    /// The first frame, on which all objects are clicked: with what is opened and planned for it.
    pub first_milliseconds: f64,
    /// By the number of memories.
    pub fills: Vec<Fill>,
    /// Bytes that are kept of frames and objects, in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<usize>,
}

impl Row {
    pub(super) fn with_state(self, bytes: usize) -> Self {
        Self { state_bytes: Some(bytes), ..self }
    }

    /// A frame with all memories.
    pub fn full_milliseconds(&self) -> Option<f64> {
        Some(self.fills.last()?.milliseconds)
    }
}

/// All videos of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was measured.
    pub architecture: String,
    /// By objects, and of each number by program.
    pub rows: Vec<Row>,
    /// What a further object costs a frame with all memories, in milliseconds, by program: the slope of a straight line.
    pub object_milliseconds: Vec<(Follower, f64)>,
    /// What a further memory costs an object on a frame, in milliseconds, by program.
    pub memory_milliseconds: Vec<(Follower, f64)>,
}

impl Report {
    pub(super) fn new(architecture: String, rows: Vec<Row>) -> Self {
        let programs: Vec<Follower> =
            [Follower::Maskline, Follower::Transformers].into_iter().filter(|p| rows.iter().any(|row| row.program == *p)).collect();
        let of = |program: &Follower| rows.iter().filter(|row| row.program == *program).collect::<Vec<_>>();
        let by_objects = |program: &Follower| {
            let points = of(program).iter().filter_map(|row| Some((row.objects as f64, row.full_milliseconds()?))).collect::<Vec<_>>();
            slope(&points).map(|slope| (*program, slope))
        };
        let by_memories = |program: &Follower| {
            // Of each video its own line, per object.
            let slopes: Vec<f64> = of(program)
                .iter()
                .filter_map(|row| {
                    let points: Vec<(f64, f64)> = row.fills.iter().map(|fill| (fill.memories as f64, fill.milliseconds)).collect();
                    Some(slope(&points)? / row.objects.max(1) as f64)
                })
                .collect();
            median(&slopes).map(|slope| (*program, slope))
        };
        let (object, memory) = (programs.iter().filter_map(by_objects).collect(), programs.iter().filter_map(by_memories).collect());
        Self { architecture, object_milliseconds: object, memory_milliseconds: memory, rows }
    }

    /// How many times as many frames a second maskline does as the other program, by number of objects, with all memories.
    pub fn ratios(&self) -> Vec<(usize, f64)> {
        let of = |program: Follower, objects: usize| {
            self.rows.iter().find(|row| row.program == program && row.objects == objects).and_then(Row::full_milliseconds)
        };
        let ours = self.rows.iter().filter(|row| row.program == Follower::Maskline);
        ours.filter_map(|row| Some((row.objects, of(Follower::Transformers, row.objects)? / row.full_milliseconds()?))).collect()
    }

    /// As text, or as Markdown where it is to be kept.
    pub fn text(&self, is_markdown: bool) -> String {
        let mut text = String::new();
        let head = ["objects", "program", "first frame ms", "1 memory ms", "all memories ms", "frames/s", "state MB"];
        let mut rows = vec![head.map(str::to_owned)];
        for row in &self.rows {
            let program = match row.program {
                Follower::Maskline => "maskline",
                Follower::Transformers => "transformers",
            };
            let number = |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
            let full = row.full_milliseconds();
            rows.push([
                row.objects.to_string(),
                program.into(),
                format!("{:.0}", row.first_milliseconds),
                number(row.fills.first().map(|fill| fill.milliseconds), 0),
                number(full, 0),
                number(full.map(|full| 1e3 / full), 2),
                number(row.state_bytes.map(|bytes| bytes as f64 / 1e6), 1),
            ]);
        }
        let widths: [usize; 7] = std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
        for (number, row) in rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
            // Writing to a string cannot fail.
            let _ =
                if is_markdown { writeln!(text, "| {} |", cells.join(" | ")) } else { writeln!(text, "{}", cells.join("  ").trim_end()) };
            if is_markdown && number == 0 {
                let _ = writeln!(text, "|{}", "-:|".repeat(widths.len()));
            }
        }
        if is_markdown {
            text.push('\n');
        }
        for (program, cost) in &self.object_milliseconds {
            let _ = writeln!(text, "a further object costs {program:?} {cost:.0} ms a frame");
        }
        for (program, cost) in &self.memory_milliseconds {
            let _ = writeln!(text, "a further memory costs {program:?} {cost:.0} ms an object and frame");
        }
        for (objects, ratio) in self.ratios() {
            let _ = writeln!(text, "{objects} objects: {ratio:.2} × the frames a second of transformers");
        }
        text
    }
}

/// The slope of the straight line through points (least squares); `None` where all have one place.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (spread > 0.0).then(|| points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread)
}

pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(program: Follower, objects: usize, times: &[f64]) -> Row {
        let fills = times.iter().enumerate().map(|(index, time)| Fill { memories: index + 1, milliseconds: *time, frames: 1 }).collect();
        Row { program, objects, first_milliseconds: 10.0, fills, state_bytes: None }
    }

    #[test]
    fn slopes_and_ratios_are_those_of_straight_lines() {
        let rows = vec![
            row(Follower::Maskline, 1, &[110.0, 120.0]),
            row(Follower::Transformers, 1, &[300.0, 360.0]),
            row(Follower::Maskline, 3, &[330.0, 360.0]),
            row(Follower::Transformers, 3, &[900.0, 1080.0]),
        ];
        let report = Report::new("some".into(), rows);
        assert_eq!(report.object_milliseconds, vec![(Follower::Maskline, 120.0), (Follower::Transformers, 360.0)]);
        assert_eq!(report.memory_milliseconds, vec![(Follower::Maskline, 10.0), (Follower::Transformers, 60.0)]);
        assert_eq!(report.ratios(), vec![(1, 3.0), (3, 3.0)]);
        assert!(report.text(false).contains("3.00 × the frames") && report.text(true).starts_with("| objects"));
    }

    #[test]
    fn one_video_has_no_slope_over_objects() {
        let report = Report::new("some".into(), vec![row(Follower::Maskline, 2, &[5.0])]);
        assert!(report.object_milliseconds.is_empty() && report.memory_milliseconds.is_empty() && report.ratios().is_empty());
    }
}
