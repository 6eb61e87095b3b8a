"""Evaluation: the sweep against reading word by word in every setting, and memories whose absence is felt."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import mind, seeded, some_texts

from engram_model import material
from engram_model.brain import concept
from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.episodes import EpisodicMemory
from engram_model.errors import ConfigError, TextError
from engram_model.evaluation import ALL_ON, Scores, log_probs, next_word, score
from engram_model.generation import Reader
from engram_model.measures import perplexity
from engram_model.mind import Mind
from engram_model.recall import Trust
from engram_model.text import texts
from engram_model.vocabulary import Vocabulary

TEXTS = some_texts((11, 2, 7, 1, 5))
FIRST = [0, 11, 13, 20, 21]
for number, text in enumerate(TEXTS):
    text[: len(text) - 1][:1] = 40 + number  # no two texts begin alike: only before first words are states equal


def awake(**changes: object) -> Mind:
    """A toy mind that halts after one, two or three loops."""
    toy = mind(**changes)  # type: ignore[arg-type]
    gains = score(toy, TEXTS).gains
    if gains.shape[1]:
        middle = gains.flatten().sort().values[len(gains) - 1 : len(gains) + 1]
        toy.brain.halt.thresholds.fill_(float(middle.mean()))  # between two gains: rounding cannot tip any
    return toy


def assert_same(found: torch.Tensor, values: list[float], setting: str) -> None:
    """Equal but for rounding. First words all have one and the same state: which of these equals is best is open."""
    apart = (found - torch.tensor(values, dtype=torch.float64)).abs()
    assert float(apart.max()) < 5e-3, setting
    apart[FIRST] = 0.0
    assert float(apart.max()) < 2e-4, setting


def some_episodes(toy: Mind, count: int = 5) -> EpisodicMemory:
    memory = EpisodicMemory(toy.vocabulary.dim)
    keys = torch.randn(count, toy.vocabulary.dim, generator=seeded(9))
    for number, key in enumerate(keys):
        context = [4 + number, 5, 6]
        words = [str(toy.vocabulary.words[word]) for word in context]
        memory.add(
            key=key, next_word="w07", next_id=7 + number % 3, context=words, context_ids=context,
            surprise=5.0, conversation="before",
        )  # fmt: skip
    return memory


def word_by_word(
    toy: Mind, memory: EpisodicMemory | None = None, remember: str = "", loops: int | None = None, ngram: bool = True
) -> list[float]:
    """Log-probabilities of all words, read one at a time as in a conversation; remembers "all" or "surprising"."""
    config = GenerationConfig(loops=loops, ngram=ngram, temperature=1.0)
    memory, judge, found = memory or EpisodicMemory(toy.vocabulary.dim), EpisodicMemory(toy.vocabulary.dim), []
    trust = Trust()
    for text in TEXTS:
        reader, plain, ids = Reader(toy, memory, config), Reader(toy, None, config), [int(word) for word in text]
        reader.trust = trust
        for place, word in enumerate(ids):
            thought = reader.listen(word)
            found.append(math.log(thought.probability))
            if remember == "all" or (remember and judge.is_surprising(plain.think(word).surprise)):
                context = ids[max(0, place - 4) : place]
                memory.add(
                    key=thought.key, next_word="w", next_id=word, context=["w"] * len(context),
                    context_ids=context, surprise=1.0, conversation="this",
                )  # fmt: skip
            plain.advance(word)
    return found


# ------------------------------------------------------------------------------------------ two ways


def test_every_setting_agrees_with_reading_word_by_word() -> None:
    toy = awake()
    scores = score(toy, TEXTS)
    without_module = replace(toy, brain=mind().brain)
    without_module.brain.load_state_dict(toy.brain.state_dict())
    without_module.brain.memory = None
    expected = {
        "all_on": word_by_word(toy),
        "ngram_off": word_by_word(toy, ngram=False),
        "module_off": word_by_word(without_module),
        "counts_off": word_by_word(replace(toy, phrases=None)),
        "loops_1": word_by_word(toy, loops=1),
        "loops_2": word_by_word(toy, loops=2),
        "loops_3": word_by_word(toy, loops=3),
        "remember_all": word_by_word(toy, remember="all"),
        "remember_surprising": word_by_word(toy, remember="surprising"),
    }
    assert set(scores.log_probs) == set(expected)
    for name, values in expected.items():
        assert_same(scores.log_probs[name], values, name)
    means = {name: round(sum(values), 6) for name, values in expected.items()}
    assert len(set(means.values())) == len(means), f"positive control: no two settings are the same, {means}"


def test_stored_episodes_take_part_and_can_be_switched_off() -> None:
    toy = awake()
    scores = score(toy, TEXTS, some_episodes(toy))
    assert_same(scores.log_probs[ALL_ON], word_by_word(toy, some_episodes(toy)), ALL_ON)
    assert torch.equal(scores.log_probs["stored_episodes_off"], score(toy, TEXTS).log_probs[ALL_ON])
    together = word_by_word(toy, some_episodes(toy), remember="all")
    assert_same(scores.log_probs["remember_all"], together, "remember_all")


def test_learned_halting_takes_the_word_from_its_own_loop() -> None:
    scores = score(awake(), TEXTS)
    assert len(set(scores.loops.tolist())) > 1, "positive control: words halt at different loops"
    chosen = scores.by_loop.gather(1, scores.loops[:, None] - 1)[:, 0]
    assert scores.log_probs[ALL_ON].tolist() == pytest.approx(chosen.tolist(), abs=1e-6)


def test_the_baseline_is_the_counted_phrases_alone() -> None:
    toy = mind()
    assert toy.phrases is not None
    scores = score(toy, TEXTS)
    assert scores.baseline is not None
    assert perplexity(scores.baseline) == pytest.approx(toy.phrases.perplexity(TEXTS))


def test_a_brain_without_memories_or_loops_has_fewer_settings() -> None:
    scores = score(mind(ngram_dim=0, phrase_order=0, max_ponder=1), TEXTS)
    assert set(scores.log_probs) == {ALL_ON, "remember_all", "remember_surprising"}
    assert scores.baseline is None and scores.by_loop.shape == (len(scores.targets), 1)
    assert set(score(mind(phrase_order=0), TEXTS).log_probs) >= {"ngram_off", "loops_3"}


def test_every_word_is_reported_once() -> None:
    seen: list[int] = []
    scores = score(mind(), TEXTS, on_words=seen.append)
    assert sum(seen) == len(scores.targets) == sum(map(len, TEXTS))
    assert float(scores.surprise.min()) >= 0.0


def test_what_comes_later_changes_nothing_before_it() -> None:
    toy = awake()
    changed = [*TEXTS[:-1], TEXTS[-1][::-1].copy()]
    before = sum(map(len, TEXTS[:-1]))
    first, second = score(toy, TEXTS), score(toy, changed)
    for name, values in first.log_probs.items():
        assert values[:before].tolist() == pytest.approx(second.log_probs[name][:before].tolist(), abs=1e-6), name


# ------------------------------------------------------------------------------------- a trained brain


@pytest.fixture(scope="module")
def trained(tiny_brain_dir: Path, tiny_text: Path) -> tuple[Engram, Scores]:
    engram = Engram.load(tiny_brain_dir)
    read = material.load([tiny_text], engram.vocabulary)
    engram.close()
    return engram, score(engram.mind, read.ids, engram.episodes)


@pytest.mark.parametrize(
    "setting", ["ngram_off", "module_off", "counts_off", "loops_1", "remember_all", "remember_surprising"]
)
def test_each_memory_is_felt_by_a_trained_brain(trained: tuple[Engram, Scores], setting: str) -> None:
    scores = trained[1]
    assert abs(perplexity(scores.log_probs[setting]) / perplexity(scores.log_probs[ALL_ON]) - 1) > 1e-4


def test_a_trained_brain_expects_more_than_chance(trained: tuple[Engram, Scores]) -> None:
    engram, scores = trained
    assert perplexity(scores.log_probs[ALL_ON]) < len(engram.vocabulary) / 5
    assert float((scores.ranks == 0).double().mean()) > 0.2
    shuffled = scores.targets[torch.randperm(len(scores.targets), generator=seeded())]
    assert perplexity(score(engram.mind, [shuffled.numpy()]).log_probs[ALL_ON]) > 3 * perplexity(
        scores.log_probs[ALL_ON]
    )


def test_log_probs_are_those_of_the_sweep(trained: tuple[Engram, Scores], tiny_text: Path) -> None:
    engram, scores = trained
    words, found = log_probs(engram, tiny_text.read_text(encoding="utf-8"))
    assert words == engram.vocabulary.decode(scores.targets)
    assert found == pytest.approx(scores.log_probs[ALL_ON].tolist(), abs=2e-5)


def test_next_word_agrees_with_log_probs(trained: tuple[Engram, Scores]) -> None:
    engram = trained[0]
    words, found = log_probs(engram, "My hen is black.")
    expected = next_word(engram, "My hen is black.")
    assert sum(expected.values()) == pytest.approx(1.0, abs=1e-5)
    assert math.log(expected[words[-1]]) == pytest.approx(found[-1], abs=1e-5)
    assert sum(next_word(engram, "").values()) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(TextError, match="no word"):
        log_probs(engram, "  ")


def test_keys_of_the_reading_are_unit_concepts(trained: tuple[Engram, Scores]) -> None:
    engram = trained[0]
    state = engram.mind.brain(torch.tensor([[1, 5, 6]]), engram.vocabulary.vectors).state
    assert concept(state).norm(dim=-1).tolist()[0] == pytest.approx([1.0] * 3, abs=1e-4)


# -------------------------------------------------------------------------------------------- material


STORY = "The hen is black.\n\nMy cow is red. My hen is red.\n\n\nThe hen is red.\n"


def some_words() -> Vocabulary:
    counted = dict.fromkeys(["the", "hen", "is", "black", ".", "my", "red"], 2)
    return Vocabulary.build(counted, dim=5, generator=seeded(), min_count=1)


def test_material_counts_words_bytes_and_the_unknown(tmp_path: Path) -> None:
    file = tmp_path / "story.txt"
    file.write_text(STORY.replace("cow", "kühe"), encoding="utf-8")
    read = material.load([file], some_words())
    assert [len(text) for text in read.ids] == [6, 11, 6]
    assert (read.words, read.unknown, read.size) == (23, 1, len(STORY) + 2)
    assert not read.has_dialogues


@pytest.mark.parametrize(("limit", "kept"), [(6, [6]), (16, [6]), (17, [6, 11]), (23, [6, 11, 6]), (3, [3])])
def test_a_limit_keeps_whole_paragraphs(tmp_path: Path, limit: int, kept: list[int]) -> None:
    file = tmp_path / "story.txt"
    file.write_text(STORY, encoding="utf-8")
    read = material.load([file, file] if limit < 23 else [file], some_words(), limit=limit)
    assert [len(text) for text in read.ids] == kept
    part = material.first_paragraphs(STORY, limit)
    assert STORY.startswith(part) and read.size == len(part)
    assert sum(map(len, texts(part))) == sum(kept)


def test_a_limit_reads_lines_of_pretokenized_text(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("the hen\nmy hen is red\nthe hen\n", encoding="utf-8")
    read = material.load([file], some_words(), pretokenized=True, limit=8)
    assert [len(text) for text in read.ids] == [3, 5]


def test_material_without_known_words_is_one_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "strange.txt"
    file.write_text("xyzzy plugh", encoding="utf-8")
    with pytest.raises(TextError, match="none of the words is known"):
        material.load([file], some_words())
    with pytest.raises(TextError, match="no file"):
        material.load([tmp_path / "missing.txt"], some_words())
    with pytest.raises(ConfigError, match="at least 1 word"):
        material.load([file], some_words(), limit=0)
