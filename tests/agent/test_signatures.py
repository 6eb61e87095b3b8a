"""Signatures keep what a program says and drop what varies; equal ones share a group, in any order of arrival."""

import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_agent.signatures import ENOUGH, MARK, SignatureTable, group, mask

PIECES = st.sampled_from(
    [
        "user",
        "=",
        ":",
        " ",
        "  ",
        "(",
        ")",
        "[]",
        "<*>",
        "<",
        "*>",
        "7",
        "-3.5",
        "12 ms",
        "/a/b.c",
        "C:\\x",
        "'q'",
        '"',
        "0xff",
        "deadbeef01",
        "_",
        "-",
        ".",
        "10.0.0.1:80",
        "Jan 3",
        "\r\n",
        "é",
        "com",
        "http://x",
        "a@b.c",
        "2020-01-02",
    ]
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map("".join))
SHORT = st.lists(
    st.tuples(st.sampled_from(["open", "close"]), st.sampled_from(["file", "door"]), st.sampled_from("abcdefg")).map(
        lambda parts: f"cannot {parts[0]} the {parts[1]} {parts[2] * 3} again"
    ),
    max_size=17,
)


def accuracy_by_sets(found: Sequence[int], true: Sequence[int]) -> float:
    right = 0
    for place in range(len(true)):
        mine = {other for other in range(len(true)) if found[other] == found[place]}
        right += mine == {other for other in range(len(true)) if true[other] == true[place]}
    return right / len(true)


def accuracy_by_pairs(found: Sequence[int], true: Sequence[int]) -> float:
    of_found, of_true, of_both = defaultdict(int), defaultdict(int), defaultdict(int)
    for pair in zip(found, true, strict=True):
        of_found[pair[0]] += 1
        of_true[pair[1]] += 1
        of_both[pair] += 1
    return sum(n for (f, t), n in of_both.items() if n == of_found[f] == of_true[t]) / len(true)


def partition(groups: Sequence[int]) -> set[frozenset[int]]:
    members = defaultdict(set)
    for place, one in enumerate(groups):
        members[one].add(place)
    return {frozenset(places) for places in members.values()}


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_masking_twice_is_masking_once(text: str) -> None:
    once = mask(text)
    assert mask(once) == once == mask(text)


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_a_masked_text_has_single_blanks_and_no_digits_of_ours(text: str) -> None:
    masked = mask(text)
    assert masked == " ".join(masked.split())
    assert not any(letter in "0123456789" for letter in masked)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("listening on 127.0.0.1:8080", "listening on <*>"),
        ("GET https://example.org/a?b=1 failed", "GET <*> failed"),
        ("took 12 ms", "took <*>"),
        ("took 3.5s, wrote 4 KB", "took <*>, wrote <*>"),
        ("order 9f1c2d3e-0000-4abc-8def-0123456789ab is lost", "order <*> is lost"),
        ("object at 0x7f3a9c", "object at <*>"),
        ("checkout of 3f786850e387550fdab836ed7e6dc881de23001b", "checkout of <*>"),
        ("started 2024-05-06 07:08:09,123 and ready", "started <*> and ready"),
        ("since Tue Mar 5 10:11:12 2024 silent", "since <*> silent"),
        ("opening /var/tmp/a-1/b.txt now", "opening <*> now"),
        ("opening C:\\Temp\\b.txt now", "opening <*> now"),
        ("src/shop/cart.py:31: unused name", "<*>: unused name"),
        ("at cart.py:31 in pay", "at <*> in pay"),
        ("moved blk_-1608 to job_20180101_0001", "moved blk_<*> to job_<*>"),
        ("user123 left", "user<*> left"),
        ("KeyError: 'colour'", "KeyError: <*>"),
        ("mail to ann@example.org bounced", "mail to <*> bounced"),
        ("card 00:1a:2b:3c:4d:5e is up", "card <*> is up"),
        ("took <1 sec", "took <*>"),
        ("slots 3, 4, 5 are free", "slots <*> are free"),
        ("args=() kept", "args=(<*>) kept"),
        ("read/write and can't stay", "read/write and can't stay"),
        ("first\r\nsecond\r\n", "first second"),
        ("", ""),
        ("12 34", "<*>"),
        ("größe 7 überschritten", "größe <*> überschritten"),
    ],
)
def test_what_varies_is_masked_and_what_does_not_stays(message: str, expected: str) -> None:
    assert mask(message) == expected


