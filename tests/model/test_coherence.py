"""Coherence and questions: an independent judge, replies that can be repeated, and verdicts word by word."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_model import coherence, material
from engram_model.coherence import Passage, copied_runs, judged_perplexity, shuffled
from engram_model.engram import Engram
from engram_model.errors import TextError
from engram_model.phrases import PhraseCounts
from engram_model.questions import Question, ask, is_answered, load_questions
from engram_model.text import BOT_ID, END_ID, UNK_ID, USER_ID, split_words

SIZE = 17


@pytest.fixture(scope="module")
def engram(tiny_brain_dir: Path) -> Engram:
    found = Engram.load(tiny_brain_dir)
    found.close()
    return found


@pytest.fixture(scope="module")
def read(engram: Engram, tiny_text: Path) -> list[np.ndarray]:
    return material.load([tiny_text], engram.vocabulary).ids


# ------------------------------------------------------------------------------------------ the judge


def test_the_judge_never_saw_what_it_judges(engram: Engram, read: list[np.ndarray]) -> None:
    chosen = coherence.plan(engram, read)
    fitted = PhraseCounts.fit(read[::2], len(engram.vocabulary))
    assert chosen.judge.perplexity(read[1::2]) == pytest.approx(fitted.perplexity(read[1::2]))
    assert chosen.judge_words == sum(map(len, read[::2]))
    others = [list(map(int, text)) for text in read[1::2]]
    assert all(any(passage.ids == text[: len(passage.ids)] for text in others) for passage in chosen.reference)


def test_named_text_fits_the_judge_and_all_the_rest_is_compared(engram: Engram, read: list[np.ndarray]) -> None:
    chosen = coherence.plan(engram, read[:40], read[40:])
    assert chosen.judge_words == sum(map(len, read[40:]))
    assert len(chosen.reference) == sum(int((text == BOT_ID).sum()) for text in read[:40])


def test_the_judge_scores_only_what_was_said() -> None:
    texts = [np.array([5, 6, 7, END_ID]), np.array([5, 7, 8, END_ID]), np.array([6, UNK_ID, 8, END_ID])]
    judge = PhraseCounts.fit(texts, SIZE, 5)
    passages = [Passage("", [5, 6, 7, 8, END_ID], 2), Passage("", [6, UNK_ID, 8], 1)]
    total, count = 0.0, 0
    for passage in passages:
        for place in range(passage.start, len(passage.ids)):
            if passage.ids[place] != UNK_ID:
                total += math.log(judge.distribution(passage.ids[:place])[passage.ids[place]])
                count += 1
    assert count == 4
    assert judged_perplexity(judge, passages) == pytest.approx(math.exp(-total / count))
    assert judged_perplexity(judge, []) is None


def test_salad_reads_worse_than_real_text(engram: Engram, read: list[np.ndarray]) -> None:
    chosen = coherence.plan(engram, read)
    real = judged_perplexity(chosen.judge, chosen.reference)
    salad = judged_perplexity(chosen.judge, shuffled(chosen.reference, 0))
    assert real is not None and salad is not None
    assert salad > 3 * real


@given(st.lists(st.integers(4, SIZE - 1), min_size=1, max_size=11), st.booleans())
def test_shuffling_moves_words_and_nothing_else(words: list[int], ended: bool) -> None:
    passage = Passage("p", [2, 5, 3, *words, *([END_ID] if ended else [])], 3)
    mixed = shuffled([passage], 1)[0]
    assert mixed.ids[:3] == passage.ids[:3] and mixed.start == 3
    assert sorted(mixed.ids) == sorted(passage.ids)
    assert not ended or mixed.ids[-1] == END_ID


def test_answers_are_compared_where_the_text_has_dialogues(engram: Engram, read: list[np.ndarray]) -> None:
    dialogues = coherence.plan(engram, read)
    assert dialogues.answers
    for passage in dialogues.reference:
        assert passage.ids[passage.start - 1] == BOT_ID
        assert not {BOT_ID, USER_ID, END_ID} & set(passage.spoken())
    stories = [text for text in read if BOT_ID not in text]
    assert not coherence.plan(engram, stories).answers


def test_too_little_text_is_one_clear_error(engram: Engram, read: list[np.ndarray]) -> None:
    with pytest.raises(TextError, match="two texts"):
        coherence.plan(engram, read[:1])
    with pytest.raises(TextError, match="longer text"):
        coherence.plan(engram, [np.array([5, END_ID])] * 2)


# -------------------------------------------------------------------------------------------- replies


def test_prompts_are_half_simple_half_real(engram: Engram, read: list[np.ndarray]) -> None:
    chosen = coherence.plan(engram, read)
    found = [passage.prompt for passage in coherence.prompts(engram, chosen)]
    assert tuple(found[: len(coherence.QUESTIONS)]) == coherence.QUESTIONS
    real = found[len(coherence.QUESTIONS) :]
    assert 0 < len(real) <= coherence.PROMPTS - len(coherence.QUESTIONS) and len(set(real)) == len(real)
    assert set(real) <= {passage.prompt for passage in chosen.reference}


@pytest.fixture
def few_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coherence, "PROMPTS", 5)
    monkeypatch.setattr(coherence, "QUESTIONS", coherence.QUESTIONS[:2])
    monkeypatch.setattr(coherence, "OPENINGS", coherence.OPENINGS[:2])


@pytest.mark.usefixtures("few_prompts")
def test_the_same_seed_gives_the_same_replies_and_leaves_no_trace(engram: Engram, read: list[np.ndarray]) -> None:
    chosen = coherence.plan(engram, read)
    before = len(engram.episodes), len(engram.vocabulary)
    seen: list[int] = []
    first = coherence.replies(engram, chosen, 3, seen.append)
    assert first == coherence.replies(engram, chosen, 3)
    assert first != coherence.replies(engram, chosen, 5)
    assert (len(engram.episodes), len(engram.vocabulary)) == before
    assert 2 < len(first) == sum(seen) <= coherence.PROMPTS
    for reply in first:
        assert reply.ids[reply.start - 1] == BOT_ID


@pytest.mark.usefixtures("few_prompts")
def test_a_continuation_goes_on_from_its_opening(engram: Engram, read: list[np.ndarray]) -> None:
    chosen = coherence.plan(engram, [text for text in read if BOT_ID not in text])
    for reply in coherence.replies(engram, chosen, 0):
        assert reply.ids[: reply.start] == engram.vocabulary.encode(split_words(reply.prompt)).tolist()


def test_copied_runs_stop_at_the_end_of_a_text_and_at_unknown_words() -> None:
    learned = [np.array([5, 6, 7]), np.array([8, 9, UNK_ID, 5])]
    passages = [Passage("", [2, 4, 5, 6, 7, 8, END_ID], 1), Passage("", [9, UNK_ID, 5], 0), Passage("", [3], 1)]
    assert copied_runs(passages, learned) == [(3, [5, 6, 7]), (1, [9]), (0, [])]


# ------------------------------------------------------------------------------------------ questions


@pytest.mark.parametrize(
    ("reply", "answers", "verdict"),
    [
        ("Her name is Ada.", ["ada"], True),
        ("Her name is Adam.", ["Ada"], False),
        ("It is in the Golden Duck!", ["mill", "golden duck"], True),
        ("It is golden, the duck.", ["golden duck"], False),
        ("", ["x"], False),
    ],
)
def test_an_answer_must_stand_in_the_reply_as_whole_words(reply: str, answers: list[str], verdict: bool) -> None:
    assert is_answered(reply, answers) is verdict


def test_questions_are_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "Who?", "answers": ["Ada", "Tom"]}\n\n', encoding="utf-8")
    assert load_questions(file) == [Question("Who?", ("Ada", "Tom"))]


@pytest.mark.parametrize(
    "line",
    ["who", '{"question": "Who?"}', '{"question": "Who?", "answers": []}', '{"question": "", "answers": ["a"]}',
     '{"question": "Who?", "answers": [3]}', '{"question": "Who?", "answers": "Ada"}', "[1]"],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "Who?", "answers": ["Ada"]}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(TextError, match=r"line 2: expected"):
        load_questions(file)


def test_a_trained_brain_answers_what_it_learned(engram: Engram) -> None:
    questions = [Question("How are you?", ("well",)), Question("How are you?", ("xyzzy",))]
    found = ask(engram, questions, 0)
    assert found[0].reply == found[1].reply, "each is asked in a fresh conversation"
    assert [one.answered for one in found] == ["well" in split_words(found[0].reply), False]
