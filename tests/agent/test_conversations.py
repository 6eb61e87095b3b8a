"""The long conversations that search is measured on: whole, and their neighbours worth what is said of them."""

from __future__ import annotations

import pytest

from benchmarks.agent_conversations import NAMES, _recall, questions, turns


@pytest.mark.parametrize("name", NAMES)
def test_every_question_has_its_evidence_in_the_conversation(name: str) -> None:
    said, asked = dict(turns(name)), questions(name)
    assert len(said) == 480 and len(asked) == 100
    assert {one.kind for one in asked} == {"single", "multi", "time", "inference"}
    assert all(place in said for one in asked for place in one.evidence)
    assert {session for one in asked for session, _ in one.evidence} == {session for session, _ in said}


def test_turns_are_found_better_where_their_neighbours_are_known() -> None:
    said, asked = list(turns("friends")), questions("friends")
    with_them, without = (_recall(said, asked, "lexical", neighbours=known)["turn"] for known in (True, False))
    assert with_them > without + 0.03
