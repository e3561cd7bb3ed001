//! The prompts of one picture, round by round: boxes, then clicks that follow the answers.

use maskline::{Click, Error, ErrorKind, Mask, MaskPrompt, Prompt, Result};
use rayon::prelude::*;

use crate::clicks::{first_click, next_click};
use crate::file::wrong;
use crate::{PromptableOptions, baselines};

/// What a model says to one prompt.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// At the size of the picture.
    pub(crate) mask: Mask,
    /// The answer as a prompt for a better one, where that is wished.
    pub(crate) feedback: Option<MaskPrompt>,
}

/// How one answer compares with its object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    pub(crate) iou: f64,
    pub(crate) is_empty: bool,
}

/// All scores of one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Played {
    /// Answer to the box.
    pub(crate) bounds: Score,
    /// Answers to one click, two clicks, …
    pub(crate) clicks: Vec<Score>,
    /// The filled box.
    pub(crate) filled_box: Score,
    /// The filled ellipse.
    pub(crate) filled_ellipse: Score,
}

/// A game of clicks for one object.
struct Game<'a> {
    object: &'a Mask,
    prompt: Prompt,
    answer: Option<Answer>,
    scores: Vec<Score>,
}

/// Plays all rounds of the objects of one picture; `ask` answers all prompts of a round, in their order.
pub(crate) fn play(
    objects: &[&Mask],
    options: &PromptableOptions,
    mut ask: impl FnMut(&[Prompt]) -> Result<Vec<Answer>>,
) -> Result<Vec<Played>> {
    let boxes = objects.iter().map(|object| Ok(Prompt::bounds(tight(object)?.map(|side| side as f32)))).collect::<Result<Vec<_>>>()?;
    let answers: Vec<_> = objects.iter().zip(answers_to(&mut ask, &boxes)?).collect();
    let on_boxes = answers.par_iter().map(|(object, answer)| Score::of(&answer.mask, object)).collect::<Result<Vec<_>>>()?;
    drop(answers);
    let games = play_clicks(objects, options, &mut ask)?;
    let items: Vec<_> = games.into_iter().zip(on_boxes).collect();
    let played = items.par_iter().map(|(game, bounds)| {
        let (box_, size) = (tight(game.object)?, [game.object.width(), game.object.height()]);
        Ok(Played {
            bounds: *bounds,
            clicks: game.scores.clone(),
            filled_box: Score::of(&baselines::filled_box(box_, size)?, game.object)?,
            filled_ellipse: Score::of(&baselines::filled_ellipse(box_, size)?, game.object)?,
        })
    });
    played.collect()
}

fn play_clicks<'a>(
    objects: &[&'a Mask],
    options: &PromptableOptions,
    ask: &mut impl FnMut(&[Prompt]) -> Result<Vec<Answer>>,
) -> Result<Vec<Game<'a>>> {
    let mut games: Vec<Game> =
        objects.iter().map(|object| Game { object, prompt: Prompt::default(), answer: None, scores: Vec::new() }).collect();
    for _ in 0..options.clicks {
        let clicks = games.par_iter().map(Game::next_click).collect::<Result<Vec<_>>>()?;
        // A perfect answer needs no further click: it stays, and so does its score.
        let mut open: Vec<&mut Game> = Vec::new();
        for (game, click) in games.iter_mut().zip(clicks) {
            match click {
                Some(click) => {
                    game.prompt.clicks.push(click);
                    game.prompt.mask = game.answer.as_mut().and_then(|answer| answer.feedback.take());
                    open.push(game);
                }
                None => game.scores.extend(game.scores.last().copied()),
            }
        }
        if open.is_empty() {
            continue;
        }
        let prompts: Vec<Prompt> = open.iter().map(|game| game.prompt.clone()).collect();
        let answers: Vec<_> = open.iter().map(|game| game.object).zip(answers_to(ask, &prompts)?).collect();
        let scores = answers.par_iter().map(|(object, answer)| Score::of(&answer.mask, object)).collect::<Result<Vec<_>>>()?;
        for ((game, (_, answer)), score) in open.into_iter().zip(answers).zip(scores) {
            game.scores.push(score);
            game.answer = Some(answer);
        }
    }
    Ok(games)
}

impl Game<'_> {
    fn next_click(&self) -> Result<Option<Click>> {
        self.answer.as_ref().map_or_else(|| Ok(first_click(self.object)), |answer| next_click(&answer.mask, self.object))
    }
}

impl Score {
    fn of(answer: &Mask, object: &Mask) -> Result<Self> {
        Ok(Self { iou: answer.iou(object)?, is_empty: answer.is_empty() })
    }
}

