"""The router: what it decides is done, what it learns changes what is served, and no more than a little is spent on trying."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from engram_agent.credit import (
    DECISIONS,
    DEFAULTS,
    HEAVIEST,
    PERSISTENCE,
    SPARED,
    STRATEGY,
    Evidence,
    Routing,
    rewards,
    weight,
)
from engram_agent.database import Database
from engram_agent.errors import AgentError
from engram_agent.requests import FEATURES, KINDS, kind
from engram_agent.router import ALPHA, EPSILON, LEAST_ALPHA, LEAST_EPSILON, PRIOR, Router, alpha, epsilon
from engram_agent.search import FLOORS, STRATEGIES

ROUTINE = "who keeps the key of the cellar"
LOOSE = {name: f"{name}/loose" for name in STRATEGIES}


def router(explore: bool = True, seed: int = 7, **changes: str) -> Router:
    """A router where somebody judges: only then does it try what is not thought best."""
    database = Database(Path(":memory:"))
    database.execute("INSERT INTO q_values VALUES ('llm', 'review', 'cheap', 0.5, 0, 1.0)")
    return Router(database, explore, random.Random(seed), DEFAULTS | changes)


def test_where_nobody_judges_nothing_is_tried() -> None:
    alone = Router(Database(Path(":memory:")), True, random.Random(7))
    for _ in range(200):
        assert alone.choose("where is the key").actions == DEFAULTS
        alone.count("routine", False)
    alone.database.execute("INSERT INTO q_values VALUES ('llm', 'review', 'cheap', 0.5, 0, 1.0)")
    tried = [alone.choose("where is the key").actions[STRATEGY] for _ in range(200)]
    assert 5 < sum(action != DEFAULTS[STRATEGY] for action in tried) < 80, (
        "and at full strength with the first judgement"
    )


def routed(taken: str, policy: dict[str, float], state: str = "routine") -> Routing:
    return Routing(state=state, actions=DEFAULTS | {STRATEGY: taken}, propensities={}, policy=policy)


def shown(**places: int) -> Evidence:
    return Evidence(places=places, relevance=0.9)


# ------------------------------------------------------------------------------------------- the kind of a request


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("why does the login fail with a TimeoutError?", "debug"),
        ("the build crashed with exit code 137", "debug"),
        ("it doesn't start after the upgrade", "debug"),
        ("plan the next sprint and its milestones", "plan"),
        ("what is on the roadmap for the billing team", "plan"),
        ("how should we structure the services and their boundaries", "architecture"),
        ("review the pull request of Ann", "review"),
        ("address the reviewer's nits", "review"),
        ("implement a parser for dates", "coding"),
        ("where is load_config() defined", "coding"),
        ("who keeps the key of the cellar", "routine"),
        ("", "routine"),
    ],
)
def test_a_request_is_told_by_its_words(query: str, meant: str) -> None:
    assert kind(query) == meant and kind(query.upper().replace("ERROR", "Error")) == meant


def test_a_kind_is_told_by_most_words_and_only_by_whole_ones() -> None:
    assert kind("review the design of the services and their interfaces") == "architecture"
    assert kind("the planet of the debutante's preview") == "routine"
    assert kind("x" * 100_000 + " error") == "routine" and set(FEATURES) < set(KINDS)


# ------------------------------------------------------------------------------------------- choosing


def test_nothing_known_means_the_defaults_and_every_action_is_tried_as_often_as_it_says() -> None:
    assert router(explore=False).choose(ROUTINE).actions == DEFAULTS
    ours, count = router(), 5_000
    taken = [ours.choose(ROUTINE) for _ in range(count)]
    for decision, actions in DECISIONS.items():
        seen = Counter(routing.actions[decision] for routing in taken)
        for action in actions:
            chance = EPSILON / len(actions) + (1.0 - EPSILON) * (action == DEFAULTS[decision])
            assert abs(seen[action] / count - chance) < 4.0 * (chance * (1.0 - chance) / count) ** 0.5
            assert {round(r.propensities[decision], 9) for r in taken if r.actions[decision] == action} == {
                round(chance, 9)
            }
    assert all(sum(routing.policy.values()) == pytest.approx(1.0) for routing in taken[:3])


def test_decisions_explore_independently_of_each_other() -> None:
    ours, count = router(), 9_000
    taken = [ours.choose(ROUTINE).actions for _ in range(count)]
    odd = [actions["llm"] != DEFAULTS["llm"] for actions in taken]
    also = [actions["proactivity"] != DEFAULTS["proactivity"] for actions in taken]
    both = sum(one and other for one, other in zip(odd, also, strict=True)) / count
    assert abs(both - sum(odd) * sum(also) / count**2) < 0.006 and both > 0.0


def test_the_same_seed_chooses_the_same_and_another_does_not() -> None:
    one, same, other = ([r.choose(ROUTINE).actions for _ in range(97)] for r in (router(), router(), router(seed=8)))
    assert one == same and one != other


def test_exploring_fades_for_each_decision_and_kind_down_to_a_rest() -> None:
    for decision in DECISIONS:
        shares = [epsilon(decision, n) for n in range(0, 9_000, 11)]
        assert shares[0] == EPSILON and shares[-1] == LEAST_EPSILON
        assert all(one >= other for one, other in pairwise(shares))
    ours = router()
    for _ in range(31):
        ours.count("debug", demanded=False)
        ours.count("debug", demanded=True)
    chances = {state: ours.choose(query) for state, query in (("debug", "it crashed"), ("routine", ROUTINE))}
    for decision, tried in ((STRATEGY, 31), ("llm", 62)):
        default, size = DEFAULTS[decision], len(DECISIONS[decision])
        for state, searches in (("debug", tried), ("routine", 0)):
            if chances[state].actions[decision] == default:
                expected = 1.0 - epsilon(decision, searches) * (1.0 - 1.0 / size)
                assert chances[state].propensities[decision] == pytest.approx(expected)


@pytest.mark.parametrize("strategy", [None, *STRATEGIES])
@pytest.mark.parametrize("floor", [None, *FLOORS])
def test_what_the_caller_demands_is_done_with_certainty(strategy: str | None, floor: str | None) -> None:
    ours = router()
    for _ in range(53):
        routing = ours.choose(ROUTINE, strategy, floor)
        assert strategy in (None, routing.strategy) and floor in (None, routing.floor)
        assert routing.policy[routing.actions[STRATEGY]] == routing.propensities[STRATEGY]
        assert (routing.propensities[STRATEGY] == 1.0) == (strategy is not None and floor is not None)


@pytest.mark.parametrize("demand", [{"strategy": "dreams"}, {"floor": "velvet"}])
def test_an_unknown_demand_is_one_line(demand: dict[str, str]) -> None:
    with pytest.raises(AgentError) as error:
        router().choose(ROUTINE, **demand)
    assert error.value.name == "InvalidValue" and next(iter(demand.values())) in str(error.value)


# ------------------------------------------------------------------------------------------- rewards and weights


def test_a_reward_is_discounted_by_the_place_and_a_place_not_taken_is_spared() -> None:
    found = rewards(shown(lexical=1, hybrid=3), 1.0)
    assert found["lexical/loose"] == 1.0 and found["vector/loose"] == SPARED
    assert found["hybrid/loose"] == pytest.approx(PERSISTENCE**2 * (1.0 - SPARED) + SPARED)
    useless = rewards(shown(lexical=1, hybrid=3), 0.0)
    assert useless["lexical/loose"] == 0.0 < useless["hybrid/loose"] < useless["vector/loose"] == SPARED
    assert set(rewards(shown(lexical=1, hybrid=3), SPARED).values()) == {SPARED}


def test_the_strict_floor_earns_nothing_by_what_it_leaves_out() -> None:
    between = (FLOORS["loose"] + FLOORS["strict"]) / 2.0
    found = rewards(Evidence(places={"lexical": 1}, relevance=between), 1.0)
    assert found["lexical/loose"] == 1.0 and found["lexical/strict"] == SPARED
    found = rewards(Evidence(places={"lexical": 1}, relevance=between), 0.0)
    assert found["lexical/loose"] == 0.0 and found["lexical/strict"] == SPARED


def test_weights_make_the_mean_right_whatever_the_policy() -> None:
    """The weighted mean reward over what the policy happens to show is that over all memories (with enough exploring)."""
    generator = random.Random(11)
    memories = [(generator.random(), {n: generator.randint(1, 40) for n in STRATEGIES}) for _ in range(997)]
    memories = [(score, {n: place for n, place in places.items() if place <= 10}) for score, places in memories]
    memories = [(score, places) for score, places in memories if places]
    policy = {"vector/loose": 0.6, "lexical/loose": 0.25, "hybrid/loose": 0.15}
    sums, plain, heavy, count = Counter[str](), Counter[str](), 0.0, 0
    for _ in range(61):
        for score, places in memories:
            taken = generator.choices(list(policy), list(policy.values()))[0]
            if taken.split("/")[0] not in places:
                continue
            evidence = Evidence(places=places, relevance=0.9)
            w = weight(routed(taken, policy), evidence)
            heavy, count = heavy + w, count + 1
            for name, reward in rewards(evidence, score).items():
                sums[name] += w * reward
                plain[name] += reward
    for name in policy:
        every = [rewards(Evidence(places=places, relevance=0.9), score)[name] for score, places in memories]
        true = sum(every) / len(every)
        assert abs(sums[name] / heavy - true) < 0.01
    every = [rewards(Evidence(places=places, relevance=0.9), score)["vector/loose"] for score, places in memories]
    assert plain["vector/loose"] / count - sum(every) / len(every) > 0.025


def test_a_weight_is_one_for_what_is_always_shown_and_bounded_for_what_hardly_ever_is() -> None:
    policy = {LOOSE["hybrid"]: 0.9, LOOSE["lexical"]: 0.099, LOOSE["vector"]: 0.001}
    assert weight(routed(LOOSE["hybrid"], policy), shown(lexical=1, vector=2, hybrid=3)) == pytest.approx(1.0)
    assert weight(routed(LOOSE["vector"], policy), shown(vector=2)) == HEAVIEST
    assert weight(routed(LOOSE["vector"], policy), Evidence(places={"vector": 2})) == 1.0


def test_what_the_loose_floor_lets_through_beside_a_good_hit_counts_whatever_its_relevance() -> None:
    found = rewards(Evidence(places={"lexical": 1}, relevance=0.01), 1.0)
    assert found["lexical/loose"] == 1.0 and found["lexical/strict"] == SPARED


# ------------------------------------------------------------------------------------------- learning


def test_a_value_follows_the_rule() -> None:
    ours, routing = router(), routed("lexical/loose", {"lexical/loose": 1.0})
    value, spared = PRIOR, PRIOR
    for updates, score in enumerate([1.0, 0.0, 0.7, 0.9, 0.2]):
        ours.learn(routing, shown(lexical=1), score)
        value += alpha(updates) * (score - value)
        spared += alpha(updates) * (SPARED - spared)
        known = ours.values("routine")
        assert known[STRATEGY]["lexical/loose"] == pytest.approx(value) == pytest.approx(known["llm"]["balanced"])
        assert known[STRATEGY]["vector/loose"] == pytest.approx(spared)
    assert alpha(0) == ALPHA and alpha(10**6) == LEAST_ALPHA
    assert len(ours.database.rows("SELECT * FROM q_history")) == 5 * (len(DECISIONS[STRATEGY]) + 3)


def test_a_heavy_judgement_is_worth_as_many_light_ones() -> None:
    once, thrice = router(), router()
    once.learn(routed("lexical/loose", {"lexical/loose": 1 / 3}), shown(lexical=1), 1.0)
    value = once.values("routine")[STRATEGY]["lexical/loose"]
    assert value == pytest.approx(1.0 - (1.0 - PRIOR) * (1.0 - ALPHA) ** 3)
    thrice.learn(routed("lexical/loose", {"lexical/loose": 1.0}), shown(lexical=1), 1.0)
    assert thrice.values("routine")[STRATEGY]["lexical/loose"] < value


def test_what_was_never_tried_is_worth_what_the_default_is() -> None:
    ours = router(explore=False)
    for _ in range(29):
        ours.learn(routed("hybrid/loose", {"hybrid/loose": 1.0}), shown(hybrid=1), 0.0)
    known = ours.values("routine")["llm"]
    assert len(set(known.values())) == 1 and known["balanced"] < PRIOR
    assert ours.choose(ROUTINE).actions["llm"] == DEFAULTS["llm"]
    cheap = replace(routed("hybrid/loose", {"hybrid/loose": 1.0}), actions=DEFAULTS | {"llm": "cheap"})
    ours.learn(cheap, shown(hybrid=1), 1.0)
    assert ours.choose(ROUTINE).actions["llm"] == "cheap"
    assert ours.values("routine")["llm"]["expensive"] == known["balanced"]


def test_a_kind_without_judgements_borrows_and_one_with_its_own_does_not() -> None:
    ours = router(explore=False)
    for _ in range(17):
        ours.learn(routed("hybrid/loose", {"hybrid/loose": 1.0}, "debug"), shown(lexical=1, hybrid=9), 1.0)
    assert ours.values("plan")[STRATEGY] == pytest.approx(ours.values("debug")[STRATEGY])
    assert ours.choose("plan the sprint").strategy == "lexical"
    for _ in range(41):
        ours.learn(routed("hybrid/loose", {"hybrid/loose": 1.0}, "plan"), shown(vector=1, hybrid=9), 1.0)
    assert ours.choose("plan the sprint").strategy == "vector" and ours.choose("it crashed").strategy == "lexical"


def test_a_judgement_in_place_of_another_counts_only_the_difference() -> None:
    ours, same = router(), router()
    routing = routed("lexical/loose", {"lexical/loose": 0.5, "vector/loose": 0.5})
    ours.learn(routing, shown(lexical=1), 0.4)
    for _ in range(50):
        ours.learn(routing, shown(lexical=1), 0.4, previous=0.4)
    same.learn(routing, shown(lexical=1), 0.4)
    for decision, known in same.values("routine").items():
        assert ours.values("routine")[decision] == pytest.approx(known)
    ours.learn(routing, shown(lexical=1), 0.9, previous=0.4)
    assert ours.values("routine")[STRATEGY]["lexical/loose"] > same.values("routine")[STRATEGY]["lexical/loose"]


@pytest.mark.parametrize("default", DECISIONS[STRATEGY])
@pytest.mark.parametrize("good", STRATEGIES)
def test_the_best_strategy_is_found_from_any_default(default: str, good: str) -> None:
    """Nine in ten memories that help are first by one strategy alone and ninth by the two others."""
    ours, generator = router(**{STRATEGY: default}), random.Random(13)
    taken = []
    for _ in range(150):
        routing = ours.choose(ROUTINE)
        ours.count(routing.state, demanded=False)
        first = good if generator.random() < 0.9 else generator.choice(STRATEGIES)
        places = {name: 1 if name == first else 9 for name in STRATEGIES}
        ours.learn(routing, Evidence(places=places, relevance=0.9), 1.0)
        taken.append(routing.strategy)
    assert taken[-50:].count(good) >= 45
