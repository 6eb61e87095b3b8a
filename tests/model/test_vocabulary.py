"""The vocabulary: a table with stable ids that grows by the words it is taught."""

import math
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from engram_model.errors import ConfigError
from engram_model.meeting import CLOSENESS
from engram_model.text import SPECIALS, UNK_ID
from engram_model.vocabulary import Vocabulary

DIM = 11
COUNTED = {"<END>": 20, "the": 50, "cat": 7, "dog": 7, "sat": 3, "ada": 2, ",": 31, "purrs": 1, "rare": 1}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_vocabulary(min_count: int = 1) -> Vocabulary:
    return Vocabulary.build(
        COUNTED, dim=DIM, generator=seeded(), min_count=min_count, forms={"ada": "Ada", "the": "the"}
    )


def direction(seed: int = 1) -> torch.Tensor:
    return torch.randn(DIM, generator=seeded(seed))


# ------------------------------------------------------------------------------------------- building


def test_words_stand_by_falling_count_after_the_specials() -> None:
    vocabulary = some_vocabulary()
    assert vocabulary.words == [*SPECIALS, "the", ",", "cat", "dog", "sat", "ada", "purrs", "rare"]
    assert vocabulary.counts.tolist() == [0, 20, 0, 0, 50, 31, 7, 7, 3, 2, 1, 1]
    assert vocabulary.forms == {"ada": "Ada"}, "a form that is the word itself says nothing"
    assert vocabulary.verify() == []


def test_resting_levels_are_log_relative_frequencies() -> None:
    vocabulary = some_vocabulary()
    seen = [max(1, COUNTED.get(str(word), 0)) for word in vocabulary.words]
    for level, count in zip(vocabulary.resting.tolist(), seen, strict=True):
        assert level == pytest.approx(math.log(count / sum(seen)), abs=1e-6)
    assert float(vocabulary.resting.exp().sum()) == pytest.approx(1.0, abs=1e-6)


def test_rare_words_count_as_unknown() -> None:
    whole, cut = some_vocabulary(), some_vocabulary(min_count=3)
    assert int(whole.counts[UNK_ID]) == 0
    assert int(cut.counts[UNK_ID]) == 2 + 1 + 1
    assert int(cut.counts.sum()) == int(whole.counts.sum()) == sum(COUNTED.values())
    assert "ada" not in cut and cut.forms == {}


def test_the_same_seed_gives_the_same_vectors() -> None:
    assert torch.equal(some_vocabulary().vectors, some_vocabulary().vectors)
    other = Vocabulary.build(COUNTED, dim=DIM, generator=seeded(1))
    assert not torch.equal(other.vectors, some_vocabulary().vectors)


