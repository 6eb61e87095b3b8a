"""What is decided for a search, and what one judgement of a memory tells of each strategy.

It must not know how the decisions are made, nor what becomes of the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engram_agent.search import FLOORS, STRATEGIES

STRATEGY = "strategy"
DECISIONS: dict[str, tuple[str, ...]] = {
    STRATEGY: tuple(f"{strategy}/{floor}" for strategy in STRATEGIES for floor in FLOORS),
    "llm": ("balanced", "cheap", "expensive"),
    "contextualisation": ("raw", "summarise"),
    "proactivity": ("passive", "proactive"),
}
"""What is decided for every search, and the actions there are."""
DEFAULTS = {STRATEGY: "hybrid/loose", "llm": "balanced", "contextualisation": "raw", "proactivity": "passive"}
SPARED = 0.2
"""What a place is worth that a memory does not take: one that scores less costs more attention than it gives."""
PERSISTENCE = 0.95
"""How likely who has read one hit reads the next: an agent reads nearly all it is given."""
LOOSEST = min(FLOORS, key=lambda name: FLOORS[name])
"""The floor that leaves out no single memory of a search that finds anything."""
HEAVIEST = 10.0
"""Most that one judgement may weigh, however seldom the memory would have been seen."""


@dataclass(frozen=True, kw_only=True)
class Routing:
    """What was decided for one search.

    Attributes:
        state: Kind of the request, one of `requests.KINDS`.
        actions: Action of each decision.
        propensities: Probability that each action had; 1 for what the caller demanded.
        policy: Probability of each strategy; those that are missing had none.
        probing: Probability that the last place goes to what another strategy would have served.
        probes: Probability of each memory to be served in the last place so.
    """

    state: str
    actions: Mapping[str, str]
    propensities: Mapping[str, float]
    policy: Mapping[str, float]
    probing: float = 0.0
    probes: Mapping[str, float] = field(default_factory=dict)

    @property
    def strategy(self) -> str:
        """How to search: a key of `search.STRATEGIES`."""
        return self.actions[STRATEGY].split("/")[0]

    @property
    def floor(self) -> str:
        """How strictly: a key of `search.FLOORS`."""
        return self.actions[STRATEGY].split("/")[1]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a search showed of one memory, for learning from a judgement of it.

    Attributes:
        places: Its place in the order of each strategy (`search.STRATEGIES`), from 1, where it was within the limit.
        relevance: Its relevance, if it was served; else None.
        probe: Probability that the strategy that was taken, which would not have served it, served it in the last place.
    """

    places: Mapping[str, int]
    relevance: float | None = None
    probe: float = 0.0


def rewards(evidence: Evidence, score: float) -> dict[str, float]:
    """What each strategy would have got for a memory that was then judged: r = d score + (1 - d) SPARED.

    What a memory is worth for a query does not depend on which strategy brings it up, and the log says at which place
    each would have: so one judgement tells of all of them (the document-based click model of Li et al. 2018, "Offline
    Evaluation of Ranking Policies with Click Models"). d = PERSISTENCE^(place - 1) is the chance that it would have
    been read (Moffat & Zobel 2008, "Rank-Biased Precision"), 0 where the strategy would not have served it. SPARED lets
    a strategy gain by leaving out what does not help; with 0, strict could never beat loose.
    """
    return {name: _discount(evidence, name) * (score - SPARED) + SPARED for name in DECISIONS[STRATEGY]}


def weight(routing: Routing, evidence: Evidence) -> float:
    """What a judgement weighs: 1 / p, where p is the probability that the search would show the memory at all.

    Only what was shown is judged, which favours the strategy that is mostly chosen. p is the sum of the probabilities
    of the strategies that would have served the memory, and else of its being tried in the last place; it is known,
    since the policy is logged. Steps of size
    1 - (1 - alpha)^w are what w equal updates do (Karampatziakis & Langford 2011, "Online Importance Weight Aware
    Updates"), and as all strategies take the same step, Q stays a weighted mean of rewards: the self-normalised
    estimator (Swaminathan & Joachims 2015), which cannot leave their range. The weight is at most HEAVIEST, which
    bounds its variance for a bias where exploration is rare. A memory that was found without being served weighs 1.
    """
    if evidence.relevance is None:
        return 1.0
    by_itself = "" if evidence.probe else routing.actions[STRATEGY]
    shown = sum(
        chance for name, chance in routing.policy.items() if name == by_itself or _discount(evidence, name) > 0.0
    )
    shown += (1.0 - shown) * evidence.probe
    return 1.0 / max(shown, 1.0 / HEAVIEST)


def _discount(evidence: Evidence, name: str) -> float:
    strategy, floor = name.split("/")
    place = evidence.places.get(strategy)
    passes = floor == LOOSEST or (evidence.relevance is not None and evidence.relevance >= FLOORS[floor])
    return PERSISTENCE ** (place - 1) if place is not None and passes else 0.0
