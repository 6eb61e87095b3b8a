"""Running with a memory: what worked is advised, what failed is avoided, nothing that happens is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram_agent.errors import AgentError
from engram_agent.execution import MOST, RELEVANT, Advice, Attempt, advise, execute_with_memory, relevant
from engram_agent.memory import Memory

TASK = "deploy the payment service to host 7"
ERROR = "connection to /srv/{} lost after {} ms"


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memories.db", explore=False)


def doing(action: str, outcome: str, number: int = 0) -> object:
    error = ERROR.format(number, number) if outcome == "failure" else ""
    return lambda task, advice: Attempt(outcome=outcome, action=action, error=error)


def test_a_failure_becomes_a_pattern_with_a_check_and_the_way_out_is_remembered(memory: Memory) -> None:
    first = execute_with_memory(memory, TASK, doing("push it", "failure", 3))  # type: ignore[arg-type]
    assert first.outcome == 0.0 and first.failure is not None and first.check is not None and first.recovered == ()
    assert first.check.spec["avoid"] == ["push it"]
    again = execute_with_memory(memory, TASK, doing("push it", "failure", 11))  # type: ignore[arg-type]
    assert (
        again.failure is not None and again.failure.record_id == first.failure.record_id and again.failure.trials == 2
    )
    assert again.advice.avoid == ("push it",) and again.advice.action == ""
    assert [check.id for check in again.advice.checks] == [first.check.id]
    saved = execute_with_memory(memory, TASK, doing("drain it first", "success"))  # type: ignore[arg-type]
    assert saved.recovered == (first.failure.name,) and saved.failure is None
    assert memory.failures()[0].action == "drain it first"
    advised = advise(memory, "deploy the payment service to host 12")
    assert advised.action == "drain it first" and advised.avoid == ("push it",)
    assert [check.spec["prefer"] for check in advised.checks] == [["drain it first"]], (
        "the check knows the way out by now"
    )


def test_checks_count_only_when_they_were_followed(memory: Memory) -> None:
    runs = [("push it", "failure"), ("push it", "failure"), ("drain it", "success"), ("drain it", "failure")]
    done = [execute_with_memory(memory, TASK, doing(*run)) for run in runs]  # type: ignore[arg-type]
    assert done[0].check is not None
    check = memory.prevent(done[0].check.pattern)
    assert (check.held, check.failed) == (1, 1)


def test_what_is_raised_is_recorded_and_comes_back(memory: Memory) -> None:
    def run(task: str, advice: Advice) -> None:
        raise TimeoutError("no answer from 10.0.0.1 in 30 s")

    done = execute_with_memory(memory, TASK, run)
    assert isinstance(done.error, TimeoutError) and done.value is None and done.outcome == 0.0
    assert done.failure is not None and done.failure.signature.startswith("TimeoutError: no answer")
    assert memory.get(done.record_id).failures == 1


@pytest.mark.parametrize(
    ("value", "outcome"),
    [(True, 1.0), (False, 0.0), (0.25, 0.25), ("partial", 0.5), ("done!", 1.0), (None, 1.0), (7, 1.0)],
)
def test_what_is_returned_is_an_outcome(memory: Memory, value: object, outcome: float) -> None:
    def run(task: str, advice: Advice) -> object:
        return value

    done = execute_with_memory(memory, TASK, run)
    assert done.outcome == outcome and done.value == value and memory.get(done.record_id).action == "run"
    with pytest.raises(AgentError, match="outcome"):
        execute_with_memory(memory, TASK, lambda task, advice: Attempt(outcome="well", action="a"))


def test_advice_that_was_followed_is_judged(memory: Memory) -> None:
    kept = memory.record(TASK, "drain it", "success")
    execute_with_memory(memory, TASK, doing("something else", "failure"))  # type: ignore[arg-type]
    assert memory.learned()["judgements"] == []
    execute_with_memory(memory, TASK, lambda task, advice: Attempt(outcome=1))
    assert [(one["record_id"], one["score"]) for one in memory.learned()["judgements"]] == [(kept, 1.0)]


def test_only_what_can_be_done_is_advised(memory: Memory) -> None:
    memory.record(TASK, "drain it", "success")
    assert advise(memory, TASK, options=["push it"]).action == ""
    assert advise(memory, TASK, options=["push it", "Drain it"]).action == "drain it"


def test_only_memories_that_belong_to_the_task_are_given_the_newest_first_among_equals(memory: Memory) -> None:
    for number in range(MOST + 3):
        memory.store(TASK, f"remark {'abcdefghijklmnop'[number] * 9}", created_at=number * 1e6, updated_at=number * 1e6)
    memory.store("the weather is fine today")
    found = relevant(memory, TASK, now=1.4e7)
    assert len(found) == MOST and all(hit.relevance >= RELEVANT for hit in found)
    ages = [hit.record.updated_at for hit in found if hit.relevance == found[0].relevance]
    assert ages == sorted(ages, reverse=True)
    assert relevant(memory, "zebras in the zoo") == []


class Untold:
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    "came",
    [RuntimeError("compiler said: " + "x" * 200_000), RuntimeError("a\0b"), OSError("\udcff"), RuntimeError(Untold())],
    ids=["long", "NUL", "half a character", "untold"],
)
def test_whatever_a_task_says_when_it_fails_is_recorded(memory: Memory, came: Exception) -> None:
    def run(task: str, advice: Advice) -> None:
        raise came

    found = execute_with_memory(memory, "build the project", run)
    assert found.outcome == 0.0 and found.error is came and found.failure is not None
    record = memory.get(found.record_id)
    assert len(record.result + str(record.fields)) < 50_000 and memory.status()["outcomes"] == 1


def test_whatever_a_task_returns_is_recorded_and_a_task_that_is_no_text_is_not_run(memory: Memory) -> None:
    for value in ("r" * 200_000, "a\0b", Untold(), Attempt(outcome="success", result="r" * 200_000)):
        assert execute_with_memory(memory, "build the project", lambda task, advice, v=value: v).outcome == 1.0
    ran: list[str] = []
    with pytest.raises(AgentError, match="task must be text"):
        execute_with_memory(memory, "a\0", lambda task, advice: ran.append(task))
    assert ran == [] and memory.status()["outcomes"] == 4
