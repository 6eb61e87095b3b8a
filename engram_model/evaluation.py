from __future__ import annotations
import torch
from engram_model.corpus import Corpus
from engram_model.objective import Learner

@torch.no_grad()
def held_out_loss(learner: Learner, corpus: Corpus, loops: int | None = None) -> float:
    learner.eval()
    vectors = learner.unit_vectors()
    total, count = 0.0, 0
    for batch, places in corpus.whole_texts(512, 128, 4096):
        output = learner.brain(batch.inputs, vectors, segments=batch.segments, loops=loops or learner.brain.config.max_ponder)
        losses = learner.losses(output.states[-1], batch, vectors)
        total += float(losses[places >= 0].double().sum())
        count += int((places >= 0).sum())
    return total / count
