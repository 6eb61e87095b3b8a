"""Modules whose parts are plain attributes: still PyTorch's modules in everything else."""

from __future__ import annotations

import copy

import torch
from torch import nn

from engram_model.module import Module


class Toy(Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))
        self.inner = nn.Linear(3, 5)


def test_parts_are_registered_and_plain_attributes() -> None:
    toy = Toy()
    assert {name for name, _ in toy.named_parameters()} == {"gain", "inner.weight", "inner.bias"}
    assert toy.__dict__["gain"] is toy._parameters["gain"] and toy.__dict__["inner"] is toy._modules["inner"]
    assert not toy.eval().inner.training


def test_a_copy_or_a_loaded_state_is_seen_in_both_places() -> None:
    toy, other = Toy(), Toy()
    twin = copy.deepcopy(toy)
    assert twin.gain is twin._parameters["gain"] is not toy.gain and twin.inner is twin._modules["inner"]
    other.load_state_dict({name: torch.full_like(value, 7.0) for name, value in toy.state_dict().items()})
    assert other.gain.eq(7).all() and other.inner.weight.eq(7).all()
    other.double()
    assert other.gain is other._parameters["gain"] and other.gain.dtype == torch.float64