@pytest.mark.parametrize("bad", [{"dim": 0}, {"min_count": 0}, {"min_count": 51}])
def test_building_refuses_what_makes_no_table(bad: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        Vocabulary.build(COUNTED, generator=seeded(), **{"dim": DIM, **bad})


@given(st.lists(st.sampled_from([*COUNTED, "unheard", "of"])))
def test_decode_undoes_encode_but_for_unknown_words(words: list[str]) -> None:
    vocabulary = some_vocabulary()
    ids = vocabulary.encode(words)
    assert ids.dtype == torch.long
    assert vocabulary.decode(ids) == [word if word in vocabulary else "<UNK>" for word in words]
    assert ids.tolist() == [vocabulary.id_of(word) for word in words]


def test_decoding_ids_outside_the_table() -> None:
    for word_id in (-1, 12):
        with pytest.raises(ConfigError, match="0 to 11"):
            some_vocabulary().decode([word_id])


# ------------------------------------------------------------------------------------------- nearest words


@given(k=st.integers(0, 15), seed=st.integers(0, 50))
def test_nearest_is_the_sorted_list_of_cosines(k: int, seed: int) -> None:
    vocabulary = some_vocabulary()
    vocabulary.remove("dog")
    query = direction(seed) * 3
    cosines = {}
    for word in vocabulary.ids:
        if word not in SPECIALS:
            vector = vocabulary.vectors[vocabulary.id_of(word)]
            cosines[word] = float(torch.cosine_similarity(vector, query, dim=0))
    expected = sorted(cosines.items(), key=lambda item: -item[1])[:k]
    found = vocabulary.nearest(query, k)
    assert [word for word, _ in found] == [word for word, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-6)


def test_nearest_to_a_word_leaves_the_word_out() -> None:
    vocabulary = some_vocabulary()
    by_vector = vocabulary.nearest(vocabulary.vectors[vocabulary.id_of("cat")], 4)
    assert by_vector[0][0] == "cat" and by_vector[0][1] == pytest.approx(1.0)
    by_word = vocabulary.nearest("cat", 3)
    assert [word for word, _ in by_word] == [word for word, _ in by_vector[1:]]
    assert [score for _, score in by_word] == pytest.approx([s for _, s in by_vector[1:]], abs=1e-6)
    with pytest.raises(ConfigError, match="Cat"):
        vocabulary.nearest("Cat")
    with pytest.raises(ConfigError, match="not all zero"):
        vocabulary.nearest(torch.zeros(DIM))


# ------------------------------------------------------------------------------------------- teaching


def test_an_added_word_gets_the_next_id_a_unit_vector_and_a_rare_words_resting_level() -> None:
    vocabulary = some_vocabulary()
    levels = sorted(vocabulary.resting[len(SPECIALS) :].tolist())
    place = 0.1 * (len(levels) - 1)
    expected = levels[int(place)] + (place - int(place)) * (levels[int(place) + 1] - levels[int(place)])
    word_id = vocabulary.add("zorp", 5 * direction(), form="Zorp")
    assert word_id == 12 == vocabulary.id_of("zorp") == len(vocabulary) - 1
    assert torch.allclose(vocabulary.vectors[word_id], normalize(direction(), dim=0))
    assert float(vocabulary.resting[word_id]) == pytest.approx(expected)
    assert vocabulary.forms["zorp"] == "Zorp" and vocabulary.verify() == []
    loud = vocabulary.add("loud", direction(2), resting=-0.5)
    assert float(vocabulary.resting[loud]) == -0.5


@pytest.mark.parametrize("word", ["", " ", "two words", "line\nbreak", " lead", "<UNK>", "<BOT>", "cat"])
def test_what_is_no_new_word_is_refused_everywhere(word: str) -> None:
    vocabulary = some_vocabulary()
    before = vocabulary.rows()
    for action in (
        lambda: vocabulary.add(word, direction()),
        lambda: vocabulary.define(word, ["dog"]),
        lambda: vocabulary.rename("dog", word),
    ):
        with pytest.raises(ConfigError):
            action()
    assert vocabulary.rows().documents == before.documents and vocabulary.verify() == []


def test_vectors_and_levels_that_do_not_fit_are_refused() -> None:
    vocabulary = some_vocabulary()
    for vector in (torch.ones(DIM + 1), torch.zeros(DIM), torch.full((DIM,), math.nan)):
        with pytest.raises(ConfigError, match=f"{DIM} finite numbers"):
            vocabulary.add("zorp", vector)
    with pytest.raises(ConfigError, match="finite"):
        vocabulary.add("zorp", direction(), resting=-math.inf)
    with pytest.raises(ConfigError, match="shape"):
        vocabulary.vectors = torch.ones(3, DIM)
    assert "zorp" not in vocabulary and len(vocabulary) == 12


def test_a_definition_is_a_mean_in_which_rare_words_weigh_more() -> None:
    vocabulary = some_vocabulary()
    word_id = vocabulary.define("kitten", ["the", "<USER>", "cat", ",", "purrs", "unheard"])
    top = max(vocabulary.resting[4:12].tolist())
    mean = torch.zeros(DIM)
    for word in ("cat", "purrs"):
        known = vocabulary.id_of(word)
        mean += (top - float(vocabulary.resting[known])) * vocabulary.vectors[known]
    assert torch.allclose(vocabulary.vectors[word_id], normalize(mean, dim=0), atol=1e-6)
    assert vocabulary.nearest("kitten", 1)[0][0] == "purrs", "the rarest word of all says most"


@pytest.mark.parametrize("definition", [[], ["unheard", "of"], ["the"], [",", "<END>"]])
def test_a_definition_that_tells_nothing_is_refused(definition: list[str]) -> None:
    with pytest.raises(ConfigError, match="zorp"):
        some_vocabulary().define("zorp", definition)


@given(first=st.integers(1, 5), second=st.integers(1, 5), seed=st.integers(0, 20))
def test_a_word_learned_from_contexts_is_drawn_towards_the_mean_of_the_states(
    first: int, second: int, seed: int
) -> None:
    vocabulary = some_vocabulary()
    states = torch.randn(first + second, DIM, generator=seeded(seed))
    early, late = (normalize(normalize(part, dim=-1).sum(0), dim=0) for part in (states[:first], states[first:]))
    word_id = vocabulary.learn_from_contexts("zorp", states[:first])
    before = vocabulary.vectors[word_id].clone()
    assert float(before @ early) == pytest.approx(CLOSENESS, abs=1e-5)
    assert vocabulary.learn_from_contexts("zorp", states[first:]) == word_id
    across = normalize(before - (before @ late) * late, dim=0)
    moved = first * before + second * (CLOSENESS * late + math.sqrt(1 - CLOSENESS**2) * across)
    assert torch.allclose(vocabulary.vectors[word_id], normalize(moved, dim=0), atol=1e-4)
    assert int(vocabulary.counts[word_id]) == first + second
    assert vocabulary.verify() == []


def test_words_met_in_one_place_are_two_words_and_the_same_in_every_run() -> None:
    vocabulary, again = some_vocabulary(), some_vocabulary()
    state = torch.randn(1, DIM, generator=seeded(3))
    zorp, wixel = (vocabulary.learn_from_contexts(word, state) for word in ("zorp", "wixel"))
    assert float(vocabulary.vectors[zorp] @ vocabulary.vectors[wixel]) < 0.9
    same = again.learn_from_contexts("wixel", state)
    assert torch.equal(again.vectors[same], vocabulary.vectors[wixel])
    for _ in range(50):
        vocabulary.learn_from_contexts("zorp", state)
    near = float(vocabulary.vectors[vocabulary.id_of("zorp")] @ normalize(state[0], dim=0))
    assert near == pytest.approx(CLOSENESS, abs=1e-3)


def test_learning_from_nothing_or_for_a_marker_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least once"):
        some_vocabulary().learn_from_contexts("zorp", torch.empty(0, DIM))
    with pytest.raises(ConfigError, match="marker"):
        some_vocabulary().learn_from_contexts("<END>", torch.ones(1, DIM))


def test_a_removed_word_leaves_a_slot_that_is_never_said_or_given_out() -> None:
    vocabulary = some_vocabulary()
    word_id = vocabulary.remove("ada")
    assert vocabulary.words[word_id] is None and "ada" not in vocabulary
    assert vocabulary.decode([word_id]) == ["<UNK>"] and vocabulary.id_of("ada") == UNK_ID
    probabilities = (vocabulary.vectors @ direction() + vocabulary.resting).softmax(0)
    assert float(probabilities[word_id]) == 0.0 and float(probabilities.sum()) == pytest.approx(1.0)
    assert vocabulary.add("ada", direction()) == 12
    assert vocabulary.verify() == []
    with pytest.raises(ConfigError):
        vocabulary.remove("<UNK>")
    with pytest.raises(ConfigError):
        vocabulary.remove("unheard")


def test_a_renamed_word_keeps_all_but_its_spelling() -> None:
    vocabulary = some_vocabulary()
    before = vocabulary.vectors.clone(), vocabulary.resting.clone(), vocabulary.counts.clone()
    word_id = vocabulary.id_of("ada")
    assert vocabulary.rename("ada", "eve", form="Eve") == word_id == vocabulary.id_of("eve")
    assert "ada" not in vocabulary and vocabulary.forms == {"eve": "Eve"}
    after = vocabulary.vectors, vocabulary.resting, vocabulary.counts
    assert all(map(torch.equal, before, after))


def test_the_trainer_replaces_vectors_and_resting_levels() -> None:
    vocabulary = some_vocabulary()
    removed = vocabulary.remove("sat")
    trained = normalize(torch.randn(12, DIM, generator=seeded(3)), dim=-1)
    vocabulary.vectors, vocabulary.resting = trained, torch.zeros(12)
    trained += 1
    assert vocabulary.verify() == [], "the table keeps a copy, and removed words stay silent"
    assert vocabulary.resting[removed] == -math.inf and float(vocabulary.resting.exp().sum()) == 11.0


def test_verify_finds_what_is_broken() -> None:
    def problems(damage: str) -> str:
        vocabulary = some_vocabulary()
        exec(damage, {"v": vocabulary, "nan": math.nan})
        return "; ".join(vocabulary.verify())

    assert problems("pass") == ""
    assert "2 of 12 vectors are not unit" in problems("v.vectors[5] *= 1.1; v.vectors[7, 0] = nan")
    assert "resting level" in problems("v.resting[4] = nan")
    assert "resting level" in problems("v.words[4] = None")
    assert "twice" in problems("v.words[5] = 'the'")
    assert "out of order" in problems("v.words[5], v.words[6] = v.words[6], v.words[5]")
    assert "first words" in problems("v.words[0], v.words[1] = v.words[1], v.words[0]")
    assert "blank" in problems("v.words[5] = 'two words'")
    assert "negative" in problems("v.counts[5] = -1")
    assert "form" in problems("v.forms['nobody'] = 'Nobody'")
    assert "length" in problems("v.words.append('more')")


def test_words_are_added_in_constant_time() -> None:
    vocabulary = Vocabulary.build({"a": 1}, dim=97, generator=seeded())
    vectors = torch.randn(1_009, 97, generator=seeded())
    blocks = set()
    start = time.perf_counter()
    for number, vector in enumerate(vectors):
        vocabulary.add(f"word{number}", vector, resting=-9.0)
        blocks.add(vocabulary.vectors.data_ptr())
    print(f"added {len(vectors)} words, {(time.perf_counter() - start) / len(vectors) * 1e6:.0f} us each")
    assert len(blocks) <= 8, "capacity doubles"
    assert torch.equal(vocabulary.vectors[5 + 800], normalize(vectors[800].double(), dim=0).float())
