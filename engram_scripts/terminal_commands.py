"""What the commands of a conversation do: each takes the rest of its line and returns what is to be shown.

It must not know how lines are read or where its text is printed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engram_model.chat import Chat
from engram_model.errors import ConfigError
from engram_scripts import terminal_view

LATEST = 10
Confirm = Callable[[str], bool]


@dataclass(frozen=True)
class Command:
    """A command: how it is written, what it does, and the function that does it."""

    usage: str
    does: str
    run: Callable[[Chat, str, Confirm], str]


def run(chat: Chat, line: str, confirm: Confirm) -> str:
    """Do what a line that starts with "/" says.

    Args:
        chat: The conversation.
        line: The line.
        confirm: Asks the speaker a question before something is lost; says whether the answer was yes.

    Raises:
        ConfigError: if there is no such command or its arguments do not fit; says what to type.
    """
    name, _, rest = line.strip().partition(" ")
    command = COMMANDS.get(name.lower())
    if command is None:
        raise ConfigError(f"there is no command {name}; type /help for those there are")
    return command.run(chat, rest.strip(), confirm)


def _number(usage: str, text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"type {usage} with a {'whole ' * (kind is int)}number, got {text!r}") from None


def _why(chat: Chat, rest: str, confirm: Confirm) -> str:
    if not chat.history:
        return "nothing was said yet"
    return terminal_view.why(chat.history[-1], chat.engram, chat.memory)


def _memory(chat: Chat, rest: str, confirm: Confirm) -> str:
    latest = int(_number("/memory N", rest, int)) if rest else LATEST
    if latest < 1:
        raise ConfigError(f"type /memory N with N at least 1, got {latest}")
    return terminal_view.memory_list(chat.engram, chat.memory, latest)


def _forget(chat: Chat, rest: str, confirm: Confirm) -> str:
    if not rest:
        raise ConfigError("type /forget ID (the ids are shown by /memory and /why) or /forget all")
    everything = rest.lower() == "all"
    ids = [episode.id for episode in chat.memory.episodes] if everything else [*map(_episode_id, rest.split())]
    if everything and not confirm(f"forget all {len(ids)} episodes? type yes: "):
        return "nothing was forgotten"
    chat.memory.forget(*ids)
    chat.engram.flush()
    return f"forgot {terminal_view.counted(len(ids), 'episode')}, {len(chat.memory)} left"


def _episode_id(text: str) -> str:
    """The id as it is stored: e12, E12 and 12 are e000000012."""
    digits = text.lower().removeprefix("e")
    if not (digits.isascii() and digits.isdigit()):
        raise ConfigError(f"{text!r} is no id of an episode; ids look like e12 and are shown by /memory")
    return f"e{int(digits):09d}"


def _teach(chat: Chat, rest: str, confirm: Confirm) -> str:
    word, _, definition = rest.partition(" ")
    if not definition.strip():
        raise ConfigError("type /teach WORD and then what it means, such as: /teach zorb a small red fruit")
    before = len(chat.memory)
    near = ", ".join(f"{other} {cosine:.2f}" for other, cosine in chat.teach(word, definition))
    stored = terminal_view.counted(len(chat.memory) - before, "episode")
    return f"learned “{word}”: nearest are {near}; {stored} stored"


def _temperature(chat: Chat, rest: str, confirm: Confirm) -> str:
    if rest:
        chat.configure(chat.config.override(temperature=_number("/temperature X", rest, float)))
    return f"temperature {chat.config.temperature:g}"


def _seed(chat: Chat, rest: str, confirm: Confirm) -> str:
    if rest:
        chat.configure(chat.config.override(seed=int(_number("/seed N", rest, int))))
        chat.generator.manual_seed(chat.config.seed)
    return f"seed {chat.config.seed}"


def _help(chat: Chat, rest: str, confirm: Confirm) -> str:
    width = max(len(command.usage) for command in COMMANDS.values())
    lines = [f"{command.usage:{width}}  {command.does}" for command in COMMANDS.values()]
    return "\n".join([*lines, f"{'/quit':{width}}  leave (so do Ctrl-D, and Ctrl-C at the prompt)"])


COMMANDS = {
    "/why": Command("/why", "how each word of the last answer came about", _why),
    "/memory": Command("/memory [N]", f"the latest episodes (usually {LATEST})", _memory),
    "/forget": Command("/forget ID ...", "forget episodes by id; /forget all forgets every one", _forget),
    "/teach": Command("/teach WORD MEANING", "give a new word a meaning", _teach),
    "/temperature": Command("/temperature [X]", "near 0 the best word always wins, above 1.5 it rambles", _temperature),
    "/seed": Command("/seed [N]", "begin the draw anew: the same seed gives the same words", _seed),
    "/help": Command("/help", "this list", _help),
}
