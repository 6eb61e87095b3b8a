"""PyTorch's modules with parts that are found at once.

It must not know what any part is for.
"""

from __future__ import annotations

from torch import nn


class Module(nn.Module):
    """An `nn.Module` whose parameters and parts are plain attributes besides being registered.

    PyTorch looks for them in three dictionaries by a Python function at every use. A brain that thinks about one word
    does that a hundred times, which was a twentieth of its time. Registered parts are changed in place, never replaced.
    """

    def __setattr__(self, name: str, value: object) -> None:
        """Register parameters and modules as PyTorch does, then keep them as attributes too."""
        super().__setattr__(name, value)  # type: ignore[arg-type]
        self.__dict__[name] = value
