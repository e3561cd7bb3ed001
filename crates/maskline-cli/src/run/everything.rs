//! `run --everything`: objects of a picture that nobody pointed at.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use maskline::vision::draw::Marks;
use maskline::{ErrorKind, EverythingOptions, Image, Model, Progress};
use serde_json::json;

use super::report::{Answer, Report};
use crate::args::{Multimask, Run};
use crate::failure::Failure;
use crate::output::Drawn;
use crate::{interrupt, terminal};

/// A promptable model that is asked at every place.
pub(super) struct Everything<'a> {
    pub(super) model: &'a Model,
    pub(super) options: EverythingOptions,
}

/// The options that the command line names.
pub(super) fn options(arguments: &Run) -> EverythingOptions {
    let wished = &arguments.everything;
    EverythingOptions {
        points_per_side: wished.points_per_side,
        pred_iou_thresh: wished.pred_iou_thresh,
        stability_score_thresh: wished.stability_thresh,
        stability_score_offset: wished.stability_offset,
        mask_threshold: arguments.prompted.mask_threshold,
        box_nms_thresh: wished.box_nms_thresh,
        crop_n_layers: wished.crop_layers,
        crop_nms_thresh: wished.crop_nms_thresh,
        crop_overlap_ratio: wished.crop_overlap.unwrap_or(EverythingOptions::default().crop_overlap_ratio),
        crop_n_points_downscale_factor: wished.crop_points_downscale,
        min_mask_region_area: wished.min_area,
        use_m2m: wished.m2m,
        multimask_output: arguments.prompted.multimask != Multimask::Off,
        chunk: arguments.prompted.chunk,
        ..EverythingOptions::default()
    }
}

impl Everything<'_> {
    pub(super) fn answer(&self, report: &mut Report<'_>, places: &[usize]) -> Result<(), Failure> {
        for &place in places {
            let mut progress = Clicks::new(report.arguments.quiet);
            let found = report.open(place).and_then(|image| {
                let found = self.model.everything_watched(&image, &self.options, &mut |now| progress.tell(now))?;
                Ok((found, image))
            });
            progress.bar.finish_and_clear();
            match found {
                Ok((found, image)) => self.tell(report, place, &image, &found)?,
                Err(error) if error.kind() == ErrorKind::Cancelled => return Ok(()),
                Err(error) => report.fail(place, error)?,
            }
        }
        Ok(())
    }

    fn tell(&self, report: &mut Report<'_>, place: usize, image: &Image, found: &maskline::Everything) -> Result<(), Failure> {
        let mut all = json!(found.objects);
        for (object, origin) in all.as_array_mut().into_iter().flatten().zip(&found.origins) {
            object["point"] = json!(origin.point.map(|side| (f64::from(side) * 100.0).round() / 100.0));
            object["crop_box"] = json!(origin.crop);
        }
        let answer = Answer {
            image,
            models: &[self.model],
            drawn: Drawn { objects: &found.objects, classes: None, marks: Marks::default() },
            found: all,
            examples: Vec::new(),
            timings: found.timings,
            nothing: "nothing found".into(),
            absent: Vec::new(),
            errors: &[],
        };
        report.succeed(place, &answer)
    }
}

/// How long a picture is worked on before that is told, and then how often it is where nobody watches a bar.
const PATIENCE: Duration = Duration::from_secs(1);
const REPEAT: Duration = Duration::from_secs(10);

/// Tells how far one picture is.
struct Clicks {
    bar: ProgressBar,
    start: Instant,
    next: Instant,
    is_quiet: bool,
}

impl Clicks {
    fn new(is_quiet: bool) -> Self {
        let start = Instant::now();
        Self { bar: ProgressBar::hidden(), start, next: start + PATIENCE, is_quiet }
    }

    fn tell(&mut self, now: Progress) -> ControlFlow<()> {
        if interrupt::is_wished() {
            return ControlFlow::Break(());
        }
        if !self.is_quiet && Instant::now() >= self.next && now.done < now.total {
            if terminal::is_talking() {
                let style = ProgressStyle::with_template("{bar:30} {pos}/{len} clicks, {msg} left");
                self.bar = ProgressBar::with_draw_target(Some(now.total as u64), ProgressDrawTarget::stderr())
                    .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                self.next += Duration::from_secs(u64::from(u32::MAX));
            } else {
                terminal::say(&format!("{} of {} clicks are answered", now.done, now.total));
                self.next = Instant::now() + REPEAT;
            }
        }
        // The bar's own guess counts from when it came, by when some clicks were answered.
        self.bar.set_message(HumanDuration(left(self.start.elapsed(), now)).to_string());
        self.bar.set_position(now.done as u64);
        ControlFlow::Continue(())
    }
}

/// The time that the rest takes, if it goes on as it went.
fn left(elapsed: Duration, now: Progress) -> Duration {
    let (done, rest) = (now.done.max(1) as f64, now.total.saturating_sub(now.done) as f64);
    elapsed.mul_f64(rest / done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_by_all_that_was_done() {
        let left = |done, total| left(Duration::from_secs(2), Progress { done, total });
        assert_eq!([left(50, 250), left(250, 250), left(0, 3)], [8, 0, 6].map(Duration::from_secs));
    }
}
