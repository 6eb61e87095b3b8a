"""Evaluation: every word of some texts scored with each memory on and off, with each number of loops, in one sweep.

It must not know about plots, files of results or command lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engram_model.brain import concept
from engram_model.config import GenerationConfig
from engram_model.corpus import WordIds
from engram_model.engram import Engram
from engram_model.episodes import EpisodicMemory
from engram_model.errors import TextError
from engram_model.generation import Reader
from engram_model.measures import ranks
from engram_model.mind import Mind, phrase_view, predict
from engram_model.pondering import halting_loop
from engram_model.reading import CHUNK, Reading, read, target_log_probs
from engram_model.recall import Recalled, Trust, causal_recall
from engram_model.text import END_ID, texts

ALL_ON = "all_on"
NGRAM_OFF, MODULE_OFF, COUNTS_OFF = "ngram_off", "module_off", "counts_off"
STORED_OFF = "stored_episodes_off"
REMEMBER_ALL, REMEMBER_SURPRISING = "remember_all", "remember_surprising"


def loops_name(loops: int) -> str:
    """Name of the setting with a fixed number of loops."""
    return f"loops_{loops}"


def pretokenized(engram: Engram) -> bool:
    """Whether the brain learned text whose words were separated by blanks already."""
    return bool(engram.manifest.get("training", {}).get("pretokenized", False))


def log_probs(engram: Engram, text: str) -> tuple[list[str], list[float]]:
    """See `Engram.log_probs`."""
    found = [engram.vocabulary.encode(words).tolist() for words in texts(text, pretokenized=pretokenized(engram))]
    if not found:
        raise TextError("there is no word in this text; give at least one")
    reading = read(engram.mind, found)
    scores = target_log_probs(engram.mind, reading, memory=engram.episodes)
    return engram.vocabulary.decode(reading.targets), scores.tolist()


def next_word(engram: Engram, text: str) -> dict[str, float]:
    """See `Engram.next_word`."""
    found = texts(text, pretokenized=pretokenized(engram))
    words = engram.vocabulary.encode(found[-1]).tolist() if found else [END_ID]
    reader = Reader(engram.mind, engram.episodes, GenerationConfig(temperature=1.0, top_k=0))
    for word in words[:-1]:
        reader.predict(word)  # trust in episodes follows what was read, as in `log_probs`
        reader.advance(word)
    probs = reader.predict().probs[0].tolist()
    return {word: probs[place] for place, word in enumerate(engram.vocabulary.words) if word is not None}


@dataclass(frozen=True)
class Scores:
    """What the brain expected of every word of some texts, in every setting.

    Attributes:
        targets: The words.
        log_probs: Log-probability of each word, by setting. "all_on" has every memory but that of this reading.
        ranks: Words held more probable than the one that came, in "all_on".
        loops: Loops taken with the learned halting.
        gains: The halt gate's expected gain after each loop but the last possible one.
        by_loop: Log-probability of each word had the brain stopped after each loop.
        baseline: Log-probability under the counted phrases alone; None for a brain without them.
        surprising: Which moments "remember_surprising" remembers.
    """

    targets: Int[Tensor, " words"]
    log_probs: dict[str, Float[Tensor, " words"]]
    ranks: Int[Tensor, " words"]
    loops: Int[Tensor, " words"]
    gains: Float[Tensor, "words early"]
    by_loop: Float[Tensor, "words loops"]
    baseline: Float[Tensor, " words"] | None
    surprising: Bool[Tensor, " words"]

    @property
    def surprise(self) -> Float[Tensor, " words"]:
        """Surprise of each word in "all_on", in nats, at least 0 (rounding can take a certainty above 1)."""
        return (-self.log_probs[ALL_ON]).clamp(min=0.0)


@dataclass(frozen=True)
class _Setting:
    """States to predict from, which memories take part, and which moments of this reading are remembered."""

    states: Float[Tensor, "words dim"]
    counts: bool = True
    stored: bool = True
    remember: Bool[Tensor, " words"] | None = None


@dataclass(frozen=True)
class _Stored:
    """The brain's own episodes, as recall needs them."""

    keys: Float[Tensor, "episodes dim"]
    words: Int[Tensor, " episodes"]
    suffixes: Int[Tensor, "episodes places"]

    @classmethod
    def of(cls, memory: EpisodicMemory) -> _Stored:
        """Episodes whose next word the vocabulary still has."""
        known = memory.next_ids >= 0
        return cls(memory.keys[known], memory.next_ids[known], memory.suffixes[known])

    def part(self, wanted: bool) -> _Stored:
        """All of them or none."""
        return self if wanted else _Stored(self.keys[:0], self.words[:0], self.suffixes[:0])


