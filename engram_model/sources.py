"""Who speaks: blends the brain's own words with those of the phrase memory and of the episodes.

It must not know where the probabilities come from; it sees only what is known before the word is.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

PHRASE_FEATURES = 8
HIDDEN = 16


class PhraseGate(nn.Module):
    """The share of the phrase memory in the next word, from the brain's state and what was counted after the phrase.

    Args:
        dim: Size of the brain's state.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.state = nn.Linear(dim, 1)
        self.expand = nn.Linear(PHRASE_FEATURES, HIDDEN)
        self.contract = nn.Linear(HIDDEN, 1, bias=False)
        nn.init.zeros_(self.state.weight)
        nn.init.constant_(self.state.bias, -1.5)
        nn.init.zeros_(self.contract.weight)

    def forward(
        self, state: Float[Tensor, "*batch dim"], features: Float[Tensor, "*batch features"]
    ) -> Float[Tensor, "*batch"]:
        """Logit of the share lambda.

        Args:
            state: The brain's RMS-normed state.
            features: log(1 + count) of the phrase and of its distinct followers, for each phrase length.
        """
        hidden = F.linear(features / 4.0, self.expand.weight, self.expand.bias).relu()
        counted = F.linear(hidden, self.contract.weight)
        return (F.linear(state, self.state.weight, self.state.bias) + counted)[..., 0]


def blend(
    log_first: Float[Tensor, "*batch"], log_second: Float[Tensor, "*batch"], logit: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """log((1 - lambda) p_first + lambda p_second) with lambda = sigmoid(logit), without leaving log space."""
    return torch.logaddexp(F.logsigmoid(-logit) + log_first, F.logsigmoid(logit) + log_second)


def best_share(first: Float[Tensor, " words"], second: Float[Tensor, " words"], rounds: int = 30) -> float:
    """The constant share of the second source that makes the words likeliest (expectation maximisation).

    Args:
        first: Probability of each word under the first source.
        second: Under the second.
        rounds: Steps of expectation and maximisation.
    """
    share = 0.5
    for _ in range(rounds):
        said = share * second
        share = float((said / (said + (1.0 - share) * first)).mean())
    return share
