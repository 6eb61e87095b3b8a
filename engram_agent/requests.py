"""Tells what kind of request a query is, by its words.

It must not know what follows from the kind. No model is asked: what decides can be read below.
"""

from __future__ import annotations

import re

FEATURES = {
    "debug": r"error\w*|exception\w*|traceback|stack ?trace|fail\w*|crash\w*|bugs?|broken|breaks?|debug\w*|hang(?:s|ing)?"
    r"|time[sd]? ?out|timeout\w*|leak\w*|regress\w*|flaky|wrong|root cause|denied|refused|not work\w*"
    r"|(?:do|does|did|is|ca|wo)n't|unexpected\w*|segfault|panic\w*|corrupt\w*|diagnos\w*",
    "plan": r"plan(?:s|ned|ning)?|roadmap|milestones?|schedul\w*|estimat\w*|priorit\w*|backlog|sprint|next steps?|deadline"
    r"|todo|goals?|phases?|rollout|strateg\w*|before we|break (?:it )?down",
    "architecture": r"architect\w*|design\w*|structur\w*|components?|services?|microservices?|schemas?|layer\w*|scal(?:e|ing|able)\w*"
    r"|decoupl\w*|trade-?offs?|modular\w*|boundar\w*|data ?flow|event[- ]driven|monolith\w*|interfaces?",
    "review": r"review\w*|pull request|pr|diff|approv\w*|feedback|nits?|lint\w*|code smells?|audit\w*|reviewer\w*|merge request"
    r"|critique|comments?",
    "coding": r"implement\w*|writ(?:e|ing)|cod(?:e|ing)|functions?|class(?:es)?|methods?|refactor\w*|unit tests?|tests?"
    r"|endpoints?|pars(?:e|er|ing)|snippets?|script\w*|add(?:ing)?|api|sql|regex|python|javascript|typescript|rust|golang"
    r"|[a-z_]\w*\(\)|\w+\.(?:py|js|ts|rs|go|java|cpp)",
}
"""Words, with their endings, that tell each kind; where two kinds have as many in a query, the upper one is meant."""
KINDS = (*FEATURES, "routine")
_PATTERNS = {name: re.compile(rf"(?<!\w)(?:{words})(?!\w)") for name, words in FEATURES.items()}
_RAISED = re.compile(r"[A-Za-z]+(?:Error|Exception|Warning)\b|\b[1-9]\d* errors?\b|\bE[A-Z]{4,}\b")
READ = 2_000
"""Characters that are looked at; what a request is stands at its beginning."""


def kind(query: str) -> str:
    """The kind of a request, one of `KINDS`: that of which most telling words stand in it; routine if none does.

    Example:
        >>> kind("why does the login fail with a TimeoutError?"), kind("who wrote Emma")
        ('debug', 'routine')
    """
    said = query[:READ]
    counts = {name: len(set(pattern.findall(said.casefold()))) for name, pattern in _PATTERNS.items()}
    counts["debug"] += len(set(_RAISED.findall(said)))
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else "routine"
