"""When to stop thinking: the halt gate, its probabilities and its learning target.

It must not know what a loop computes; it sees the state after a loop and the losses that were observed.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from engram_model.attention import rms_norm

HIDDEN = 32


class HaltGate(nn.Module):
    """Predicts, after each loop, how much the remaining loops would still lower this word's loss (in nats).

    The target is observed and does not depend on the gate, so the gate cannot collapse. A word halts
    after loop n when the predicted gain falls below `threshold`; the halting probability
    lambda_n = sigmoid((threshold - gain_n) / temperature) crosses 1/2 exactly there.

    Args:
        dim: Size of the state.
        max_loops: Most loops; the gate judges after loops 1 .. max_loops - 1.
    """

    threshold: Tensor
    TEMPERATURE = 0.02

    def __init__(self, dim: int, max_loops: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, HIDDEN)
        self.contract = nn.Linear(HIDDEN, max(max_loops - 1, 1))
        nn.init.zeros_(self.contract.weight)
        nn.init.zeros_(self.contract.bias)
        self.register_buffer("threshold", torch.tensor(0.0))

    def forward(self, state: Float[Tensor, "*batch dim"], loop: int) -> Float[Tensor, "*batch"]:
        """The gain, in nats, that is expected of going on after `loop` (counted from 1). The state gets no gradient."""
        return self.contract(torch.relu(self.expand(rms_norm(state.detach()))))[..., loop - 1]

    def probability(self, gain: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """lambda_n, the probability of halting now, from the expected gain."""
        return torch.sigmoid((self.threshold - gain) / self.TEMPERATURE)

    def goes_on(self, gain: Float[Tensor, "*batch"]) -> Bool[Tensor, "*batch"]:
        """Whether another loop is worth its cost: lambda_n < 1/2."""
        return gain > self.threshold


def halting_weights(lambdas: Float[Tensor, "*batch loops"]) -> Float[Tensor, "*batch loops"]:
    """Share of each loop in the answer, lambda_n prod_{i<n} (1 - lambda_i) (Banino et al. 2021, PonderNet, eq. 4).

    The last loop takes the rest, so the shares sum to one whatever its own lambda is.
    """
    going_on = torch.cumprod(1.0 - lambdas[..., :-1], dim=-1)
    before = torch.cat((torch.ones_like(lambdas[..., :1]), going_on), dim=-1)
    halting = torch.cat((lambdas[..., :-1], torch.ones_like(lambdas[..., :1])), dim=-1)
    return before * halting


def halt_loss(
    gains: Float[Tensor, "*batch"], losses: Float[Tensor, "*batch"], final: Float[Tensor, "*batch"]
) -> Float[Tensor, ""]:
    """Mean squared error of the expected gains against those observed, clipped to one nat either way.

    Args:
        gains: What the gate expected after this loop.
        losses: The word's loss after this loop.
        final: The word's loss after the last loop.
    """
    observed = (losses - final).detach().clamp(-1.0, 1.0)
    return (gains - observed).square().mean()


def calibrate_threshold(
    gains: Float[Tensor, "words early"],
    losses: Float[Tensor, "words loops"],
    max_cost: float,
) -> tuple[float, float]:
    """The largest threshold at which halting costs at most `max_cost` nats a word over always thinking to the end.

    Args:
        gains: Expected gains after each loop but the last.
        losses: Observed losses after each loop, on held-out words.
        max_cost: Allowed rise of the mean loss, in nats (0.005 is half a percent of perplexity).

    Returns:
        The threshold and the mean number of loops it gives.
    """
    loops = losses.shape[1]
    full = losses[:, -1].mean()
    candidates = torch.quantile(gains.flatten().double(), torch.linspace(0, 1, 201, dtype=torch.float64))
    best = (float(candidates[0]) - 1.0, float(loops))
    for threshold in candidates.tolist():
        halted = halting_loop(gains, threshold)
        cost = losses.gather(1, halted[:, None]).mean() - full
        mean_loops = float(halted.float().mean()) + 1.0
        if cost <= max_cost and mean_loops < best[1]:
            best = (threshold, mean_loops)
    return best


def halting_loop(gains: Float[Tensor, "words early"], threshold: float) -> Tensor:
    """Index (from 0) of the loop after which each word halts: the first whose expected gain is at most the threshold."""
    stops = torch.cat((gains <= threshold, torch.ones(len(gains), 1, dtype=torch.bool)), dim=1)
    return stops.int().argmax(dim=1)
