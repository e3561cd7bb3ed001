"""Phrases in, objects out: what all programs share that find what words say. A finder brings the networks and what its users do around."""

from pathlib import Path

import pictures

TOKENIZER = "tokenizer.json", "vocab.json"
KEPT = 8  # lists of phrases


class Finder(pictures.Encoder):
    """What a program has to bring. A request holds `phrases`, each `{"text": …, "ids": […]}`, and says in `words` whether their
    embeddings are there already (`held`) or not (`miss`). `ids` are for models without a tokenizer: those with one make their own.
    """

    def tokenize(self, texts):
        """Texts → what `read` takes."""
        raise NotImplementedError

    def of_ids(self, ids):
        """Lists of ids of one length → what `read` takes."""
        raise NotImplementedError

    def read(self, tokens):
        """Tokens → embeddings of the phrases."""
        raise NotImplementedError

    def match(self, embedding, words):
        """What the class head says of each patch and phrase; all that `boxes` takes."""
        raise NotImplementedError

    def boxes(self, matches, size):
        """Corners in pixels of the picture, scores and indices of phrases, as lists; `size` is height and width."""
        raise NotImplementedError

    def found(self, matches, size):
        """The objects, as they are sent: one that has masks brings its own."""
        columns = zip(*self.boxes(matches, size), strict=True)
        return [{"box": box, "score": score, "class_id": label} for box, score, label in columns]

    def blank(self):
        """An empty picture of the network's size, RGB uint8 [H, W, 3]."""
        raise NotImplementedError

    def __init__(self, task):
        super().__init__()
        self.has_tokenizer = any((folder_of(task) / name).exists() for name in TOKENIZER)
        (head,) = task["info"]["output"].values()
        self.context = head["context"]
        self.held = {}

    def warm_up(self):
        """The whole way once, on an empty picture and a phrase that nobody means."""
        image = self.blank()
        words = self.read(self.of_ids([[1] * (self.context - 1) + [2]]))
        self.found(self.match(self.encode(self.preprocess(image)), words), image.shape[:2])

    def answer(self, request, clock):
        if request["words"] == "held":
            key = str(request["phrases"])
            if key not in self.held:
                while len(self.held) >= KEPT:
                    del self.held[next(iter(self.held))]
                self.held[key] = self.phrases(request)
            clock.restart()
        return super().answer(request, clock)

    def phrases(self, request):
        phrases = request["phrases"]
        if self.has_tokenizer:
            return self.read(self.tokenize([phrase["text"] for phrase in phrases]))
        if any("ids" not in phrase for phrase in phrases):
            raise ValueError("there is no tokenizer beside the checkpoint, and the phrases come without ids")
        return self.read(self.of_ids([phrase["ids"] for phrase in phrases]))

    def objects(self, encoded, request, clock):
        embedding, size = encoded
        if request["words"] == "held":
            words = self.held[str(request["phrases"])]
        else:
            with clock.stage("text_encode"):
                words = self.phrases(request)
        with clock.stage("match"):
            matches = self.match(embedding, words)
        with clock.stage("postprocess"):
            return self.found(matches, size)


def folder_of(task):
    """Where the files beside a checkpoint are."""
    path = Path(task["checkpoint"])
    return path if path.is_dir() else path.parent
