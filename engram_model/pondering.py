"""When to stop thinking: the halt gate, its probabilities and its learning target.

It must not know what a loop computes; it sees the state after a loop and the losses that were observed.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 32
BISECTIONS = 40


class HaltGate(nn.Module):
    """Predicts, after each loop, how much the remaining loops would still lower this word's loss (in nats).

    The target is observed and does not depend on the gate, so the gate cannot collapse. A word halts
    after loop n when the predicted gain falls to the loop's own threshold t_n; the halting probability
    lambda_n = sigmoid((t_n - gain_n) / temperature) crosses 1/2 exactly there.

    Args:
        dim: Size of the state.
        max_loops: Most loops; the gate judges after loops 1 .. max_loops - 1.
    """

    thresholds: Tensor
    TEMPERATURE = 0.02

    def __init__(self, dim: int, max_loops: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, HIDDEN)
        self.contract = nn.Linear(HIDDEN, max(max_loops - 1, 1))
        nn.init.zeros_(self.contract.weight)
        nn.init.zeros_(self.contract.bias)
        self.register_buffer("thresholds", torch.zeros(max(max_loops - 1, 1)))

    def forward(self, normed: Float[Tensor, "*batch dim"], loop: int) -> Float[Tensor, "*batch"]:
        """The gain, in nats, that is expected of going on after `loop` (counted from 1).

        Args:
            normed: The RMS-normed stream after that loop; gets no gradient.
            loop: Number of the loop.
        """
        hidden = F.linear(normed.detach(), self.expand.weight, self.expand.bias).relu()
        row = slice(loop - 1, loop)
        return F.linear(hidden, self.contract.weight[row], self.contract.bias[row])[..., 0]

    def probability(self, gain: Float[Tensor, "*batch"], loop: int) -> Float[Tensor, "*batch"]:
        """lambda_n, the probability of halting after `loop` (counted from 1), from the expected gain."""
        return torch.sigmoid((self.thresholds[loop - 1] - gain) / self.TEMPERATURE)

    def goes_on(self, gain: Float[Tensor, "*batch"], loop: int) -> Bool[Tensor, "*batch"]:
        """Whether another loop is worth its cost: lambda_n < 1/2."""
        return gain > self.thresholds[loop - 1]


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


def calibrate_thresholds(
    gains: Float[Tensor, "words early"],
    losses: Float[Tensor, "words loops"],
    max_cost: float,
    target_share: float,
) -> tuple[Float[Tensor, " early"], float]:
    """The thresholds that save loops at the least cost, until the target or the allowed cost is reached.

    Each price of a loop has its best thresholds (`_thresholds_at`). Of two prices, the smaller is taken: that at which
    words take the target share of the loops, and that at which halting costs what it may.

    Args:
        gains: Expected gains after each loop but the last.
        losses: Observed losses after each loop, on held-out words.
        max_cost: Allowed rise of the mean loss over always thinking to the end, in nats (0.01 is one percent of perplexity).
        target_share: Share of all loops that the words shall take on average; at 1 nothing is saved.

    Returns:
        The thresholds and the mean number of loops they give.
    """
    full, target = losses[:, -1].mean(), target_share * losses.shape[1]
    best = torch.full_like(gains[0], -torch.inf), float(losses.shape[1])
    low, high = 0.0, float((losses - losses[:, -1:]).abs().max()) + 1.0
    for _ in range(BISECTIONS):
        price = (low + high) / 2
        thresholds = _thresholds_at(price, gains, losses)
        halted = halting_loop(gains, thresholds)
        cost, loops = losses.gather(1, halted[:, None]).mean() - full, float(halted.double().mean()) + 1.0
        if cost > max_cost:
            high = price
        elif loops <= target:
            best, high = (thresholds, loops), price
        else:
            best, low = (best if best[1] <= loops else (thresholds, loops)), price
    return best


def _thresholds_at(
    price: float, gains: Float[Tensor, "words early"], losses: Float[Tensor, "words loops"]
) -> Float[Tensor, " early"]:
    """The thresholds that minimise loss + price * loops, from the last choice back to the first.

    With v the value of going on, known from the later thresholds, stopping after loop n is worth losses_n - v - price to
    each word; sorted by gain, the best threshold is where the running sum of that is lowest.
    """
    thresholds = torch.empty_like(gains[0])
    value = losses[:, -1]
    for loop in range(gains.shape[1] - 1, -1, -1):
        order = gains[:, loop].argsort()
        stopping = (losses[order, loop] - value[order] - price).cumsum(0)
        lowest = int(stopping.argmin())
        beside = gains[order[lowest : lowest + 2], loop]  # between two gains: rounding tips no word
        thresholds[loop] = beside.mean() if stopping[lowest] < 0 else -torch.inf
        value = torch.where(gains[:, loop] <= thresholds[loop], losses[:, loop], value + price)
    return thresholds


def halting_loop(
    gains: Float[Tensor, "words early"], thresholds: Float[Tensor, " early"] | float
) -> Int[Tensor, " words"]:
    """Index (from 0) of the loop after which each word halts: the first whose gain is at most its threshold."""
    stops = torch.cat((gains <= thresholds, torch.ones(len(gains), 1, dtype=torch.bool)), dim=1)
    return stops.int().argmax(dim=1)
