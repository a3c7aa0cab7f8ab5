"""The mixture of experts of Mixtral (Jiang et al. 2024, arXiv 2401.04088): LLaMA with experts.

The second half of a layer sends each row to a few of its experts, each a gated perceptron:
y = Σ_e p_e·expert_e(x), p = softmax(router·x) with the largest few kept and divided by their sum.
Rows that an expert is not sent are neither computed nor counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sangbo.errors import SourceError
from sangbo.graph import Graph, Multiply, Softmax, Take
from sangbo.sources.blocks import Block, perceptron, residual
from sangbo.sources.builder import Builder
from sangbo.sources.facts import Facts
from sangbo.sources.llama import (
    ATTENTION_NAMES,
    build,
    huggingface_config,
    huggingface_names,
)
from sangbo.sources.source import Array

MOST_EXPERTS = 1024
_PARTS = {"w1": "gate", "w3": "up", "w2": "down"}


def from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a MixtralForCausalLM checkpoint.

    Raises:
        SourceError: where the configuration or a tensor is missing or malformed.
        UnsupportedError: where the network is scaled, windowed or otherwise not plain.
    """
    experts = facts.whole("num_local_experts", 8, highest=MOST_EXPERTS)
    chosen = facts.whole("num_experts_per_tok", 2)
    if chosen > experts:
        raise SourceError(
            f"expected num_experts_per_tok in {facts.where} to be at most {experts}, found {chosen}"
        )
    inner = {"block_sparse_moe.gate": "mlp.router"} | {
        f"block_sparse_moe.experts.{expert}.{theirs}": f"mlp.experts.{expert}.{ours}"
        for expert in range(experts)
        for theirs, ours in _PARTS.items()
    }
    renamed = huggingface_names(facts, tensors, ATTENTION_NAMES | inner)
    second = partial(_mixture, experts=experts, chosen=chosen)
    facts_kept = {"family": "mixtral", "experts": experts, "chosen_experts": chosen, **metadata}
    return build(name, huggingface_config(facts), renamed, facts_kept, second)


def _mixture(net: Builder, at: str, hidden: str, block: Block, *, experts: int, chosen: int) -> str:
    """The half of a layer that sends rows to experts, added to ``hidden``."""

    def mix(source: str) -> str:
        router = net.linear(f"{at}.router", source)
        shares = net.add(Softmax(f"{at}.shares", router, chosen))
        total = ""
        for expert in range(experts):
            own = f"{at}.experts.{expert}"
            share = net.add(Take(f"{own}.share", shares, 1, (expert,)))
            result = perceptron(net, own, source, block, share)
            weighted = net.add(Multiply(f"{own}.weighted", result, share))
            total = net.sum(f"{own}.sum", total, weighted) if total else weighted
        return total

    return residual(net, at, hidden, block, mix)