def score(
    mind: Mind,
    found: Sequence[WordIds],
    memory: EpisodicMemory | None = None,
    on_words: Callable[[int], None] = lambda words: None,
) -> Scores:
    """Score every word of some texts in every setting that this brain has, in one sweep.

    The settings, by the name of their log-probabilities: "all_on" (learned halting, n-gram memory and stored
    episodes); "ngram_off", "module_off", "counts_off" (the n-gram memory, or one of its two forms, left out);
    "stored_episodes_off"; "loops_1", "loops_2", .. (a fixed number); "remember_all" and "remember_surprising" (as
    "all_on", and the moments of this reading are remembered once they are past: all, or those whose surprise in
    "all_on" reaches 1.5 times its running mean).

    Args:
        mind: Who reads.
        found: Word ids of each text.
        memory: Episodes stored before this reading.
        on_words: Told the number of words scored, chunk by chunk.
    """
    most = mind.brain.config.max_ponder
    reading = read(mind, found, loops=most, every_loop=True)
    assert reading.every_state is not None
    halted = torch.zeros(len(reading), dtype=torch.int64)
    if most > 1:
        halted = halting_loop(reading.gains, mind.brain.halt.thresholds[: reading.gains.shape[1]])
    index = halted[None, :, None].expand(1, -1, reading.every_state.shape[2])
    reading = replace(reading, states=reading.every_state.gather(0, index)[0], loops=halted + 1)
    stored = _Stored.of(memory or EpisodicMemory(mind.vocabulary.dim))
    surprising = torch.zeros(len(reading), dtype=torch.bool)
    settings = _settings(mind, found, reading, surprising, len(stored.words) > 0)
    scores = _sweep(mind, reading, settings, stored, surprising, on_words)
    by_loop = torch.stack([scores[0][loops_name(loop + 1)] for loop in range(most)], dim=1)
    if most == 1:
        del scores[0][loops_name(1)]
    return Scores(
        reading.targets, scores[0], scores[1], reading.loops, reading.gains, by_loop,
        _baseline(mind, found), surprising,
    )  # fmt: skip


def _settings(
    mind: Mind, found: Sequence[WordIds], reading: Reading, surprising: Bool[Tensor, " words"], stored: bool
) -> dict[str, _Setting]:
    """The settings that make sense for this brain; "all_on" comes first, since it decides what is surprising."""
    assert reading.every_state is not None
    states = reading.states
    settings = {ALL_ON: _Setting(states)}
    module, counts = mind.brain.memory is not None, mind.phrases is not None
    without = read(mind, found, ngram=False).states if module else states
    if module or counts:
        settings[NGRAM_OFF] = _Setting(without, counts=False)
    if module and counts:
        settings[MODULE_OFF] = _Setting(without)
        settings[COUNTS_OFF] = _Setting(states, counts=False)
    if stored:
        settings[STORED_OFF] = _Setting(states, stored=False)
    for loop, state in enumerate(reading.every_state, 1):
        settings[loops_name(loop)] = _Setting(state)
    settings[REMEMBER_ALL] = _Setting(states, remember=torch.ones(len(reading), dtype=torch.bool))
    settings[REMEMBER_SURPRISING] = _Setting(states, remember=surprising)
    return settings


def _sweep(
    mind: Mind,
    reading: Reading,
    settings: dict[str, _Setting],
    stored: _Stored,
    surprising: Bool[Tensor, " words"],
    on_words: Callable[[int], None],
) -> tuple[dict[str, Float[Tensor, " words"]], Int[Tensor, " words"]]:
    """Log-probabilities by setting, and ranks in "all_on"; fills `surprising` as it goes, chunk before chunk."""
    judge = EpisodicMemory(mind.vocabulary.dim)
    log_probs = {name: torch.empty(len(reading), dtype=torch.float64) for name in settings}
    found_ranks = torch.empty(len(reading), dtype=torch.int64)
    trusts = {name: Trust() for name in settings}
    for start in range(0, len(reading), CHUNK):
        rows = slice(start, min(start + CHUNK, len(reading)))
        targets = reading.targets[rows]
        phrases = phrase_view(mind, reading.contexts[rows]) if mind.phrases is not None else None
        for name, setting in settings.items():
            recalled = _recall(mind, reading, setting, stored.part(setting.stored), rows)
            seen = phrases if setting.counts else None
            probs = predict(mind, setting.states[rows], seen, recalled, trusts[name], targets).probs
            chosen = probs.gather(1, targets[:, None])[:, 0].double().clamp(min=1e-30).log()
            log_probs[name][rows] = chosen
            if name == ALL_ON:
                found_ranks[rows] = ranks(probs, targets)
                surprising[rows] = torch.tensor([judge.is_surprising(-value) for value in chosen.tolist()])
        on_words(len(targets))
    return log_probs, found_ranks


def _recall(mind: Mind, reading: Reading, setting: _Setting, stored: _Stored, rows: slice) -> Recalled | None:
    """What comes to mind at some words: stored episodes, and moments of this reading that lie before each word."""
    visible = torch.zeros(rows.stop - rows.start, dtype=torch.int64)
    seen = torch.zeros(0, dtype=torch.int64)
    if setting.remember is not None:
        kept = torch.nonzero(setting.remember[: rows.stop])[:, 0]
        visible = torch.searchsorted(kept, torch.arange(rows.start, rows.stop))
        seen = kept[: int(visible[-1])]
    if not len(stored.words) + len(seen):
        return None
    return causal_recall(
        torch.cat((stored.keys, concept(setting.states[seen]))),
        torch.cat((stored.words, reading.targets[seen])),
        torch.cat((stored.suffixes, reading.suffixes[seen])),
        concept(setting.states[rows]),
        reading.suffixes[rows],
        visible + len(stored.words),
        len(mind.vocabulary),
    )


def _baseline(mind: Mind, found: Sequence[WordIds]) -> Float[Tensor, " words"] | None:
    """What the counted phrases alone, a modified Kneser-Ney model, say of every word."""
    if mind.phrases is None:
        return None
    ids = [torch.as_tensor(text).numpy() for text in found]
    return torch.from_numpy(mind.phrases.score_texts(ids, len(mind.vocabulary)).probs).log()
