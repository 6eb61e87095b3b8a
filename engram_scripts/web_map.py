"""A picture of concepts: the commonest words' vectors on a plane, as an SVG that names a word on hovering.

It must not know about Gradio or sessions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engram_model.text import SPECIALS
from engram_model.vocabulary import Vocabulary
from engram_scripts.web_strip import safe

COMMONEST = 260
NEIGHBOURS = 7
WIDTH, HEIGHT, MARGIN = 1000, 620, 46
LETTER, LINE = 7.6, 15.0
"""Rough size of a letter of a label, in units of the picture, by which labels are kept from covering each other."""

EDGE = 0.01


def principal_plane(fitted: Float[Tensor, "words dim"], shown: Float[Tensor, "shown dim"]) -> Float[Tensor, "shown 2"]:
    """Coordinates of some vectors along the two directions in which the fitted vectors vary most.

    With X - mean(X) = U S V^T of the fitted vectors, a vector x stands at (x - mean(X)) V[:, :2].
    """
    mean = fitted.double().mean(dim=0)
    _, _, directions = torch.linalg.svd(fitted.double() - mean, full_matrices=False)
    return ((shown.double() - mean) @ directions[:2].T).float()


def spread(plane: Float[Tensor, "words 2"]) -> Float[Tensor, "words 2"]:
    """Coordinates on the picture: the middle 98 % of each axis fill it, what lies outside stands at the edge."""
    low, high = plane.quantile(EDGE, dim=0), plane.quantile(1 - EDGE, dim=0)
    share = ((plane - low) / (high - low).clamp(min=1e-9)).clamp(0.0, 1.0)
    return share * torch.tensor([WIDTH - 2.0 * MARGIN, HEIGHT - 2.0 * MARGIN]) + MARGIN


def common_words(vocabulary: Vocabulary, count: int) -> list[str]:
    """The words that were met most often, without marks and markers."""
    found = []
    for word_id in vocabulary.counts.argsort(descending=True, stable=True).tolist():
        word = vocabulary.words[word_id]
        if word is not None and word not in SPECIALS and word[0].isalpha():
            found.append(word)
        if len(found) == count:
            break
    return found


def concept_map(vocabulary: Vocabulary, taught: Sequence[str] = (), focus: str = "") -> str:
    """The map as SVG.

    Args:
        vocabulary: Words and vectors.
        taught: Words that a visitor taught; they are highlighted.
        focus: A word to show with its nearest words, or "".
    """
    taught = [word for word in dict.fromkeys(taught) if word in vocabulary]
    near = [word for word, _ in vocabulary.nearest(focus, NEIGHBOURS)] if focus in vocabulary else []
    central = [focus, *near] if near else []
    base = common_words(vocabulary, COMMONEST)
    words = list(dict.fromkeys([*central, *taught, *base]))
    vectors = vocabulary.vectors
    places = spread(principal_plane(vectors[vocabulary.encode(base)], vectors[vocabulary.encode(words)]))
    kinds = {word: "near" for word in near} | {word: "taught" for word in taught} | ({focus: "focus"} if near else {})
    shown = [vocabulary.forms.get(word, word) for word in words]
    sides = place_labels(places, shown)
    lines = "".join(_line(places[0], place) for place in places[1 : len(central)])
    dots = [_dot(shown[row], kinds.get(words[row], "common"), places[row], sides[row]) for row in range(len(words))]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="map of {len(words)} concepts">'
        f"{lines}{''.join(reversed(dots))}</svg>"
    )


def place_labels(places: Float[Tensor, "words 2"], labels: Sequence[str]) -> list[str]:
    """Where each label stands ("right", "left", "above", "below" its dot), or "" where it would cover another.

    Earlier words choose first.
    """
    boxes: list[tuple[float, float, float, float]] = []
    sides = []
    for (x, y), label in zip(places.tolist(), labels, strict=True):
        width = LETTER * len(label)
        options = {
            "right": (x + 5, y - LINE / 2, x + 9 + width, y + LINE / 2),
            "left": (x - 9 - width, y - LINE / 2, x - 5, y + LINE / 2),
            "above": (x - width / 2, y - 6 - LINE, x + width / 2, y - 6),
            "below": (x - width / 2, y + 6, x + width / 2, y + 6 + LINE),
        }
        free = [side for side, box in options.items() if _inside(box) and not any(_overlap(box, b) for b in boxes)]
        sides.append(free[0] if free else "")
        if free:
            boxes.append(options[free[0]])
        boxes.append((x - 3, y - 3, x + 3, y + 3))
    return sides


def _inside(box: tuple[float, float, float, float]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= WIDTH and box[3] <= HEIGHT


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _line(start: Float[Tensor, " 2"], end: Float[Tensor, " 2"]) -> str:
    (x1, y1), (x2, y2) = start.tolist(), end.tolist()
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _dot(label: str, kind: str, place: Float[Tensor, " 2"], side: str) -> str:
    x, y = place.tolist()
    anchor, dx, dy = {
        "left": ("end", -7, 4), "above": ("middle", 0, -9), "below": ("middle", 0, 18)
    }.get(side, ("start", 7, 4))  # fmt: skip
    if not side and x > WIDTH / 2:
        anchor, dx = "end", -7
    return (
        f'<g class="{kind}{"" if side else " quiet"}" tabindex="0"><title>{safe(label)}</title>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3 if kind == "common" else 5}"/>'
        f'<text x="{x + dx:.1f}" y="{y + dy:.1f}" text-anchor="{anchor}">{safe(label)}</text></g>'
    )