@given(st.lists(st.one_of(TEXTS, st.sampled_from(["disk 3 is full", "disk 5 is full"])), max_size=19))
@settings(max_examples=100, deadline=None)
def test_groups_are_numbered_by_first_appearance_and_equal_messages_share_one(messages: list[str]) -> None:
    groups = group(messages)
    assert len(groups) == len(messages)
    assert list(dict.fromkeys(groups)) == list(range(len(set(groups))))
    for masked in {mask(message) for message in messages}:
        assert len({one for one, message in zip(groups, messages, strict=True) if mask(message) == masked}) == 1


@given(SHORT, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_partition_does_not_depend_on_the_order(messages: list[str], chance: random.Random) -> None:
    places = list(range(len(messages)))
    chance.shuffle(places)
    shuffled = group([messages[place] for place in places])
    back = [shuffled[places.index(place)] for place in range(len(messages))]
    assert partition(back) == partition(group(messages))


@given(SHORT, SHORT)
@settings(max_examples=50, deadline=None)
def test_later_messages_join_groups_but_never_part_them(early: list[str], late: list[str]) -> None:
    before, after = group(early), group(early + late)[: len(early)]
    assert all(len({a for b, a in zip(before, after, strict=True) if b == one}) == 1 for one in before)


@given(st.permutations(["the printer is out of paper", "no route to the moon", "lamp 4 went dark in room 7"]))
def test_unrelated_later_messages_change_nothing(later: list[str]) -> None:
    early = [f"cannot find user {name} in the list" for name in ("ann", "bob", "cleo", "dan", "eve")] + ["all is well"]
    assert group(early + later)[: len(early)] == group(early) == [0] * 5 + [1]


def test_a_word_becomes_a_variable_once_enough_values_were_seen() -> None:
    table = SignatureTable()
    names = ["ann", "bob", "cleo", "dan", "eve", "fay"]
    ids = [table.add(f"cannot find user {name} in the list") for name in names[: ENOUGH - 1]]
    assert len({table.group(one) for one in ids}) == ENOUGH - 1
    ids += [table.add(f"cannot find user {name} in the list") for name in names[ENOUGH - 1 :]]
    assert {table.group(one) for one in ids} == {ids[0]}
    assert {table.template(one) for one in ids} == {f"cannot find user {MARK} in the list"}


def test_two_variables_are_found_one_after_the_other() -> None:
    names, rooms = ["ann", "bob", "cleo", "dan", "eve"], ["hall", "attic", "cellar", "kitchen"]
    messages = [f"cannot find user {name} in the {room}" for name in names for room in rooms]
    assert set(group(messages)) == {0}
    table = SignatureTable()
    assert table.template([table.add(message) for message in messages][-1]) == f"cannot find user {MARK} in the {MARK}"


def test_states_and_single_words_stay_apart() -> None:
    assert (
        len(set(group(["job went from new to ready", "job went from ready to done", "job went from new to done"]))) == 3
    )
    assert len(set(group(["ready", "steady", "go", "stop", "wait", "done"]))) == 6


def test_planted_templates_come_back() -> None:
    chance = random.Random(5)
    names = ["ann", "bob", "cleo", "dan", "eve", "fay", "gus"]
    planted = [
        lambda: f"cannot open /srv/data/{chance.randrange(999)}.csv: no such file",
        lambda: (
            f"request {chance.randrange(99)} from 10.0.{chance.randrange(9)}.3:{chance.randrange(9000)} took {chance.random():.2f} s"
        ),
        lambda: f"login of user {chance.choice(names)} was refused",
        lambda: f"worker-{chance.randrange(7)} restarted after {chance.randrange(5)} errors",
        lambda: "cache is warm",
        lambda: "cache is cold",
    ]
    true = [chance.randrange(len(planted)) for _ in range(211)]
    found = group([planted[template]() for template in true])
    assert accuracy_by_sets(found, true) == accuracy_by_pairs(found, true) == 1.0
    spoiled = [*found[:-1], max(found) + 1]
    assert accuracy_by_sets(spoiled, true) == accuracy_by_pairs(spoiled, true) < 1.0


@pytest.mark.parametrize(
    "line", ["a" * 100_000, "7" * 100_000, "a.b-" * 20_000, "x 1 " * 20_000, '="' * 30_000, "/a:" * 30_000]
)
def test_a_very_long_line_is_read(line: str) -> None:
    assert mask(mask(line)) == mask(line)
    assert group([line, line + " end", line]) == [0, 1, 0]


def test_nothing_heavy_is_imported() -> None:
    program = "import sys, engram_agent.signatures; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_no_messages_have_no_groups() -> None:
    assert group([]) == []
    assert group(["", "\r\n", " "]) == [0, 0, 0]
