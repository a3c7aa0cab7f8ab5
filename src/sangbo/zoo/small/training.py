"""The loop that trains every small network: AdamW, a warm start, a cosine to the end."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from sangbo.progress import Progress

Step = Callable[[torch.Generator], torch.Tensor]
"""Draws a batch with the generator; returns its loss."""


def train(
    module: torch.nn.Module,
    step: Step,
    *,
    steps: int,
    rate: float,
    seed: int,
    progress: Progress,
    doing: str,
) -> None:
    """Train ``module`` in place; it is left in evaluation mode.

    Args:
        module: to train.
        step: loss of one batch.
        steps: how many.
        rate: largest learning rate.
        seed: of the batches.
        progress: told how far it is.
        doing: what to call it.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(module.parameters(), rate, weight_decay=0.01)
    warm = max(1, steps // 20)

    def share(done: int) -> float:
        if done < warm:
            return (done + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (done - warm) / max(1, steps - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
    module.train()
    for done in range(steps):
        progress(doing, done / steps)
        loss = step(generator)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    module.eval()
