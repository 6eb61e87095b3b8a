"""The baseline that could embarrass us: a plain GPT-2 block stack of the same width and depth, from `transformers`.

It must not know anything of the brain; it gets the same words, in the same batches, for the same number of tokens.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from engram_model.config import BrainConfig, TrainingConfig
from engram_model.corpus import Corpus
from engram_model.training import rate_factor

CONTEXT = 128
RATES = (1e-3, 3e-3, 6e-3)


@dataclass(frozen=True)
class Run:
    """A trained baseline: the model, words trained per second, best held-out loss in nats a word."""

    model: GPT2LMHeadModel
    words_per_second: float
    held_out: float


def build(words: int, shape: BrainConfig) -> GPT2LMHeadModel:
    """GPT-2 with tied embeddings, the brain's width, depth, heads and dropout."""
    drop = 0.1 if shape.dropout is None else shape.dropout
    config = GPT2Config(
        vocab_size=words,
        n_positions=CONTEXT,
        n_embd=shape.embed_dim,
        n_layer=shape.n_layers,
        n_head=shape.n_heads,
        resid_pdrop=drop,
        embd_pdrop=drop,
        attn_pdrop=drop,
        bos_token_id=1,
        eos_token_id=1,
    )
    return GPT2LMHeadModel(config)


def loss_of(model: GPT2LMHeadModel, inputs: Tensor, targets: Tensor) -> Tensor:
    """Loss of each word, in nats."""
    logits = model(input_ids=inputs).logits
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


@torch.no_grad()
def evaluate(model: GPT2LMHeadModel, corpus: Corpus) -> float:
    """Mean loss in nats a word; every word sees its own text only, at least 64 words of it where there are so many."""
    model.eval()
    total, count = 0.0, 0
    for batch, places in corpus.whole_texts(CONTEXT, CONTEXT // 2, 4096):
        losses = loss_of(model, batch.inputs, batch.targets)[places >= 0]
        total, count = total + float(losses.double().sum()), count + len(losses)
    return total / count


def train(
    corpus: Corpus,
    held_out: Corpus | None,
    words: int,
    shape: BrainConfig,
    training: TrainingConfig,
    epochs: int,
    rate: float,
    steps: int | None = None,
) -> Run:
    """AdamW, warm-up and linear decay as for the brain; as many words as the brain saw."""
    torch.manual_seed(training.seed)
    generator = torch.Generator().manual_seed(training.seed)
    model = build(words, shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=training.weight_decay)
    rows = training.batch_words // CONTEXT
    total = steps or epochs * (len(corpus) // CONTEXT // rows)
    step, seconds, best = 0, 0.0, math.inf
    while step < total:
        model.train()
        for batch in corpus.shuffled(generator, rows, CONTEXT):
            if step >= total:
                break
            began = time.perf_counter()
            for group in optimizer.param_groups:
                group["lr"] = rate * rate_factor(step, total, training.warmup_steps)
            loss = loss_of(model, batch.inputs, batch.targets).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            seconds += time.perf_counter() - began
        best = min(best, evaluate(model, held_out)) if held_out is not None else best
    return Run(model, step * rows * CONTEXT / seconds, best)
