"""Simulated agents on a bank of tasks, with and without memory: repeated failures, and successes.

It must not know how the memory works; it calls `execute_with_memory` and nothing else of it.

There are two worlds. Of 10 things, two of 5 sorts of work each are 20 kinds of task, or four are 40. For each, chance draws
which 6 of 24 actions can be tried; one, unknown to all agents, works in 95 of 100 trials, one in 50, the others in 5. Kinds that
share a thing or a sort of work share words but nothing else. Each time a task comes, chance draws its wording (two or three
verbs and three sentences with changing hosts, numbers and customers); a failed action reports one of its three errors, with
changing numbers and paths. 300 or 400 tasks come in chance order, each with up to two attempts: it succeeds if one of them does.

The agents, all of which may try the same six actions, and never one twice for a task that is at hand:
"none" forgets between tasks; as the best action is drawn evenly, no choice of it is better than an even one. "last" knows
for a wording (without numbers, case and hosts) the action it took last and whether it worked: it repeats one that worked
and shuns one that failed. "memory" takes the action that it is advised; without advice, or where that failed just now, any
that is not one to avoid, if there is one.

A repeated failure is a failed attempt with an action that has failed for this agent in this kind of task before, by
mischance too.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engram_agent.execution import Advice, Attempt, execute_with_memory
from engram_agent.memory import Memory
from engram_agent.phrases import key

SEEDS = 5
ATTEMPTS = 2
THINGS = (
    "payment service", "user table", "search index", "mobile app", "mail queue", "login page", "report job", "image cache",
    "price list", "video player",
)  # fmt: skip
WORK = (
    ("deploy", "release", "roll out"),
    ("migrate", "move", "transfer"),
    ("repair", "fix", "restore"),
    ("test", "verify", "check"),
    ("speed up", "tune", "optimise"),
)
SENTENCES = (
    "{verb} the {thing} for customer {number}",
    "{thing}: {verb} it on {host}",
    "please {verb} {thing} version {version}",
)
ACTIONS = (
    "clear the cache first", "use a blue green switch", "pin all dependencies", "rebuild from scratch", "raise the time limit",
    "lower the batch size", "take a snapshot", "stop the workers", "rotate the keys", "run it in a container", "drop the index",
    "lock the table", "warm up the replicas", "split it in parts", "ask for a review", "turn off the proxy",
    "update the schema", "add a retry", "compress the payload", "read from the mirror", "disable the plugin",
    "roll back the last change", "use the staging host", "write a dry run",
)  # fmt: skip
ERRORS = (
    "connection to {host} lost after {number} ms", "cannot write /var/lib/{number}/state: disk is full",
    "assertion failed: expected {number} rows, got none", "worker {number} was killed: out of memory",
    "permission denied for /srv/app/{number}.conf", "deadlock found on page {number}", "checksum of block {number} is wrong",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of task: what it is about, what can be tried, how often each action works, what errors come."""

    thing: str
    verbs: Sequence[str]
    rates: dict[str, float]
    errors: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class World:
    """How large a world is: sorts of work for each thing, words for each sort of work, tasks that come."""

    sorts: int
    words: int
    tasks: int


WORLDS = {"20 kinds": World(sorts=2, words=2, tasks=300), "40 kinds": World(sorts=4, words=3, tasks=400)}


def measure(data: Path | None = None) -> dict[str, Any]:
    """Repeated failures and successes of the three agents in each world over the seeds."""
    return {"seeds": SEEDS, "worlds": {name: _compare(world) for name, world in WORLDS.items()}}


def _compare(world: World) -> dict[str, Any]:
    runs = [play(world, seed) for seed in range(SEEDS)]
    names = ("none", "last", "memory")
    mean = {
        name: {part: statistics.mean(run[name][part] for run in runs) for part in ("success", "repeated", "failures")}
        for name in names
    }
    return {
        "tasks": world.tasks,
        "mean": mean,
        "success by seed": {name: [run[name]["success"] for run in runs] for name in names},
        "repeated by seed": {name: [run[name]["repeated"] for run in runs] for name in names},
        "change of repeated failures": {
            name: mean["memory"]["repeated"] / mean[name]["repeated"] - 1.0 for name in names[:2]
        },
        "change of success": {name: mean["memory"]["success"] / mean[name]["success"] - 1.0 for name in names[:2]},
        "repeated failures in the last half": {
            name: statistics.mean(run[name]["repeated late"] for run in runs) for name in names
        },
    }


