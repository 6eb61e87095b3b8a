"""The shipped text keeps its promises: length, vocabulary, no repetition, and held-out text that was never learned."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Text:
    """One paragraph and its words: folded, without marks and speakers."""

    file: str
    words: tuple[str, ...]

    def runs(self, length: int) -> list[tuple[str, ...]]:
        """Every run of so many words."""
        return [self.words[start : start + length] for start in range(len(self.words) - length + 1)]


def words_of(text: str) -> tuple[str, ...]:
    spoken = re.sub(r"(?m)^(User|Bot):", " ", text).replace("’", "'")
    return tuple(re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", spoken.lower()))


def paragraphs(path: Path) -> list[Text]:
    found = (words_of(paragraph) for paragraph in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")))
    return [Text(path.name, words) for words in found if words]


@cache
def learned() -> tuple[Text, ...]:
    paths = [HOME / "training_data.txt", *sorted((HOME / "corpus").glob("*.txt"))]
    return tuple(text for path in paths for text in paragraphs(path))


@cache
def held_out_questions() -> tuple[dict[str, object], ...]:
    lines = (HOME / "corpus" / "heldout" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


def line_of(words: tuple[str, ...]) -> str:
    return " " + " ".join(words) + " "


def test_it_is_long_enough_and_its_words_are_many_but_common() -> None:
    counts = Counter(word for text in learned() for word in text.words)
    total, seen, needed = sum(counts.values()), 0, 0
    for needed, (_, count) in enumerate(counts.most_common(), 1):  # noqa: B007
        seen += count
        if seen >= 0.98 * total:
            break
    print(f"{len(learned()):,} texts, {total:,} words, {len(counts):,} different; {needed:,} make up 98 %")
    assert total >= 120_000
    assert 3_000 <= needed <= 5_000


def test_it_hardly_repeats_itself() -> None:
    counts = Counter(run for text in learned() for run in text.runs(8))
    repeated = sum(count for count in counts.values() if count > 1) / sum(counts.values())
    print(f"repeated 8-word runs: {repeated:.2%}")
    assert repeated < 0.02


def test_no_twelve_words_stand_in_two_texts() -> None:
    where: dict[tuple[str, ...], int] = {}
    shared = []
    for number, text in enumerate(learned()):
        for run in text.runs(12):
            if where.setdefault(run, number) != number:
                shared.append(" ".join(run))
    assert shared == []


def test_at_most_three_texts_begin_alike() -> None:
    beginnings: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for text in learned():
        beginnings[text.words[:4]].append(text.file)
    assert {" ".join(words): files for words, files in beginnings.items() if len(files) > 3} == {}


def test_held_out_questions_are_worded_nowhere_while_their_answers_are() -> None:
    questions, texts = held_out_questions(), [line_of(text.words) for text in learned()]
    everything = "|".join(texts)
    worded = [words_of(str(question["question"])) for question in questions]
    print(f"{len(questions)} held-out questions")
    assert len(questions) == len(set(worded)) == 300
    assert [question for question, words in zip(questions, worded, strict=True) if line_of(words) in everything] == []
    for question in questions:
        answers = question["answers"]
        assert isinstance(answers, list) and answers
        assert any(line_of(words_of(answer)) in everything for answer in answers), question


def test_held_out_stories_were_never_learned() -> None:
    stories = paragraphs(HOME / "corpus" / "heldout" / "stories.txt")
    runs = {run for text in learned() for run in text.runs(8)}
    print(f"{len(stories)} held-out stories, {sum(len(story.words) for story in stories):,} words")
    assert len(stories) == 30
    assert [" ".join(run) for story in stories for run in story.runs(8) if run in runs] == []
