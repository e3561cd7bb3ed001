//! Words and examples, on their way to the networks: what each concept needs is encoded once, and all are looked for together.

use super::concept::{Concept, Exemplar, check_count};
use super::{Answer, Round, ended};
use crate::drivers::{Call, Encoded, Inquiry, Shown, Wanted};
use crate::{
    Ask, Detections, EmbeddingSource, Error, ErrorKind, Image, Model, Object, PhraseCount, PredictOptions, Request, Result, Stage,
    WordOptions,
};

impl Model {
    /// The objects of several concepts in one picture, by falling score: what [`Model::answer`] gives, as one list. An object's class is the
    /// index of its concept, its label what that is called.
    ///
    /// # Errors
    /// `InvalidOption` if the model takes no words and no examples, `BadInput` for a concept that means nothing, for a text that is too long
    /// for the text encoder and for an example beside its picture.
    pub fn find_concepts(&self, image: &Image, concepts: &[Concept], options: &PredictOptions) -> Result<Detections> {
        let asks = concepts.iter().cloned().map(Ask::Concept);
        let request = Request { predict: options.clone(), ..Request::new(image.clone(), asks) };
        let call = Call::default();
        let mut round = Round { is_one: true, ..Round::new(self, &request, &call) };
        let mut answers: Vec<Option<Result<Answer>>> = concepts.iter().map(|_| None).collect();
        round.concepts(&mut answers)?;
        let mut objects: Vec<Object> = Vec::new();
        for answer in answers.into_iter().flatten() {
            objects.extend(answer?.objects);
        }
        objects.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(Detections { objects, classes: None, size: image.size(), timings: round.timings })
    }
}

/// The concepts of a request, by the place of their ask.
type Placed<'a> = (usize, &'a Concept);

