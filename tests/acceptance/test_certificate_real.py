"""The real network's certificate: found again, and broken by one damaged threshold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import sangbo
from prose import prose
from sangbo.agreement import chosen, contenders
from sangbo.network import Network

pytestmark = [pytest.mark.oracle, pytest.mark.network, pytest.mark.timeout(1800)]

TOKENS = 512
FEW = 64
"""Tokens on which a certificate is checked again: it repeats all that was done."""


def test_no_value_differs_and_no_layer_is_over_its_limit(network: Network) -> None:
    certificate = sangbo.verify(network, prose(), tokens=TOKENS)
    assert certificate.failures() == []
    assert certificate.engines["native"].accumulators >= 10**8
    assert len(certificate.limits) == 2 + 30 * 15 + 2


def test_the_certificate_is_found_again(network: Network) -> None:
    engines = chosen(None, contenders(["csd"]), 16)
    certificate = sangbo.verify(network, prose(), tokens=FEW, engines=engines)
    document = json.loads(json.dumps(certificate.to_dict()))
    again = sangbo.recheck(network, document, prose())
    assert again.differences == ()
    assert again.passed


@pytest.mark.parametrize("site", ["layers.11.mlp.product", "layers.20.attention.key.rotary"])
def test_one_threshold_times_eight_is_caught_and_named(network: Network, site: str) -> None:
    """Perplexity shows nothing of it: 1 of 241 thresholds is too little."""
    tensors = dict(network.graph.tensors)
    tensors[f"{site}.threshold"] = tensors[f"{site}.threshold"] * np.float32(8)
    tensors[f"{site}.inverse"] = tensors[f"{site}.inverse"] / np.float32(8)
    damaged = Network(
        replace(network.graph, tensors=tensors), network.tokenizer, None, network.conversion
    )
    found = sangbo.verify(damaged, prose(), tokens=TOKENS // 2, engines={})
    assert not found.passed
    assert found.comparison.relative_change < 0.02
    assert found.failures()[0].startswith(f"layer {site}.levels: expected at most ")
