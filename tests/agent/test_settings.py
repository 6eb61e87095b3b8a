"""What is set: which file wins, what is refused, and that a file changed by a command keeps all else."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_agent.embedders import HashingEmbedder, embedder
from engram_agent.errors import CODES, AgentError
from engram_agent.files import replace_file, toml_text, with_line
from engram_agent.search import Weights
from engram_agent.settings import config_file, find_project, load, open_memory, set_value
from engram_agent.settings_table import SETTINGS, checked, typed, variables
from engram_agent.store import SAME


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a project in it; no variable of the one who runs the tests reaches them."""
    for name in [*variables().values(), "ENGRAM_AGENT", "ENGRAM_CONFIG"]:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "work" / "shop" / "src").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "work" / "shop" / "src")
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refused(name: str, *parts: str) -> str:
    with pytest.raises(AgentError) as error:
        load()
    line = str(error.value)
    assert error.value.name == name and error.value.code == CODES[name] and "\n" not in line
    assert all(part in line for part in parts), line
    return line


# ------------------------------------------------------------------------------------------- what wins


def test_without_any_file_all_is_default_and_the_memory_is_at_home(home: Path) -> None:
    found = load()
    assert found.database == home / ".engram" / "memories.db" and found.project is None
    assert dict(found.values) == {key: setting.default for key, setting in SETTINGS.items()}
    assert set(found.sources.values()) == {"default"}


def test_defaults_are_those_of_the_parts_they_set() -> None:
    weights = Weights()
    assert SETTINGS["search.rrf_k"].default == weights.rrf_k
    assert SETTINGS["search.sparse_weight"].default == weights.lexical
    assert SETTINGS["search.vector_weight"].default == weights.vector
    assert SETTINGS["deduplication.threshold"].default == SAME
    assert embedder(SETTINGS["embedding.provider"].default).name == HashingEmbedder.name