def play(world: World, seed: int) -> dict[str, dict[str, float]]:
    """What becomes of the three agents in one world."""
    bank = kinds(world, random.Random(seed))
    with tempfile.TemporaryDirectory() as folder, Memory(Path(folder) / "m.db", seed=seed) as memory:
        agents = {"none": Forgetful(), "last": LastAction(), "memory": Remembering(memory)}
        return {name: score(agent, bank, world.tasks, seed) for name, agent in agents.items()}


def kinds(world: World, chance: random.Random) -> list[Kind]:
    """The kinds of task of a world."""
    bank = []
    for thing in THINGS:
        for verbs in chance.sample(WORK, world.sorts):
            actions = chance.sample(ACTIONS, 6)
            rates = dict(zip(actions, (0.95, 0.5, 0.05, 0.05, 0.05, 0.05), strict=True))
            bank.append(Kind(thing=thing, verbs=verbs[: world.words], rates=rates, errors=chance.sample(ERRORS, 3)))
    return bank


def score(agent: Any, bank: Sequence[Kind], tasks: int, seed: int) -> dict[str, float]:
    """Let an agent work through the tasks; each agent meets the same tasks in the same words."""
    failed: set[tuple[int, str]] = set()
    solved = repeated = failures = late = 0
    for number in range(tasks):
        chance = random.Random(f"{seed} {number}")
        kind = chance.randrange(len(bank))
        task = wording(bank[kind], chance)
        tried: list[str] = []
        for _ in range(ATTEMPTS):
            options = sorted(set(bank[kind].rates) - set(tried))
            attempt = agent.attempt(task, options, lambda action, k=bank[kind], c=chance: outcome(k, action, c), chance)
            tried.append(attempt.action)
            if attempt.outcome == "success":
                solved += 1
                break
            failures += 1
            again = (kind, attempt.action) in failed
            repeated, late = repeated + again, late + (again and number >= tasks // 2)
            failed.add((kind, attempt.action))
    return {"success": solved / tasks, "repeated": repeated, "failures": failures, "repeated late": late}


def wording(kind: Kind, chance: random.Random) -> str:
    """A task of a kind in words of the moment."""
    return chance.choice(SENTENCES).format(verb=chance.choice(kind.verbs), thing=kind.thing, **details(chance))


def details(chance: random.Random) -> dict[str, str]:
    """What changes each time."""
    number = chance.randrange(10, 10_000)
    return {
        "number": str(number),
        "host": f"host{number}.example.com",
        "version": f"{number % 9}.{number % 7}.{number % 31}",
    }


def outcome(kind: Kind, action: str, chance: random.Random) -> Attempt:
    """What comes of an action."""
    if chance.random() < kind.rates[action]:
        return Attempt(outcome="success", action=action)
    return Attempt(outcome="failure", action=action, error=chance.choice(kind.errors).format(**details(chance)))


class Forgetful:
    """Knows nothing of earlier tasks."""

    def attempt(
        self, task: str, options: Sequence[str], act: Callable[[str], Attempt], chance: random.Random
    ) -> Attempt:
        """Any action."""
        return act(chance.choice(options))


class LastAction:
    """Knows what it did last for a wording, and whether that worked."""

    def __init__(self) -> None:
        self.last: dict[str, Attempt] = {}

    def attempt(
        self, task: str, options: Sequence[str], act: Callable[[str], Attempt], chance: random.Random
    ) -> Attempt:
        """The last action if it worked, else any other."""
        last = self.last.get(key(task))
        choice = chance.choice(options)
        if last and last.outcome == "success" and last.action in options:
            choice = last.action
        elif last and last.outcome != "success":
            choice = chance.choice([action for action in options if action != last.action])
        self.last[key(task)] = act(choice)
        return self.last[key(task)]


class Remembering:
    """Works with a memory."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def attempt(
        self, task: str, options: Sequence[str], act: Callable[[str], Attempt], chance: random.Random
    ) -> Attempt:
        """The advised action; else any that is not one to avoid."""

        def run(task: str, advice: Advice) -> Attempt:
            if advice.action:
                return act(advice.action)
            return act(chance.choice([action for action in options if action not in advice.avoid] or options))

        return execute_with_memory(self.memory, task, run, agent_id="learner", options=options).value


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
