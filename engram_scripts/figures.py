"""What the measures say, as plain values: words scored, parts compared, loops, coherence of replies.

It must not know about command lines, files or screens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch

from engram_model import coherence, evaluation
from engram_model.corpus import WordIds
from engram_model.engram import Engram
from engram_model.errors import TextError
from engram_model.evaluation import Scores
from engram_model.material import Material
from engram_model.measures import (
    FREQUENCY_BANDS,
    SURPRISE_BANDS,
    Comparison,
    accuracy,
    bits_per_byte,
    compare,
    halting_curve,
    histogram,
    perplexity,
)
from engram_model.text import UNK_ID

HISTOGRAM_WIDTH, HISTOGRAM_HIGH = 0.5, 14.0


def predictions_report(engram: Engram, material: Material, scores: Scores) -> dict[str, Any]:
    """Everything that follows from the scores of the words."""
    counts = engram.vocabulary.counts[scores.targets]
    edges, heights = histogram(scores.surprise, HISTOGRAM_WIDTH, HISTOGRAM_HIGH)
    unknown = scores.targets == UNK_ID
    frequency = [("unknown words", unknown)]
    frequency += [(band.name, band.holds(counts) & ~unknown) for band in FREQUENCY_BANDS]
    surprise = [(band.name, band.holds(scores.surprise)) for band in SURPRISE_BANDS]
    return {
        "overall": _overall(engram, material, scores),
        "frequency_bands": [_band(name, chosen, scores) for name, chosen in frequency if chosen.any()],
        "surprise_bands": [_band(name, chosen, scores) for name, chosen in surprise if chosen.any()],
        "surprise_histogram": {
            "edges": edges, "words": heights, "bands": [band.low for band in SURPRISE_BANDS],
        },
        "perplexities": {name: perplexity(values) for name, values in scores.log_probs.items()},
        "parts": [_part(*part) for part in _parts(scores)],
        "loops": _loops(scores),
    }  # fmt: skip


def _overall(engram: Engram, material: Material, scores: Scores) -> dict[str, Any]:
    headline, size = scores.log_probs[evaluation.ALL_ON], material.size
    mine = perplexity(headline)
    baseline = None
    if scores.baseline is not None and engram.mind.phrases is not None:
        theirs = perplexity(scores.baseline)
        baseline = {
            "order": engram.mind.phrases.order,
            "perplexity": theirs,
            "bits_per_byte": bits_per_byte(scores.baseline, size),
            "ratio": mine / theirs,
        }
    return {
        "perplexity": mine,
        "loss_nats": math.log(mine),
        "bits_per_byte": bits_per_byte(headline, size),
        "top1": accuracy(scores.ranks, 1),
        "top5": accuracy(scores.ranks, 5),
        "perplexity_remembering_what_it_reads": perplexity(scores.log_probs[evaluation.REMEMBER_ALL]),
        "perplexity_remembering_surprises": perplexity(scores.log_probs[evaluation.REMEMBER_SURPRISING]),
        "share_remembered_as_surprising": float(scores.surprising.double().mean()),
        "baseline": baseline,
    }


def _band(name: str, chosen: torch.Tensor, scores: Scores) -> dict[str, Any]:
    """The measures of the words of one band; it is never empty."""
    baseline = scores.baseline
    return {
        "band": name,
        "words": int(chosen.sum()),
        "share": float(chosen.double().mean()),
        "perplexity": perplexity(scores.log_probs[evaluation.ALL_ON][chosen]),
        "perplexity_remembering": perplexity(scores.log_probs[evaluation.REMEMBER_ALL][chosen]),
        "baseline_perplexity": None if baseline is None else perplexity(baseline[chosen]),
        "top1": accuracy(scores.ranks[chosen], 1),
        "top5": accuracy(scores.ranks[chosen], 5),
        "mean_loops": float(scores.loops[chosen].double().mean()),
    }


def _parts(scores: Scores) -> list[tuple[str, str, Comparison]]:
    """Name, description and comparison of every part that this brain has."""
    most = scores.by_loop.shape[1]
    on, last = evaluation.ALL_ON, evaluation.loops_name(most)
    wanted = [
        ("ngram_memory", "n-gram memory (tables and counts)", on, evaluation.NGRAM_OFF),
        ("engram_module", "  its learned tables (EngramModule)", on, evaluation.MODULE_OFF),
        ("counts", "  its counted phrases", on, evaluation.COUNTS_OFF),
        ("loops", f"{most} loops instead of 1", last, evaluation.loops_name(1)),
        ("halting", f"learned halting instead of always {most}", on, last),
        ("stored_episodes", "episodes stored before", on, evaluation.STORED_OFF),
        ("episodes", "episodes: remembering all it reads", evaluation.REMEMBER_ALL, on),
        ("surprising_episodes", "episodes: surprises only", evaluation.REMEMBER_SURPRISING, on),
    ]
    found = scores.log_probs
    return [
        (name, label, compare(found[with_it], found[without]))
        for name, label, with_it, without in wanted
        if with_it in found and without in found
    ]


def _part(name: str, label: str, comparison: Comparison) -> dict[str, Any]:
    return {"name": name, "label": label, **asdict(comparison)}


def _loops(scores: Scores) -> dict[str, Any]:
    most = scores.by_loop.shape[1]
    mean = float(scores.loops.double().mean())
    return {
        "most": most,
        "mean": mean,
        "share_saved": 1.0 - mean / most,
        "perplexity": perplexity(scores.log_probs[evaluation.ALL_ON]),
        "by_loops": [perplexity(scores.by_loop[:, loop]) for loop in range(most)],
        "words_by_loops": [int((scores.loops == loop + 1).sum()) for loop in range(most)],
        "curve": [asdict(point) for point in halting_curve(scores.gains, scores.by_loop)],
    }


def coherence_report(
    engram: Engram,
    material: Material,
    fitting: Sequence[WordIds] | None,
    learned: Sequence[WordIds] | None,
    seed: int,
    on_reply: Callable[[int], None],
) -> dict[str, Any]:
    """Perplexity of replies and of real text under the independent 5-gram, and the longest copied runs."""
    try:
        chosen = coherence.plan(engram, material.ids, fitting)
    except TextError as error:
        return {"missing": str(error)}
    said = coherence.replies(engram, chosen, seed, on_reply)
    real = coherence.judged_perplexity(chosen.judge, chosen.reference)
    mine = coherence.judged_perplexity(chosen.judge, said)
    found: dict[str, Any] = {
        "missing": None,
        "kind": "answers" if chosen.answers else "continuations",
        "judge_fitted_on": "--baseline-text" if fitting is not None else "every second evaluated text",
        "judge_words": chosen.judge_words,
        "real_passages": len(chosen.reference),
        "replies_perplexity": mine,
        "real_perplexity": real,
        "shuffled_perplexity": coherence.judged_perplexity(chosen.judge, coherence.shuffled(said, seed)),
        "ratio": mine / real if mine and real else None,
        "replies": [
            {"prompt": one.prompt, "reply": coherence.readable(engram, one.spoken() if chosen.answers else one.ids)}
            for one in said
        ],
        "copied": None,
    }
    if learned is not None:
        sample = chosen.reference[:: max(1, len(chosen.reference) // coherence.PROMPTS)][: coherence.PROMPTS]
        found["copied"] = {
            "replies": _copied(engram, said, learned), "real": _copied(engram, sample, learned),
        }  # fmt: skip
    return found


def _copied(engram: Engram, passages: Sequence[coherence.Passage], learned: Sequence[WordIds]) -> dict[str, Any]:
    runs = coherence.copied_runs(passages, learned)
    length, words = max(runs, key=lambda run: run[0])
    whole = [bool(one.spoken()) and run[0] == len(one.spoken()) for one, run in zip(passages, runs, strict=True)]
    return {
        "longest": length,
        "longest_text": coherence.readable(engram, words),
        "mean": sum(run[0] for run in runs) / len(runs),
        "share_copied_whole": sum(whole) / len(whole),
    }