def test_project_beats_home_and_the_environment_beats_both(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere = write(
        home / ".engram" / "engram.toml", "[search]\nrrf_k = 7\nvector_weight = 0.5\nsparse_weight = 2\n"
    )
    project = write(home / "work" / "engram.toml", "[search]\nrrf_k = 11\nvector_weight = 0.25\n")
    monkeypatch.setenv("ENGRAM_SEARCH_RRF_K", "13")
    monkeypatch.setenv("ENGRAM_SEARCH_VECTOR_WEIGHT", "")
    found = load()
    assert [found[f"search.{name}"] for name in ("rrf_k", "vector_weight", "sparse_weight")] == [13, 0.25, 2.0]
    sources = [found.sources[f"search.{name}"] for name in ("rrf_k", "vector_weight", "sparse_weight")]
    assert sources == ["ENGRAM_SEARCH_RRF_K", str(project), str(everywhere)]


def test_the_memory_is_named_or_found_upwards(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(db="here.db").database == Path.cwd() / "here.db"
    assert load(db="~/there.db").database == home / "there.db"
    (home / "work" / ".engram").mkdir()
    assert load().database == home / "work" / ".engram" / "memories.db" and load().project == home / "work"
    write(home / "work" / ".engram" / "engram.toml", '[database]\npath = "inside.db"\n')
    assert load().database == home / "work" / ".engram" / "inside.db"
    write(home / "work" / "shop" / "engram.toml", '[database]\npath = "near.db"\n')
    assert load().database == home / "work" / "shop" / "near.db"
    monkeypatch.setenv("ENGRAM_DATABASE_PATH", "~/env.db")
    assert load().database == home / "env.db"
    assert load(db="named.db").database == Path.cwd() / "named.db"


def test_the_folder_at_home_is_no_project(home: Path) -> None:
    (home / ".engram").mkdir()
    assert find_project(home / "work", home) is None
    (home / "work" / ".engram").mkdir()
    assert find_project(home / "work" / "shop", home) == home / "work"


def test_what_is_set_reaches_the_memory(home: Path) -> None:
    write(
        home / "work" / "engram.toml", "[search]\nrrf_k = 11\nvector_weight = 0.5\n[deduplication]\nthreshold = 0.9\n"
    )
    with open_memory(load(db="m.db")) as memory:
        assert memory.searcher.weights == Weights(rrf_k=11, vector=0.5, lexical=1.0)
        assert memory.records.same == 0.9 and memory.records.database.path == Path.cwd() / "m.db"


def test_a_thesaurus_of_ones_own_is_looked_for_beside_the_file_that_names_it(home: Path) -> None:
    write(home / "work" / "engram.toml", '[search]\nthesaurus = "words.txt"\n')
    (home / "work" / "words.txt").write_text("billing, platypus\n")
    with open_memory(load(db="m.db", start=home / "work" / "shop")) as memory:
        wanted = memory.store("the platypus answers slowly")
        assert [hit.id for hit in memory.search("billing")] == [wanted]
    (home / "work" / "words.txt").unlink()
    with open_memory(load(db="m.db", start=home / "work" / "shop")) as memory:
        memory.store("what is stored needs no words")
        with pytest.raises(AgentError, match=r"words\.txt cannot be read") as error:
            memory.search("billing")
    assert error.value.name == "ConfigParseError" and "search.thesaurus" in error.value.hint


def test_a_file_that_is_named_by_a_command_is_the_one_in_this_folder(home: Path) -> None:
    (home / "work" / "shop").mkdir(exist_ok=True)
    here = Path.cwd()
    (here / "words.txt").write_text("billing, platypus\n")
    set_value("search.thesaurus", "words.txt", home / ".engram" / "engram.toml")
    assert load(db="m.db")["search.thesaurus"] == str(here / "words.txt")
    with pytest.raises(AgentError, match="cannot be read"):
        set_value("search.thesaurus", "nowhere.txt", home / ".engram" / "engram.toml")
    set_value("search.thesaurus", "", home / ".engram" / "engram.toml")
    assert load(db="m.db")["search.thesaurus"] == ""


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("text", "name", "parts"),
    [
        ("[search\n", "ConfigParseError", ("engram.toml",)),
        ("rrf_k = 7\n", "ConfigValidation", ("rrf_k", "[section]")),
        (
            "[search]\nrrf = 7\n",
            "ConfigValidation",
            ("work/engram.toml: there is no setting", "search.rrf", "search.rrf_k"),
        ),
        ("[dreams]\nx = 7\n", "ConfigValidation", ("work/engram.toml", "dreams.x")),
        ('[search]\nrrf_k = "7"\n', "ConfigValidation", ("search.rrf_k", "whole number", "'7'")),
        ("[search]\nrrf_k = true\n", "ConfigValidation", ("search.rrf_k", "True")),
        ("[search]\nrrf_k = 0\n", "ConfigValidation", ("at least 1", "got 0")),
        ("[search]\nvector_weight = inf\n", "ConfigValidation", ("search.vector_weight",)),
        ("[deduplication]\nthreshold = 1.5\n", "ConfigValidation", ("0.5 to 1",)),
        ('[llm]\nprovider = "oracle"\n', "InvalidProvider", ("llm.provider", "local", "'oracle'")),
        ('[llm]\napi_key = "Zx9-qr7_Pm2"\n', "ConfigValidation", ("llm.api_key", ".engram/engram.toml")),
        ('[trainer]\ntrainer_binary = "./evil"\n', "ConfigValidation", ("trainer.trainer_binary",)),
    ],
)
def test_a_wrong_file_is_one_line_with_the_remedy(home: Path, text: str, name: str, parts: tuple[str, ...]) -> None:
    write(home / "work" / "engram.toml", text)
    assert "Zx9-qr7_Pm2" not in refused(name, *parts)


def test_keys_come_from_the_file_at_home_only_and_are_never_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".engram" / "engram.toml", '[llm]\napi_key = "Zx9-qr7_Pm2"\nhost = "http://here"\n')
    assert load()["llm.api_key"] == "Zx9-qr7_Pm2" and load().shown("llm.api_key") == "[set]"
    monkeypatch.setenv("ENGRAM_LLM_API_KEY", "other")
    refused("ConfigValidation", "ENGRAM_LLM_API_KEY", "llm.api_key")


