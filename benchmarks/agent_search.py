"""Finding evidence: paragraphs of MuSiQue in one memory, its questions asked; BM25F, words and vectors alone beside.

It must not know how a search is done.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import data_file
from engram_agent.index import terms
from engram_agent.memory import Memory

LIMIT = 10
PLAIN = "BM25F"
STRATEGIES = (PLAIN, "lexical", "vector", "hybrid")
Question = tuple[str, list[str]]


def measure(data: Path) -> dict[str, Any]:
    """Share of the evidence in the first ten, by strategy, and how often nothing is found where there is none.

    `whole` are the questions, of two to four steps; `single` are their first steps asked alone. For abstention each half
    of the paragraphs is a memory of its own: questions of the other half ought to find nothing there. For `turns` each sentence
    is the turn of a conversation, its paragraph, and each step of a question, with the answers of the steps before it, is
    asked for the first sentence that has its answer.
    """
    lines = data_file(data, "multihop", "musique_120.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line) for line in lines]
    with tempfile.TemporaryDirectory() as folder, Memory(Path(folder) / "all.db", explore=False) as memory:
        known = _store(memory, asked)
        sets = {"whole": _whole(asked, known), "single": _single(asked, known)}
        recall = {
            name: {strategy: _recall(memory, questions, strategy) for strategy in STRATEGIES}
            for name, questions in sets.items()
        }
        every = {strategy: _every(memory, sets["whole"], strategy) for strategy in STRATEGIES}
    return {
        "paragraphs": len(set(known.values())),
        "questions": {name: len(questions) for name, questions in sets.items()},
        "recall_at_10": recall,
        "all_evidence_at_10": every,
        "abstention": _abstention(asked),
        "turns": _turns(asked),
    }


def _store(memory: Memory, asked: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    texts = {(each["title"], each["paragraph_text"]) for question in asked for each in question["paragraphs"]}
    return {(title, text): memory.store(title, "", text) for title, text in sorted(texts)}


def _whole(asked: Sequence[Mapping[str, Any]], known: Mapping[tuple[str, str], str]) -> list[Question]:
    return [
        (one["question"], [_id(known, each) for each in one["paragraphs"] if each["is_supporting"]]) for one in asked
    ]


def _single(asked: Sequence[Mapping[str, Any]], known: Mapping[tuple[str, str], str]) -> list[Question]:
    steps = [(one["paragraphs"], step) for one in asked for step in one["question_decomposition"]]
    return [
        (step["question"], [_id(known, paragraphs[step["paragraph_support_idx"]])])
        for paragraphs, step in steps
        if "#" not in step["question"] and ">>" not in step["question"]
    ]


def _id(known: Mapping[tuple[str, str], str], paragraph: Mapping[str, Any]) -> str:
    return known[paragraph["title"], paragraph["paragraph_text"]]


def found(memory: Memory, question: str, strategy: str) -> set[str]:
    """The first ten of a strategy, or of the words as they stand: SQLite's full-text index and nothing else."""
    if strategy == PLAIN:
        return {name for _, name, _ in memory.records.words.search(terms(question), "1", [], LIMIT)}
    return {hit.id for hit in memory.search(question, LIMIT, strategy=strategy, floor="loose")}


def _recall(memory: Memory, questions: Sequence[Question], strategy: str) -> float:
    shares = [len(found(memory, text, strategy) & set(ids)) / len(set(ids)) for text, ids in questions]
    return float(np.mean(shares))


def _every(memory: Memory, questions: Sequence[Question], strategy: str) -> float:
    return float(np.mean([set(ids) <= found(memory, text, strategy) for text, ids in questions]))


def _abstention(asked: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """How often something is found, where the evidence is there and where it is not, at each floor."""
    counted: dict[str, dict[str, list[bool]]] = {floor: {"there": [], "absent": []} for floor in ("loose", "strict")}
    for half in (0, 1):
        with tempfile.TemporaryDirectory() as folder, Memory(Path(folder) / "half.db", explore=False) as memory:
            _store(memory, asked[half::2])
            for number, question in enumerate(asked):
                for floor, kinds in counted.items():
                    kind = "there" if number % 2 == half else "absent"
                    kinds[kind].append(bool(memory.search(question["question"], floor=floor, strategy="hybrid")))
    return {floor: {kind: float(np.mean(found)) for kind, found in kinds.items()} for floor, kinds in counted.items()}


def _turns(asked: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Share of the steps whose sentence, and whose paragraph, is among the first ten."""
    with tempfile.TemporaryDirectory() as folder, Memory(Path(folder) / "turns.db", explore=False) as memory:
        talks = _talks(memory, asked)
        steps = [(text, talks[paragraph], answer) for one in asked for text, paragraph, answer in _steps(one)]
        questions = [
            (
                text,
                next(name for name, said in talk if answer.casefold() in said.casefold()),
                {name for name, _ in talk},
            )
            for text, talk, answer in steps
            if any(answer.casefold() in said.casefold() for _, said in talk)
        ]
        recall: dict[str, dict[str, float]] = {}
        for strategy in STRATEGIES:
            first = [found(memory, text, strategy) for text, _, _ in questions]
            recall[strategy] = {
                "turn": float(np.mean([turn in each for each, (_, turn, _) in zip(first, questions, strict=True)])),
                "session": float(
                    np.mean([bool(talk & each) for each, (_, _, talk) in zip(first, questions, strict=True)])
                ),
            }
    return {"turns": sum(map(len, talks.values())), "questions": len(questions), "recall_at_10": recall}


def _talks(memory: Memory, asked: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Every paragraph as the turns of a conversation, its title in the first: id and text of each."""
    texts = {(each["title"], each["paragraph_text"]) for question in asked for each in question["paragraphs"]}
    talks = {}
    with memory.records.database.transaction():
        for number, (title, text) in enumerate(sorted(texts)):
            said = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)
            turn: dict[str, Any] = {"conversation": f"c{number}"}
            names = [memory.store("" if at else title, "", one, position=at, **turn) for at, one in enumerate(said)]
            talks[title, text] = list(zip(names, said, strict=True))
    return talks


def _steps(question: Mapping[str, Any]) -> list[tuple[str, tuple[str, str], str]]:
    """The steps of a question, with `#n` replaced by the n-th answer: text, paragraph, answer."""
    found: list[tuple[str, tuple[str, str], str]] = []
    answers: list[str] = []
    for step in question["question_decomposition"]:
        text = step["question"].replace(" >> ", " ")
        for number, answer in enumerate(answers, 1):
            text = text.replace(f"#{number}", answer)
        paragraph = question["paragraphs"][step["paragraph_support_idx"]]
        found.append((text, (paragraph["title"], paragraph["paragraph_text"]), step["answer"]))
        answers.append(step["answer"])
    return found