impl Round<'_> {
    /// Answers what words and examples mean, all of them together.
    pub(super) fn concepts(&mut self, answers: &mut [Option<Result<Answer>>]) -> Result<()> {
        let request = self.request;
        let mut placed: Vec<Placed<'_>> = Vec::new();
        for (index, ask) in request.asks.iter().enumerate() {
            let Ask::Concept(concept) = ask else { continue };
            match concept.check() {
                Ok(()) => placed.push((index, concept)),
                Err(error) => answers[index] = Some(Err(self.of_one(error)?)),
            }
        }
        if placed.is_empty() {
            return Ok(());
        }
        if let Err(error) = ended(self.seek(&placed, answers))? {
            let error = self.of_one(error)?;
            let open = placed.iter().filter(|(index, _)| answers[*index].is_none()).map(|(index, _)| *index).collect::<Vec<_>>();
            open.into_iter().for_each(|index| answers[index] = Some(Err(error.clone())));
        }
        Ok(())
    }

    /// The error of one concept, where it is not that of all.
    fn of_one(&self, error: Error) -> Result<Error> {
        if self.is_one { Err(error) } else { Ok(error) }
    }

    /// Answers concepts; an error is that of all which have no answer yet.
    fn seek(&mut self, placed: &[Placed<'_>], answers: &mut [Option<Result<Answer>>]) -> Result<()> {
        check_count(placed.len())?;
        self.model.check_separate(&self.request.predict)?;
        let (mut places, mut wanted) = (Vec::new(), Vec::new());
        // Words first: a model that takes none need not look at the picture.
        for ((index, concept), words) in placed.iter().zip(self.read_all(placed)?) {
            let made = words.and_then(|words| self.wanted(concept, words));
            match ended(made)? {
                Ok(made) => {
                    places.push(*index);
                    wanted.push(made);
                }
                Err(error) => answers[*index] = Some(Err(self.of_one(error)?)),
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let embedding = self.embedding()?;
        let inquiry = Inquiry {
            picture: embedding.encoded(),
            size: embedding.size(),
            concepts: &wanted,
            options: &self.request.predict,
            call: self.call,
        };
        let (found, spent) = self.model.driver().find(&inquiry)?;
        self.timings += spent;
        for (place, (index, objects)) in places.into_iter().zip(found.into_iter().enumerate()) {
            // Told by the asks of the request, not by those that could be asked.
            let of_ask = |object: Object| Object { class_id: object.class_id.map(|class| class + place - index), ..object };
            let objects = objects.map(|objects| objects.into_iter().map(of_ask).collect());
            let objects = objects.map_err(|error| match &self.request.asks[place] {
                Ask::Concept(concept) => concept.told(error),
                _ => error,
            });
            answers[place] = Some(objects.map(|objects| Answer { objects, ..Answer::default() }));
        }
        Ok(())
    }

    /// The words of each concept that has some.
    fn read_all(&mut self, placed: &[Placed<'_>]) -> Result<Vec<Result<Option<Encoded>>>> {
        let texts: Vec<&str> = placed.iter().filter_map(|(_, concept)| concept.text.as_deref()).collect();
        let mut read = self.read_each(&texts)?.into_iter();
        let of_concept = |(_, concept): &Placed<'_>| match &concept.text {
            Some(_) => read.next().transpose(),
            None => Ok(None),
        };
        Ok(placed.iter().map(of_concept).collect())
    }

    /// Encodes phrases, or tells what is wrong with each. Those that are wrong are found by halves: a driver looks at all texts before it
    /// encodes one.
    fn read_each(&mut self, texts: &[&str]) -> Result<Vec<Result<Encoded>>> {
        match self.read(texts) {
            Ok(read) => Ok(read.into_iter().map(Ok).collect()),
            Err(error) if error.kind() != ErrorKind::BadInput => Err(error),
            Err(error) if texts.len() <= 1 => Ok(vec![Err(self.of_one(error)?)]),
            Err(error) => {
                self.of_one(error)?;
                let (first, second) = texts.split_at(texts.len() / 2);
                let mut read = self.read_each(first)?;
                read.extend(self.read_each(second)?);
                Ok(read)
            }
        }
    }

    /// Encodes phrases, or finds them in the cache, where that is wished.
    fn read(&mut self, texts: &[&str]) -> Result<Vec<Encoded>> {
        if texts.is_empty() {
            // A model that takes no words takes no examples either.
            return Ok(self.model.driver().read(&[], &WordOptions::default(), self.call)?.0);
        }
        let options = self.request.predict.words;
        if options.uncached {
            let (read, stages) = self.model.driver().read(texts, &options, self.call)?;
            self.timings += stages;
            return Ok(read);
        }
        let key = |text: &&str| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&[u8::from(options.truncate), u8::from(options.templates)]).update(text.as_bytes());
            hasher.finalize()
        };
        let keys: Vec<blake3::Hash> = texts.iter().map(key).collect();
        let mut spent = Vec::new();
        let got = self.model.words().get_or_make_all(&keys, self.call.deadline, |missing, _| {
            let missing: Vec<&str> = missing.iter().map(|index| texts[*index]).collect();
            let (read, stages) = self.model.driver().read(&missing, &options, self.call)?;
            spent.push(stages);
            Ok(read)
        })?;
        spent.into_iter().for_each(|stages| self.timings += stages);
        let waited = got.iter().map(|got| got.waited).max().unwrap_or_default();
        let cached = got.iter().filter(|got| got.source != EmbeddingSource::Miss).count();
        self.timings.spend(Stage::TextEncode, std::time::Duration::ZERO);
        self.timings.spend(Stage::Queue, waited);
        self.timings.count_phrases(PhraseCount { cached, ..PhraseCount::default() });
        Ok(got.into_iter().map(|got| got.value).collect())
    }

    /// A concept as the networks know it: with its examples encoded.
    fn wanted(&mut self, concept: &Concept, words: Option<Encoded>) -> Result<Wanted> {
        let mut examples = Vec::with_capacity(concept.exemplars.len());
        for exemplar in &concept.exemplars {
            examples.push(self.shown(exemplar)?);
        }
        Ok(Wanted { label: concept.name().map(str::to_owned), words, examples, threshold: concept.threshold })
    }

    fn shown(&mut self, exemplar: &Exemplar) -> Result<Shown> {
        let embedding = match &exemplar.picture {
            None => self.embedding()?,
            Some(picture) => {
                let embedding = self.model.embed_for(picture, self.call)?;
                self.timings += *embedding.timings();
                embedding
            }
        };
        Ok(Shown {
            picture: embedding.encoded().clone(),
            size: embedding.size(),
            bounds: exemplar.bounds,
            is_positive: !exemplar.is_negative,
        })
    }
}
