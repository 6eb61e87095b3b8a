"""What is set, and where: defaults, the global file, the project's file, the environment.

It must not know what any setting does, nor who asks; opening the memory that they describe is all it does with them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram_agent.errors import AgentError
from engram_agent.files import replace_file, with_line
from engram_agent.settings_table import PATHS, SETTINGS, checked, invalid, known, typed, variables

if TYPE_CHECKING:
    from engram_agent.memory import Memory

FILE = "engram.toml"
FOLDER = ".engram"
DATABASE = "memories.db"
VARIABLE = "ENGRAM_CONFIG"
OWN_EMBEDDERS = ("hashing", "brain")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What holds, and where each value came from.

    Attributes:
        values: By `section.key`.
        sources: By `section.key`: "default", a file's path, or the name of a variable.
        database: The memory's file.
        project: The project's folder, if there is one.
    """

    values: Mapping[str, Any]
    sources: Mapping[str, str]
    database: Path
    project: Path | None

    def __getitem__(self, key: str) -> Any:
        """The value of `section.key`."""
        return self.values[key]

    def shown(self, key: str) -> Any:
        """The value, or for a key only that it is set."""
        return "[set]" if key.endswith("_key") and self.values[key] else self.values[key]


def load(db: str | Path | None = None, start: Path | None = None, home: Path | None = None) -> Settings:
    """Read what is set.

    A later one wins: defaults, `~/.engram/engram.toml`, the project's engram.toml, ENGRAM_SECTION_KEY, `db`.

    Args:
        db: The memory's file; it is taken before all else.
        start: The folder to look upwards from for a project; the current one by default.
        home: The home folder.

    Raises:
        AgentError: ConfigNotFound if ENGRAM_CONFIG names no file; ConfigParseError if one is not TOML; ConfigValidation if
            a value is not what it must be; InvalidProvider if nobody is known by a provider's name.
    """
    home = home or Path.home()
    project = find_project(start or Path.cwd(), home)
    values = {key: setting.default for key, setting in SETTINGS.items()}
    sources = dict.fromkeys(values, "default")
    for path, is_global in _files(home, project):
        for key, value in _read(path).items():
            if SETTINGS[key].guarded and not is_global:
                raise invalid(f"{path} may not set {key}", f"set it in {global_file(home)}")
            values[key], sources[key] = checked(key, value, str(path)), str(path)
            if key in PATHS and value:
                values[key] = str(_below(path.parent, str(value), home))
    for key, name in variables().items():
        if os.environ.get(name):
            if SETTINGS[key].guarded:
                raise invalid(f"{name} is not read", f"set {key} in {global_file(home)}")
            values[key], sources[key] = checked(key, typed(key, os.environ[name]), name), name
    return Settings(values=values, sources=sources, database=_database(db, values, project, home), project=project)


def open_memory(settings: Settings) -> Memory:
    """The memory that is set.

    Raises:
        AgentError: InvalidProvider if there is no such embedder; what `Memory` raises.
    """
    from engram_agent.memory import Memory
    from engram_agent.search import Weights

    weights = Weights(
        lexical=settings["search.sparse_weight"],
        vector=settings["search.vector_weight"],
        rrf_k=settings["search.rrf_k"],
    )
    same, own = settings["deduplication.threshold"], settings["search.thesaurus"]
    return Memory(settings.database, _embedder(settings), weights, same, thesaurus=Path(own) if own else None)


def find_project(start: Path, home: Path) -> Path | None:
    """The nearest folder upwards that has an engram.toml or an .engram folder; the home's own is nobody's project."""
    for folder in (start.absolute(), *start.absolute().parents):
        here = (folder / FOLDER).is_dir() and folder != home.absolute()
        if here or (folder / FILE).is_file():
            return folder
    return None


