//! Made-up prompts: spread over the picture, the same in every run and for every program.

use maskline::{Mask, MaskPrompt, Prompt, Result};

use crate::report::{PromptKind, Prompts};

/// Boxes [x1, y1, x2, y2] in pixels of a picture of this width and height: places of Roberts' R2 sequence (2018), which fills the square
/// evenly for any count, and sides of an eighth to three eighths of the picture's.
pub fn boxes(count: usize, size: (usize, usize)) -> Vec<[f32; 4]> {
    places(0, count, size)
}

/// The boxes with these numbers: no two are the same.
pub(crate) fn places(first: usize, count: usize, size: (usize, usize)) -> Vec<[f32; 4]> {
    let (width, height) = size;
    // Powers of the inverse plastic number.
    const STEP: [f64; 2] = [0.754_877_666_246_692_8, 0.569_840_290_998_053_3];
    let make = |i: usize| {
        let place = STEP.map(|step| (0.5 + step * i as f64).fract());
        let [wide, high] = [0, 1].map(|axis| 0.125 + 0.25 * (place[axis] * 7.0).fract());
        let left = place[0] * (1.0 - wide) * width as f64;
        let top = place[1] * (1.0 - high) * height as f64;
        [left, top, left + wide * width as f64, top + high * height as f64].map(|side| side as f32)
    };
    (first..first + count).map(make).collect()
}

/// Prompts on a picture of this width and height: boxes as they are, clicks in their middles, masks that are ellipses in them.
pub(crate) fn prompts(asked: Prompts, size: (usize, usize)) -> Result<Vec<Prompt>> {
    prompts_of(0, asked, size)
}

/// The prompts of one of several callers, who share none; those of caller 0 are [`prompts`].
pub(super) fn prompts_of(caller: usize, asked: Prompts, size: (usize, usize)) -> Result<Vec<Prompt>> {
    let make = |bounds: [f32; 4]| match asked.kind {
        PromptKind::Box => Ok(Prompt::bounds(bounds)),
        PromptKind::Click => {
            let [x, y] = middle(bounds);
            Ok(Prompt::click(x, y))
        }
        PromptKind::Mask => Ok(Prompt::default().with_mask(MaskPrompt::Picture(ellipse(bounds, size)?))),
    };
    places(caller * asked.count, asked.count, size).into_iter().map(make).collect()
}

/// Middle of a box.
pub fn middle([x1, y1, x2, y2]: [f32; 4]) -> [f32; 2] {
    [(x1 + x2) / 2.0, (y1 + y2) / 2.0]
}

fn ellipse(bounds: [f32; 4], size: (usize, usize)) -> Result<Mask> {
    let (width, height) = size;
    let [x, y] = middle(bounds);
    let [across, down] = [(bounds[2] - bounds[0]) / 2.0, (bounds[3] - bounds[1]) / 2.0];
    let is_inside = |row: usize, column: usize| {
        let [dx, dy] = [(column as f32 + 0.5 - x) / across, (row as f32 + 0.5 - y) / down];
        dx * dx + dy * dy <= 1.0
    };
    Ok(Mask::from_fn(width, height, |column, row| is_inside(row, column))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_share_no_prompts() {
        let asked = Prompts { kind: PromptKind::Click, count: 3 };
        let of = |caller: usize| prompts_of(caller, asked, (640, 480)).expect("clicks on a picture");
        let all: Vec<Prompt> = (0..8).flat_map(of).collect();
        assert_eq!(all[..3], prompts(asked, (640, 480)).expect("clicks on a picture"));
        assert!(all.iter().enumerate().all(|(index, prompt)| !all[..index].contains(prompt)), "{all:?}");
    }
}
