"""From text files to a brain: prepares the lesson, trains, then sets halting and the episode gate on held-out text.

It must not know about progress bars, signals or command lines.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engram_model.calibration import calibrate
from engram_model.config import BrainConfig, TrainingConfig
from engram_model.corpus import Corpus, split_held_out
from engram_model.engram import Engram, manifest_of
from engram_model.episodes import EpisodicMemory
from engram_model.errors import BrainError, ConfigError, TextError
from engram_model.lessons import Lessons, exchanges, together
from engram_model.mind import Mind
from engram_model.objective import Learner
from engram_model.phrases import PhraseCounts
from engram_model.reading import read, target_log_probs
from engram_model.recall import EpisodeGate
from engram_model.sources import PhraseGate
from engram_model.text import count_words, read_text, texts, usual_forms
from engram_model.training import EpochReport, StepReport, Trainer
from engram_model.vocabulary import Vocabulary

START_NORM = 0.1
BASELINE_ORDER = 5
FEWEST_WORDS = 20
LONG_TEXT = 4096
WORD_BUDGET = 2_000_000
MOST_EPOCHS, FEWEST_EPOCHS = 20, 3


@dataclass(frozen=True)
class Lesson:
    """Texts made ready to learn.

    Attributes:
        vocabulary: Words with their starting vectors.
        norms: Length of each word's trainable vector.
        learned: Word ids of the texts to learn.
        held_out: Word ids of the texts kept back (may be empty).
        phrases: Phrase counts of the texts to learn, for the baseline and the phrase memory.
        together: Places in `learned` of the exchanges of one subject, which are read together.
        lessons: Every exchange that was read.
        fingerprint: Hash of the words in order; a run can be resumed only on the same.
    """

    vocabulary: Vocabulary
    norms: Float[Tensor, " words"]
    learned: list[np.ndarray]
    held_out: list[np.ndarray]
    phrases: PhraseCounts
    together: list[list[int]]
    lessons: Lessons
    fingerprint: str

    def words(self) -> int:
        """Number of words to learn."""
        return sum(map(len, self.learned))


def default_epochs(words: int) -> int:
    """Passes over a text of so many words: a budget of 2 million words seen, at least 3 and at most 20 passes."""
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(WORD_BUDGET / max(1, words))))


def default_dropout(words: int) -> float:
    """0.3 up to 250 thousand words, which are read many times, falling with their logarithm to 0.1 for 350 thousand."""
    return min(0.3, max(0.1, 0.1 + 0.2 * math.log(350_000 / max(1, words)) / math.log(350_000 / 250_000)))


def prepare(paths: Sequence[Path], brain: BrainConfig, training: TrainingConfig, start: Engram | None = None) -> Lesson:
    """Read, split and count the texts.

    Args:
        paths: Text files.
        brain: The shape of the brain.
        training: How to train.
        start: A brain that learns on; its words keep ids and vectors, new words are added.

    Raises:
        TextError: if a file cannot be read or there is too little to learn from.
        ConfigError: if a brain that learns on is given another shape.
    """
    if start is not None and replace(start.mind.brain.config, dropout=None) != replace(brain, dropout=None):
        raise ConfigError("a brain that learns on keeps its shape; leave the size settings out")
    raw = [read_text(path) for path in paths]
    found = [text for content in raw for text in texts(content, pretokenized=training.pretokenized)]
    words = sum(map(len, found))
    if words < FEWEST_WORDS:
        names = ", ".join(str(path) for path in paths)
        raise TextError(f"{names}: only {words} words; give at least {FEWEST_WORDS}, better some thousands")
    generator = torch.Generator().manual_seed(training.seed)
    learned, held_out = split_held_out(found, training.held_out, generator)
    counted = count_words(learned)
    forms = {} if training.pretokenized else usual_forms(raw)
    if start is None:
        rare = training.min_count if max(counted.values()) >= training.min_count else 1
        vocabulary = Vocabulary.build(counted, dim=brain.embed_dim, generator=generator, min_count=rare, forms=forms)
    else:
        vocabulary = start.vocabulary
        _add_new_words(vocabulary, counted, forms, training.min_count, generator)
    lengths = torch.full((len(vocabulary),), START_NORM)
    if start is not None:
        lengths[: len(start.mind.norms)] = start.mind.norms
    ids = [vocabulary.encode(text).numpy() for text in learned]
    return Lesson(
        vocabulary,
        lengths,
        ids,
        [vocabulary.encode(text).numpy() for text in held_out],
        PhraseCounts.fit(ids, len(vocabulary), BASELINE_ORDER),
        together(learned, generator),
        Lessons(exchange for text in learned for exchange in exchanges(text)),
        hashlib.sha256("\n".join(" ".join(text) for text in learned).encode()).hexdigest(),
    )


def _add_new_words(
    vocabulary: Vocabulary, counted: dict[str, int], forms: dict[str, str], min_count: int, generator: torch.Generator
) -> None:
    for word, count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        if word not in vocabulary and count >= min_count:
            direction = torch.randn(vocabulary.dim, generator=generator)
            vocabulary.add(word, direction, count=count, form=forms.get(word))


class Learning:
    """One training run, from its lesson to a finished Engram; can be broken off, saved and resumed.

    Args:
        lesson: What to learn.
        brain: The shape of the brain.
        training: How to train.
        start: A brain to go on from, or None for a fresh one.
    """

    def __init__(
        self, lesson: Lesson, brain: BrainConfig, training: TrainingConfig, start: Engram | None = None
    ) -> None:
        if brain.dropout is None:
            brain = brain.override(dropout=round(default_dropout(lesson.words()), 2))
        self.lesson, self.config, self.training, self.start = lesson, brain, training, start
        torch.manual_seed(training.seed)  # torch.nn initialises its layers from the global generator only
        vocabulary = lesson.vocabulary
        self.learner = Learner(brain, vocabulary.vectors.contiguous(), lesson.norms, _finite(vocabulary.resting))
        if start is not None:
            self.learner.brain.load_state_dict(start.mind.brain.state_dict())
        corpus = Corpus(lesson.learned, lesson.together)
        held_out = Corpus(lesson.held_out) if lesson.held_out else None
        epochs = training.epochs or default_epochs(len(corpus))
        phrase_probs = None
        if lesson.held_out and brain.phrase_order:
            phrase_probs = torch.from_numpy(lesson.phrases.score_texts(lesson.held_out).probs)
        self.trainer = Trainer(self.learner, corpus, held_out, training, epochs, phrase_probs=phrase_probs)
        self.baseline = self._baseline()

    def _baseline(self) -> float | None:
        """Held-out perplexity of the modified Kneser-Ney 5-gram trained on the same words; None without held-out text."""
        if not self.lesson.held_out:
            return None
        return self.lesson.phrases.perplexity(self.lesson.held_out)

    def run(
        self,
        on_step: Callable[[StepReport], None] = lambda report: None,
        on_epoch: Callable[[EpochReport], None] = lambda report: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the end; False when `stop` asked to break off."""
        return self.trainer.run(on_step, on_epoch, stop)

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs, as tensors, numbers and strings."""
        return {
            "fingerprint": self.lesson.fingerprint,
            "brain": asdict(self.config),
            "training": asdict(replace(self.training, minutes=None)),  # a resumed run may have another budget
            "trainer": self.trainer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            BrainError: if it is no such state, or was saved on other text or with other settings.
        """
        if not state.keys() >= {"fingerprint", "brain", "training", "trainer"}:
            raise BrainError("the state of the broken-off training is damaged; train anew without --resume")
        self._compare(state["training"], asdict(replace(self.training, minutes=None)))
        if state["fingerprint"] != self.lesson.fingerprint:
            raise BrainError("the text has changed since training was broken off; train anew without --resume")
        self._compare(state["brain"], asdict(self.config))
        self.trainer.load_state_dict(state["trainer"])

    @staticmethod
    def _compare(saved: dict[str, Any], given: dict[str, Any]) -> None:
        others = [
            f"{name} (was {saved.get(name)}, is {value})" for name, value in given.items() if saved.get(name) != value
        ]
        if others:
            raise BrainError(
                f"settings differ from those of the broken-off run: {', '.join(others)}; give the same ones"
            )

    def finish(self, known: Engram | None = None) -> Engram:
        """The trained brain: halting and the episode gate set on held-out text, figures measured.

        Args:
            known: The brain whose place it takes; its episodes live on, their keys computed anew.
        """
        began = time.perf_counter()
        mind = self.mind()
        if self.lesson.held_out:
            calibrate(mind, self.lesson.held_out, torch.Generator().manual_seed(self.training.seed))
        figures = self.figures(mind)
        figures["seconds"] = round(self.trainer.progress.seconds + time.perf_counter() - began, 1)
        manifest = manifest_of(self.config, self.training, self.lesson.fingerprint, figures)
        earlier = self.start.lessons.exchanges if self.start is not None else []
        lessons = Lessons([*earlier, *self.lesson.lessons.exchanges])
        finished = Engram(mind, EpisodicMemory(mind.vocabulary.dim), manifest, lessons)
        if known is not None:
            finished.inherit(known)
        return finished

    def mind(self) -> Mind:
        """The mind as it stands."""
        vocabulary = self.lesson.vocabulary
        with torch.no_grad():
            vocabulary.vectors = self.learner.unit_vectors()
            vocabulary.resting = self.learner.resting.detach().clone()
        norms = self.learner.table.detach().norm(dim=-1)
        phrases = self.lesson.phrases if self.config.phrase_order else None
        if phrases is not None and self.start is not None and self.start.mind.phrases is not None:
            phrases = self.start.mind.phrases.merged(phrases)
        gate, episode_gate = PhraseGate(self.config.embed_dim), EpisodeGate()
        return Mind(self.learner.brain.eval(), vocabulary, phrases, gate, episode_gate, norms)

    def figures(self, mind: Mind) -> dict[str, Any]:
        """What the table at the end of training shows; without held-out text, its perplexity is None."""
        progress = self.trainer.progress
        reading = read(mind, self.lesson.held_out or self.lesson.learned[-1:])
        perplexity = math.exp(-float(target_log_probs(mind, reading).mean()))
        return {
            "held_out_words": len(reading) if self.lesson.held_out else 0,
            "perplexity": perplexity if self.lesson.held_out else None,
            "kneser_ney_perplexity": self.baseline,
            "mean_loops": float(reading.loops.float().mean()),
            "parameters": sum(p.numel() for p in self.learner.brain.parameters()),
            "vocabulary": len(mind.vocabulary),
            "words": self.lesson.words(),
            "epochs": progress.epoch,
            "words_per_second": round(progress.words / max(progress.seconds, 1e-9)),
        }


def _finite(resting: Float[Tensor, " words"]) -> Float[Tensor, " words"]:
    return resting.clamp(min=-30.0)


def learn(paths: Sequence[Path], brain: BrainConfig, training: TrainingConfig, start: Engram | None = None) -> Engram:
    """Read, train, finish: the whole way in one call."""
    learning = Learning(prepare(paths, brain, training, start), brain, training, start)
    learning.run()
    return learning.finish(start)