def global_file(home: Path) -> Path:
    """The file for all projects: `~/.engram/engram.toml`, or the one that ENGRAM_CONFIG names."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else home / FOLDER / FILE


def tool_file(settings: Settings, key: str) -> Path:
    """The file that an agent's tool writes a setting to, as `config_file` has it.

    Tools set numbers only: a text names a provider, model, host, program, key or file, so decides where texts are sent
    and what is read.

    Raises:
        AgentError: ConfigReadOnly if the setting is a text, or if it would hold for all memories while a project's is in use.
    """
    home, command = Path.home(), f"engram config {key} VALUE"
    if isinstance(SETTINGS[key].default, str):
        hint = f"write it into {global_file(home)}" if SETTINGS[key].guarded else command
        raise AgentError("ConfigReadOnly", f"{key} is for people to set, not for a tool", hint)
    folder = settings.database.parent
    if settings.project is None and folder != home / FOLDER and find_project(folder, home):
        raise AgentError(
            "ConfigReadOnly",
            f"{key} would be set for all memories, and {settings.database} is a project's",
            f"in its folder: {command}",
        )
    return config_file(settings)


def config_file(settings: Settings, everywhere: bool = False) -> Path:
    """The file that a setting is written to: the project's if there is a project, else the one for all projects."""
    if everywhere or settings.project is None:
        return global_file(Path.home())
    inside = settings.project / FOLDER / FILE
    return inside if inside.is_file() and not (settings.project / FILE).is_file() else settings.project / FILE


def set_value(key: str, text: str, path: Path) -> None:
    """Write one setting into a file, the rest of which stays as it is; nothing is written of what cannot be used.

    Raises:
        AgentError: ConfigValidation if there is no such setting or the value is none; ConfigReadOnly if the setting is
            guarded (people write those by hand) or the file cannot be written; ConfigParseError if a thesaurus is none;
            InvalidProvider or EmbeddingApiUnavailable if there is no such embedder or it cannot start.
    """
    known(key)
    if SETTINGS[key].guarded:
        raise AgentError(
            "ConfigReadOnly",
            f"{key} is not set by a command",
            f"write it into {global_file(Path.home())} with an editor",
        )
    if key in PATHS and text:
        text = str(_below(Path.cwd(), text, Path.home()))
    value = checked(key, typed(key, text), "the command")
    _try(key, value)
    if path.exists():
        _read(path)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, "\n".join(with_line(lines, key, value)) + "\n")
    except OSError as error:
        raise AgentError("ConfigReadOnly", f"{path} cannot be written ({error})", "check its rights") from error


def _try(key: str, value: Any) -> None:
    """What using a value raises, for those that every command would fail with."""
    if key == "search.thesaurus" and value:
        from engram_agent.thesaurus import Thesaurus

        Thesaurus(Path(value))
    if key in ("embedding.provider", "embedding.brain"):
        now = load()
        _embedder(replace(now, values={**now.values, key: value}))


def _files(home: Path, project: Path | None) -> Iterator[tuple[Path, bool]]:
    """The files that there are, with whether each is the global one."""
    everywhere = global_file(home)
    if everywhere.is_file() or os.environ.get(VARIABLE):
        yield everywhere, True
    for path in (project / FILE, project / FOLDER / FILE) if project else ():
        if path.is_file() and path != everywhere:
            yield path, False
            return


def _read(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AgentError(
            "ConfigNotFound", f"there is no file {path}", f"make it, or name another with {VARIABLE}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise AgentError("ConfigParseError", f"{path} cannot be read ({error})", "correct it or remove it") from error
    values = {}
    for section, entries in found.items():
        if not isinstance(entries, dict):
            raise invalid(f"{path}: {section} stands outside a section", "write [section] above it")
        for name, value in entries.items():
            known(f"{section}.{name}", str(path))
            values[f"{section}.{name}"] = value
    return values


def _database(db: str | Path | None, values: Mapping[str, Any], project: Path | None, home: Path) -> Path:
    chosen = db or values["database.path"]
    if chosen:
        return _below(Path.cwd(), str(chosen), home)
    return (project if project and (project / FOLDER).is_dir() else home) / FOLDER / DATABASE


def _below(folder: Path, path: str, home: Path) -> Path:
    """A path as it is written in a folder's file: ~ is the home, and what is relative starts at the folder."""
    if path == ":memory:":
        return Path(path)
    return home / path[2:] if path.startswith("~/") else folder / path


def _embedder(settings: Settings) -> Any:
    from engram_agent.embedders import embedder
    from engram_model.errors import EngramError

    provider = settings["embedding.provider"]
    if provider not in OWN_EMBEDDERS:
        from chromadb.utils.embedding_functions import known_embedding_functions

        if provider not in known_embedding_functions:
            names = ", ".join([*OWN_EMBEDDERS, *sorted(known_embedding_functions)])
            raise AgentError("InvalidProvider", f"embedding.provider must be one of {names}, got {provider!r}")
    try:
        return embedder(provider, Path(settings["embedding.brain"]))
    except AgentError:
        raise
    except EngramError as error:
        raise AgentError("EmbeddingApiUnavailable", str(error), "set embedding.brain to a trained brain") from error
