"""The measures: log-probabilities and perplexity of text, part by part, with each memory on and off.

It must not know about plots, files of results or command lines.
"""

from __future__ import annotations

from engram_model.engram import Engram
from engram_model.generation import Reader
from engram_model.config import GenerationConfig
from engram_model.errors import TextError
from engram_model.reading import read, target_log_probs
from engram_model.text import END_ID, texts


def log_probs(engram: Engram, text: str) -> tuple[list[str], list[float]]:
    """See `Engram.log_probs`."""
    pretokenized = bool(engram.manifest.get("training", {}).get("pretokenized", False))
    found = [engram.vocabulary.encode(words).tolist() for words in texts(text, pretokenized=pretokenized)]
    if not found:
        raise TextError("there is no word in this text; give at least one")
    reading = read(engram.mind, found)
    scores = target_log_probs(engram.mind, reading, memory=engram.episodes)
    return engram.vocabulary.decode(reading.targets), scores.tolist()


def next_word(engram: Engram, text: str) -> dict[str, float]:
    """See `Engram.next_word`."""
    pretokenized = bool(engram.manifest.get("training", {}).get("pretokenized", False))
    found = texts(text, pretokenized=pretokenized)
    words = engram.vocabulary.encode(found[-1]).tolist() if found else [END_ID]
    reader = Reader(engram.mind, engram.episodes, GenerationConfig(temperature=1.0, top_k=0))
    for word in words[:-1]:
        reader.advance(word)
    probs = reader.predict().probs[0].tolist()
    return {word: probs[place] for place, word in enumerate(engram.vocabulary.words) if word is not None}
