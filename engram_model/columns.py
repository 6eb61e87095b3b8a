"""The columns of a vocabulary: how they are made from counted words, written as rows, read back and checked.

It must not know when they change, nor who uses them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from engram_model.errors import ConfigError, StoreError
from engram_model.rows import Rows, Scalar, norm_problems
from engram_model.text import SPECIALS, UNK_ID

_REMOVED: Mapping[str, Scalar] = {"resting": -math.inf, "count": 0}


class WordColumns(NamedTuple):
    """One entry an id: word (None where it was removed), unit vector, resting level (then -inf), count.

    `forms` maps a word to its usual written form where that differs.
    """

    words: list[str | None]
    vectors: Float[Tensor, "words dim"]
    resting: Float[Tensor, " words"]
    counts: Int[Tensor, " words"]
    forms: dict[str, str]


def count_columns(
    counted: Mapping[str, int], dim: int, generator: torch.Generator, min_count: int, forms: Mapping[str, str]
) -> WordColumns:
    """Return the columns of counted words; `Vocabulary.build` says how.

    Raises:
        ConfigError: if no word is left, or `dim` or `min_count` is below 1.
    """
    if dim < 1 or min_count < 1:
        raise ConfigError(f"dim and min_count must be at least 1, got {dim} and {min_count}")
    words = {word: count for word, count in counted.items() if word not in SPECIALS}
    kept = sorted((word for word, count in words.items() if count >= min_count), key=lambda w: (-words[w], w))
    if not kept:
        raise ConfigError(f"no word occurs {min_count} times; give more text or a lower min_count")
    counts = torch.tensor([counted.get(word, 0) for word in (*SPECIALS, *kept)])
    counts[UNK_ID] += sum(count for count in words.values() if count < min_count)
    seen = counts.clamp(min=1).to(torch.float64)
    return WordColumns(
        [*SPECIALS, *kept],
        normalize(torch.randn(len(counts), dim, generator=generator), dim=-1),
        (seen / seen.sum()).log().to(torch.float32),
        counts,
        {word: forms[word] for word in kept if word in forms},
    )


def word_rows(columns: WordColumns, ids: Sequence[int]) -> Rows:
    """Return these ids as rows: the word is the document; a removed slot is a row without a word."""
    chosen = list(ids)
    return Rows(
        ids=[f"w{word_id:06d}" for word_id in chosen],
        vectors=columns.vectors[chosen],
        documents=[columns.words[word_id] or "" for word_id in chosen],
        metadatas=[_metadata(columns, word_id) for word_id in chosen],
    )


def read_words(rows: Rows) -> WordColumns:
    """Return the columns that `word_rows` wrote.

    Raises:
        StoreError: if a row is missing or damaged, or the words are not those of one vocabulary.
    """
    try:
        order = sorted(range(len(rows)), key=lambda row: int(rows.metadatas[row]["id"]))
        metadatas = [rows.metadatas[row] for row in order]
        words = [None if rows.metadatas[row].get("removed") else rows.documents[row] for row in order]
        values = [_REMOVED if word is None else m for word, m in zip(words, metadatas, strict=True)]
        columns = WordColumns(
            words,
            rows.vectors[order],
            torch.tensor([float(value["resting"]) for value in values]),
            torch.tensor([int(value["count"]) for value in values]),
            {str(w): str(value["form"]) for w, value in zip(words, values, strict=True) if "form" in value},
        )
    except (KeyError, ValueError) as error:
        raise StoreError(f"a word in the store has a wrong or no {error}; restore it from a copy") from error
    in_order = [metadata["id"] for metadata in metadatas] == list(range(len(rows)))
    problems = word_problems(columns) if in_order else ["the row of a word is missing or there twice"]
    if problems:
        raise StoreError(f"the vocabulary in the store is damaged: {problems[0]}; restore it from a copy")
    return columns


def word_problems(columns: WordColumns) -> list[str]:
    """Return what is wrong with the columns in plain words, nothing when they are sound."""
    words, vectors, resting, counts, forms = columns
    if len({len(words), len(vectors), len(resting), len(counts)}) > 1:
        return ["words, vectors, resting levels and counts differ in length"]
    spelled = [word for word in words if word is not None]
    removed = torch.tensor([word is None for word in words], dtype=torch.bool)
    right_levels = torch.where(removed, resting == -math.inf, resting.isfinite())
    sound = {
        f"the first words must be {SPECIALS}": tuple(words[: len(SPECIALS)]) == SPECIALS,
        "a word stands in the table twice": len(set(spelled)) == len(spelled),
        "a word is blank or holds a blank": all(word.split() == [word] for word in spelled),
        "a count is negative": bool((counts >= 0).all()),
        "a resting level is not finite (or, of a removed word, not -inf)": bool(right_levels.all()),
        "a written form belongs to no word": set(forms) <= set(spelled),
    }
    return norm_problems(vectors) + [problem for problem, holds in sound.items() if not holds]


def _metadata(columns: WordColumns, word_id: int) -> dict[str, Scalar]:
    word = columns.words[word_id]
    if word is None:
        return {"id": word_id, "removed": True}
    form = {"form": columns.forms[word]} if word in columns.forms else {}
    return {
        "id": word_id,
        "count": int(columns.counts[word_id]),
        "resting": float(columns.resting[word_id]),
        **form,
    }
