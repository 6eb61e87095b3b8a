"""Ranking: by words, by vectors, by both; what is linked; the floor; the budget."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import HOME
from engram_agent.embedders import DIM, HashingEmbedder, embedder, unit
from engram_agent.errors import AgentError
from engram_agent.memory import Memory
from engram_agent.rarity import BACKGROUND, Rarity
from engram_agent.search import CLOSE, Pool, Searcher, Weights
from engram_agent.store import Store

WORDS = ["pump", "valve", "login", "backoff", "ledger", "harbour", "piano", "cache", "token", "garden", "mutex"]
RANKING = st.lists(st.sampled_from(WORDS), unique=True, min_size=1)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path / "m.db", explore=False) as found:
        yield found


def listed(names: list[str]) -> list[tuple[int, str, float]]:
    return [(WORDS.index(name), name, 1.0 / place) for place, name in enumerate(names, 1)]


# ------------------------------------------------------------------------------------------- fusion


@settings(max_examples=60, deadline=None)
@given(RANKING, RANKING, RANKING, st.floats(0, 1))
def test_fusion_is_the_sum_of_reciprocal_ranks(
    lexical: list[str], linked: list[str], vector: list[str], unknown: float
) -> None:
    pool = Pool({"lexical": listed(lexical), "linked": listed(linked), "vector": listed(vector)}, {}, unknown)
    weights = Weights(lexical=0.7, linked=0.2, vector=0.3, rrf_k=13.0)
    shares = ((lexical, 0.7), (linked, 0.2 * (1 - unknown)), (vector, 0.3 * unknown))
    expected: dict[str, float] = {}
    for names, weight in shares:
        for place, name in enumerate(names):
            expected[name] = expected.get(name, 0.0) + weight / (14.0 + place)
    full = sum(weight for _, weight in shares) / 14.0
    for name in expected:
        expected[name] /= full
    with closing(Store(":memory:")) as store:
        found = Searcher(store, weights).order(pool, "hybrid")
    assert dict(found) == pytest.approx(expected)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True) and scores[0] <= 1.0 + 1e-9


@settings(max_examples=60, deadline=None)
@given(RANKING, RANKING, RANKING, st.floats(0, 1), st.integers(3, 13))
def test_the_first_of_each_list_is_served(
    lexical: list[str], linked: list[str], vector: list[str], unknown: float, limit: int
) -> None:
    pool = Pool({"lexical": listed(lexical), "linked": listed(linked), "vector": listed(vector)}, {}, unknown)
    with closing(Store(":memory:")) as store:
        found = [name for name, _ in Searcher(store).best(pool, "hybrid", limit)]
    assert {lexical[0], vector[0]} <= set(found) and len(found) == len(set(found)) <= limit


def test_the_first_by_vectors_is_served_only_if_it_is_close() -> None:
    words = [(place, f"w{place}", 1.0) for place in range(20)]
    with closing(Store(":memory:")) as store:
        for close, kept in ((CLOSE, True), (CLOSE - 0.01, False)):
            pool = Pool({"lexical": words, "linked": [], "vector": [(99, "far", close)]}, {}, 0.1)
            assert ("far" in dict(Searcher(store).best(pool, "hybrid", 7))) == kept


# ------------------------------------------------------------------------------------------- what is found


def test_the_next_step_of_a_chain_is_found_by_the_first(memory: Memory) -> None:
    for number in range(60):
        memory.store(f"note {number} about the {WORDS[number % 11]}", "", f"the {WORDS[number % 7]} is as it was")
    memory.store("who leads the shipping team", "", "the shipping team is led by Wilhelmina Quastenberg")
    second = memory.store("contact", "", "Quastenberg, Wilhelmina: desk 13 on the third floor")
    asked = "where sits the one who leads the shipping team"
    assert second not in [hit.id for hit in memory.search(asked, strategy="lexical")]
    (hit,) = [hit for hit in memory.search(asked, strategy="hybrid") if hit.id == second]
    assert hit.why == "speaks of what the best of the others speak of" and set(hit.ranks) == {"linked"}


def test_a_misspelt_word_and_a_shortened_one_stand_for_what_is_there(memory: Memory) -> None:
    wanted = memory.store("authentication fails", "renew the certificate", "it worked")
    memory.store("the garden is dry", "water it", "it grew")
    for query in ("authentification", "auth failure", "certifcate"):
        for strategy in ("lexical", "hybrid"):
            (hit,) = memory.search(query, strategy=strategy)
            assert hit.id == wanted and hit.why.startswith("shares ")
    assert memory.search("author on the gate") == [], "it is not enough to begin alike"


@pytest.mark.parametrize("query", ["zzgrmpf", "colourless xylophones dream of umbrellas", "???", ""])
def test_nonsense_finds_nothing(memory: Memory, query: str) -> None:
    for word in WORDS:
        memory.store(f"the {word} makes trouble", f"look at the {word}", "solved")
    assert memory.search("what makes the valve trouble") and memory.search(query) == []


def test_a_strict_floor_serves_a_part_of_what_a_loose_one_does(memory: Memory) -> None:
    for word in WORDS:
        memory.store(f"the {word} makes trouble", f"look at the {word}", "solved")
    loose = [hit.id for hit in memory.search("the strings and hammers and keys of a piano make noise", floor="loose")]
    strict = memory.search("the strings and hammers and keys of a piano make noise", floor="strict")
    assert {hit.id for hit in strict} < set(loose) and all(hit.relevance >= 0.6 for hit in strict)
    assert [hit.record.context for hit in strict] == ["the piano makes trouble"]


def test_relevance_does_not_depend_on_how_small_a_memory_is(tmp_path: Path) -> None:
    found = []
    for size in (1, 200):
        with Memory(tmp_path / f"{size}.db", explore=False) as memory:
            memory.store("the login of the shop times out", "retry with backoff", "worked")
            for number in range(size - 1):
                memory.store(f"line {number} of the harbour ledger", "", WORDS[number % 11])
            found.append(memory.search("what to do when a login times out")[0].relevance)
    assert min(found) > 0.7 and abs(found[0] - found[1]) < 0.15


# ------------------------------------------------------------------------------------------- vectors


def test_vectors_are_compared_exactly_and_filtered_before_the_cut(memory: Memory) -> None:
    rng = np.random.default_rng(7)
    said = [" ".join(rng.choice(WORDS, 5)) for _ in range(157)]
    ids = [memory.store(f"{text} {number}", project=f"p{number % 53}") for number, text in enumerate(said)]
    made = HashingEmbedder()
    asked = made.embed(["piano in the garden"])[0]
    close = made.embed([f"{text} {number}\n\n" for number, text in enumerate(said)]) @ asked
    found = memory.records.vectors.search("piano in the garden", "records.project = ?", ["p11"], 3)
    expected = sorted((number for number in range(157) if number % 53 == 11), key=lambda number: -close[number])
    assert [name for _, name, _ in found] == [ids[number] for number in expected]
    assert [score for _, _, score in found] == pytest.approx([close[number] for number in expected], abs=2e-3)


def test_vectors_follow_what_another_process_writes_and_removes(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as one, Memory(tmp_path / "m.db") as other:
        kept = one.store("the pump leaks")

        def near() -> list[str]:
            return [name for _, name, _ in other.records.vectors.search("pump", "1", [], 9)]

        assert near() == [kept]
        late = one.store("a pump hums in the cellar")
        assert set(near()) == {kept, late}
        one.delete(kept)
        assert near() == [late]
        again = one.store("this pump is new")
        assert set(near()) == {late, again}


def test_rebuilding_changes_nothing(memory: Memory) -> None:
    for word in WORDS:
        memory.store(f"the {word} makes trouble", conversation="c", position=WORDS.index(word))
    before = [(hit.id, hit.score, hit.relevance) for hit in memory.search("trouble with the mutex", strategy="hybrid")]
    memory.records.rebuild()
    after = [(hit.id, hit.score, hit.relevance) for hit in memory.search("trouble with the mutex", strategy="hybrid")]
    assert before and after == before


def test_another_embedder_makes_the_vectors_anew(tmp_path: Path) -> None:
    class Lengths:
        name = "lengths"

        def embed(self, texts: list[str], weight: object = None) -> np.ndarray:
            return unit(np.array([[len(text), 31.0] for text in texts], dtype=np.float32))

    with Memory(tmp_path / "m.db") as memory:
        ids = [memory.store("a" * size) for size in (3, 53)]
    with Memory(tmp_path / "m.db", Lengths()) as memory:
        found = memory.records.vectors.search("b" * 51, "1", [], 2)
        assert [name for _, name, _ in found] == [ids[1], ids[0]]
    with Memory(tmp_path / "m.db") as memory:
        assert [name for _, name, _ in memory.records.vectors.search("a" * 53, "1", [], 1)] == [ids[1]]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=29), max_size=5))
def test_vectors_are_of_length_one_or_nought(texts: list[str]) -> None:
    found = HashingEmbedder().embed(texts)
    lengths = np.linalg.norm(found, axis=1)
    assert found.shape == (len(texts), DIM) and found.dtype == np.float32
    assert np.all((np.abs(lengths - 1.0) < 1e-5) | (lengths == 0.0))
    assert np.allclose(unit(found), found, atol=1e-6)


def test_words_of_one_stem_are_nearer_than_others() -> None:
    made = HashingEmbedder()
    one, near, far = made.embed(["authentication", "authentification", "gardening"])
    assert one @ near > 0.3 > 0.1 > one @ far
    weighted = made.embed(["pump piano"], lambda word: 9.0 if word == "piano" else 0.1)[0]
    assert weighted @ made.embed(["piano"])[0] > 0.98, "a query's words weigh what they tell"


def test_a_brain_gives_vectors_of_its_words(tiny_brain_dir: Path, tmp_path: Path) -> None:
    from engram_model import Engram

    made = embedder("brain", tiny_brain_dir)
    one, turned, other, none = made.embed(["the red hen", "hen red the", "where do you live?", ""])
    assert np.linalg.norm(one) == pytest.approx(1.0, abs=1e-5) and not none.any()
    assert one @ turned == pytest.approx(1.0, abs=1e-5) and one @ other < 0.99
    brain = Engram.load(tiny_brain_dir)
    assert one.shape == (brain.vocabulary.dim,)
    counts = np.asarray(brain.vocabulary.counts, dtype=float)
    ids = brain.vocabulary.encode(["the", "red", "hen"]).numpy()
    share = counts[ids] / counts.sum()
    summed = (1e-3 / (1e-3 + share)) @ np.asarray(brain.vocabulary.vectors)[ids]
    assert np.allclose(one, summed / np.linalg.norm(summed), atol=1e-5)
    brain.close()
    with Memory(tmp_path / "m.db", made) as memory:
        known = memory.store("the red hen", "", "lays an egg")
        assert [name for _, name, _ in memory.records.vectors.search("the red hen", "1", [], 3)] == [known]


def test_an_unknown_embedder_is_one_line() -> None:
    with pytest.raises(AgentError) as error:
        embedder("no such function")
    assert error.value.name == "EmbeddingApiUnavailable" and "hashing" in str(error.value)


def test_store_and_search_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(OSError, match="no network"):
        socket.create_connection(("127.0.0.1", 9))
    with Memory(tmp_path / "m.db", embedder("hashing")) as memory:
        known = memory.store("the pump leaks", "tighten it", "dry")
        assert [hit.id for hit in memory.search("leaking pump")] == [known]
    assert (HOME / "engram_agent").is_dir()


# ------------------------------------------------------------------------------------------- rarity


def test_what_a_word_tells_is_the_formula_and_follows_the_store(memory: Memory) -> None:
    rarity = Rarity(memory.records, "default")
    assert rarity.frequency("pump") == 0
    for number in range(3):
        memory.store(f"pump number {number}", "" if number else "valve")
    rarity.refresh()
    assert (rarity.frequency("pump"), rarity.frequency("pumps"), rarity.frequency("valve")) == (3, 3, 1)
    total = 3 + BACKGROUND
    assert rarity.idf("valve") == pytest.approx(np.log(1 + (total - 1 + 0.5) / 1.5))
    assert rarity.idf("never") > rarity.idf("valve") > rarity.idf("pump")
    assert rarity.idf("pump", "valve") == pytest.approx(np.log(1 + (total - 4 + 0.5) / 4.5)), "the sum of both"


@pytest.mark.parametrize(
    ("query", "text", "why"),
    [
        ("cache", "redis evicts keys", "related: evicts"),
        ("eviction", "redis evicts keys", "shares evicts"),
        ("where did she buy the kettle", "the kettle was purchased in Leeds", "shares kettle; related: purchased"),
        ("generalization of rules", "we generalize the rules", "shares generalize, rules"),
    ],
)
def test_why_tells_the_words_that_were_asked_for_from_others_for_them(
    memory: Memory, query: str, text: str, why: str
) -> None:
    memory.store(text)
    memory.store("the garden is dry")
    (hit,) = memory.search(query, strategy="lexical")
    assert hit.why.split("; near")[0] == why
