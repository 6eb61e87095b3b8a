"""The one small family of errors a user can meet; each says what was expected, what came and what to do.

It must not know where any of them is raised.
"""


class EngramError(Exception):
    """Base of all errors that are shown to a user as one line; scripts exit with `exit_code`."""

    exit_code = 1


class TextError(EngramError):
    """A text file is missing, empty, binary or too small to learn from."""


class ConfigError(EngramError):
    """A setting is outside the range in which it means something."""

    exit_code = 2


class BrainError(EngramError):
    """A brain directory is missing, incomplete, or of another format version."""


class StoreError(EngramError):
    """A Chroma store cannot be opened, read or written, or disagrees with the brain."""