fn answers_to(ask: &mut impl FnMut(&[Prompt]) -> Result<Vec<Answer>>, prompts: &[Prompt]) -> Result<Vec<Answer>> {
    let answers = ask(prompts)?;
    if answers.len() == prompts.len() {
        return Ok(answers);
    }
    let expected = format!("{} answers", prompts.len());
    Err(Error::new(ErrorKind::BadAnswer, "").expecting(expected).but_found(answers.len()))
}

fn tight(object: &Mask) -> Result<[usize; 4]> {
    object.bounds().ok_or_else(|| wrong("").expecting("an object of at least one pixel").but_found("an empty mask"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SIZE: [usize; 2] = [60, 50];

    fn rectangle([x1, y1, x2, y2]: [usize; 4]) -> Mask {
        Mask::from_fn(SIZE[0], SIZE[1], |x, y| (x1..x2).contains(&x) && (y1..y2).contains(&y)).unwrap()
    }

    fn answer(mask: Mask) -> Answer {
        Answer { mask, feedback: None }
    }

    #[test]
    fn who_knows_the_object_needs_one_click() {
        let objects = [rectangle([3, 4, 30, 40]), rectangle([35, 10, 55, 45])];
        let mut rounds = Vec::new();
        let played = play(&objects.iter().collect::<Vec<_>>(), &PromptableOptions::default(), |prompts| {
            rounds.push(prompts.to_vec());
            Ok(objects.iter().cloned().map(answer).collect())
        });
        let right = Score { iou: 1.0, is_empty: false };
        for (played, object) in played.unwrap().iter().zip(&objects) {
            assert_eq!((played.bounds, &played.clicks, played.filled_box), (right, &vec![right; 5], right));
            assert!((played.filled_ellipse.iou - std::f64::consts::FRAC_PI_4).abs() < 0.02, "{object:?}");
        }
        assert_eq!(rounds.len(), 2, "nothing is left to be asked");
        assert_eq!(rounds[0], [Prompt::bounds([3.0, 4.0, 30.0, 40.0]), Prompt::bounds([35.0, 10.0, 55.0, 45.0])]);
        assert_eq!(rounds[1], [Prompt::click(16.5, 17.5), Prompt::click(44.5, 19.5)]);
    }

    #[test]
    fn clicks_gather_and_follow_the_answer() {
        let object = rectangle([10, 10, 50, 30]);
        let mut rounds: Vec<Prompt> = Vec::new();
        // Sees a square about each positive click, and nothing about negative ones.
        let played = play(&[&object], &PromptableOptions { clicks: 4, ..PromptableOptions::default() }, |prompts| {
            rounds.push(prompts[0].clone());
            let mut mask = rectangle([0, 0, 0, 0]);
            for click in prompts[0].clicks.iter().filter(|click| click.is_positive) {
                let (x, y) = (click.x as usize, click.y as usize);
                let square = [x.saturating_sub(12), y.saturating_sub(12), (x + 12).min(60), (y + 12).min(50)];
                mask = mask.union(&rectangle(square)).unwrap();
            }
            Ok(vec![answer(mask)])
        });
        let played = played.unwrap();
        assert_eq!(played[0].bounds, Score { iou: 0.0, is_empty: true });
        assert_eq!(played[0].clicks.len(), 4);
        let counts: Vec<usize> = rounds.iter().map(|prompt| prompt.clicks.len()).collect();
        assert_eq!(counts, [0, 1, 2, 3, 4]);
        for pair in rounds[1..].windows(2) {
            assert_eq!(pair[0].clicks, pair[1].clicks[..pair[0].clicks.len()], "earlier clicks stay");
        }
        for click in &rounds[4].clicks {
            assert_eq!(click.is_positive, object.get(click.x as usize, click.y as usize));
        }
        assert!(played[0].clicks[1].iou > played[0].clicks[0].iou);
    }

    #[test]
    fn feedback_is_the_answer_to_the_clicks_before() {
        let object = rectangle([10, 10, 50, 30]);
        let mut round = 0;
        let half = |round: usize| MaskPrompt::Picture(rectangle([10, 10, 11 + round, 30]));
        let played = play(&[&object], &PromptableOptions::default(), |prompts| {
            // The box is round 0; the first click has nothing to go on.
            let expected = (round > 1).then(|| half(round - 1));
            assert_eq!(prompts[0].mask, expected, "round {round}");
            let MaskPrompt::Picture(mask) = half(round) else { unreachable!() };
            round += 1;
            Ok(vec![Answer { mask, feedback: Some(half(round - 1)) }])
        });
        assert_eq!((played.unwrap()[0].clicks.len(), round), (5, 6));
    }

    #[test]
    fn too_few_answers_are_an_error() {
        let object = rectangle([10, 10, 50, 30]);
        assert_eq!(play(&[&object], &PromptableOptions::default(), |_| Ok(vec![])).unwrap_err().kind(), ErrorKind::BadAnswer);
    }
}