def test_another_file_for_all_projects_can_be_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".engram" / "engram.toml", "[search]\nrrf_k = 7\n")
    monkeypatch.setenv("ENGRAM_CONFIG", str(home / "other.toml"))
    refused("ConfigNotFound", "other.toml")
    write(home / "other.toml", '[search]\nrrf_k = 11\n[llm]\nhost = "http://here"\n')
    assert load()["search.rrf_k"] == 11 and config_file(load(), True) == home / "other.toml"


def test_a_wrong_variable_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_SEARCH_RRF_K", "many")
    assert "'many'" in refused("ConfigValidation", "ENGRAM_SEARCH_RRF_K")


def test_an_embedder_that_nobody_knows_is_refused(home: Path) -> None:
    write(home / "work" / "engram.toml", '[embedding]\nprovider = "oracle"\n')
    with pytest.raises(AgentError) as error:
        open_memory(load(db="m.db"))
    assert error.value.name == "InvalidProvider" and "hashing" in str(error.value)
    write(home / "work" / "engram.toml", '[embedding]\nprovider = "brain"\nbrain = "nowhere"\n')
    with pytest.raises(AgentError) as error:
        open_memory(load(db="m.db"))
    assert error.value.name == "EmbeddingApiUnavailable" and "embedding.brain" in str(error.value)


# ------------------------------------------------------------------------------------------- setting


def test_a_setting_is_written_and_the_rest_stays(home: Path) -> None:
    path = write(home / "work" / "engram.toml", "# ours\n[search] # how\nrrf_k = 7 # few\n\n[llm]\nmodel = 'a'\n")
    assert config_file(load()) == path and config_file(load(), True) == home / ".engram" / "engram.toml"
    set_value("search.rrf_k", "17", path)
    set_value("search.vector_weight", "0.5", path)
    set_value("consolidation.stale_days", "30", path)
    found = load()
    assert [found[key] for key in ("search.rrf_k", "search.vector_weight", "consolidation.stale_days")] == [17, 0.5, 30]
    assert found["llm.model"] == "a" and path.read_text().startswith("# ours\n[search] # how\n")


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("search.rrf", "7", "ConfigValidation"),
        ("search.rrf_k", "0", "ConfigValidation"),
        ("llm.api_key", "x", "ConfigReadOnly"),
        ("trainer.trainer_binary", "x", "ConfigReadOnly"),
    ],
)
def test_what_cannot_be_set_leaves_no_file(home: Path, key: str, value: str, name: str) -> None:
    with pytest.raises(AgentError) as error:
        set_value(key, value, home / "engram.toml")
    assert error.value.name == name and not (home / "engram.toml").exists()


def test_a_broken_file_is_not_written_to(home: Path) -> None:
    path = write(home / "engram.toml", "[search\n")
    with pytest.raises(AgentError) as error:
        set_value("search.rrf_k", "7", path)
    assert error.value.name == "ConfigParseError" and path.read_text() == "[search\n"


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",))) | st.integers(-99, 99) | st.floats(-9, 9))
def test_every_value_is_read_as_it_was_written(value: str | int | float) -> None:
    lines = with_line(with_line(["[b]", "x = 1"], "a.x", 3), "a.x", value)
    assert tomllib.loads("\n".join(lines)) == {"a": {"x": value}, "b": {"x": 1}}
    assert "\n" not in toml_text(value)


def test_every_default_is_a_value_its_setting_can_have() -> None:
    for key, setting in SETTINGS.items():
        assert checked(key, setting.default, "default") == setting.default
        assert typed(key, str(setting.default)) == setting.default
    assert len(set(variables().values())) == len(SETTINGS)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    replace_file(tmp_path / "a.txt", "one")
    replace_file(tmp_path / "a.txt", "two")
    assert (tmp_path / "a.txt").read_text() == "two" and os.listdir(tmp_path) == ["a.txt"]
    with pytest.raises(UnicodeEncodeError):
        replace_file(tmp_path / "a.txt", "half \ud800")
    assert (tmp_path / "a.txt").read_text() == "two" and os.listdir(tmp_path) == ["a.txt"]
