"""Builds the complementary graph: neurons at their sites, integer weights, the rest as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sangbo.convert.sites import Site
from sangbo.convert.weights import stored
from sangbo.engines.base import Array
from sangbo.graph import (
    Attention,
    Convolution,
    Embedding,
    Graph,
    Linear,
    Neuron,
    Operation,
    Recurrent,
    Weight,
)
from sangbo.sources import Grid


def complementary(
    graph: Graph,
    thresholds: Mapping[Site, np.float32],
    grids: Mapping[str, Grid],
    metadata: Mapping[str, Any],
) -> Graph:
    """The complementary graph of a float graph.

    Args:
        graph: the float graph.
        thresholds: θ of every site.
        grids: integers of the values tensor of every synaptic operation with weights (an Embedding
            that shares one uses them too; others stay float).
        metadata: added to the graph's own.
    """
    tensors: dict[str, Array] = {}
    weights: dict[str, Weight] = {}
    for name, grid in grids.items():
        weights[name], held = stored(name, grid)
        tensors.update(held)
    by_name = {site.name: site for site in thresholds}
    for site, theta in thresholds.items():
        tensors[f"{site.name}.threshold"] = np.array(theta, np.float32)
        tensors[f"{site.name}.inverse"] = np.array(np.float32(1) / theta, np.float32)
    operations: list[Operation] = [
        _neuron(by_name[name]) for name in graph.inputs if name in by_name
    ]
    for operation in graph.operations:
        changed = _change(operation, weights, by_name)
        operations.append(changed)
        if operation.output in by_name:
            operations.append(_neuron(by_name[operation.output]))
        for weight in changed.weights():
            tensors.setdefault(weight.values, graph.tensors[weight.values])
        for name in operation.parameters():
            tensors.setdefault(name, graph.tensors[name])
    return Graph(
        graph.name,
        graph.inputs,
        tuple(operations),
        graph.outputs,
        tensors,
        {**graph.metadata, **metadata},
    )


def levels_of(value: str) -> str:
    """Name of the levels of a value."""
    return f"{value}.levels"


def sent_name(site: Site) -> str:
    """Name under which a site's levels are counted; probabilities and states stay inside."""
    return site.name if site.inside else levels_of(site.name)


def _neuron(site: Site) -> Neuron:
    return Neuron(
        levels_of(site.name),
        site.name,
        f"{site.name}.threshold",
        f"{site.name}.inverse",
        site.lowest,
        site.highest,
    )


def _change(
    operation: Operation, weights: Mapping[str, Weight], sites: Mapping[str, Site]
) -> Operation:
    if isinstance(operation, Linear | Convolution):
        weight = weights[operation.weight.values]
        return replace(operation, input=levels_of(operation.input), weight=weight)
    if isinstance(operation, Embedding):
        return replace(operation, weight=weights.get(operation.weight.values, operation.weight))
    if isinstance(operation, Recurrent) and operation.weight is not None:
        name = f"{operation.output}.state"
        return replace(
            operation,
            weight=weights[operation.weight.values],
            threshold=f"{name}.threshold",
            inverse=f"{name}.inverse",
            lowest=sites[name].lowest,
            highest=sites[name].highest,
        )
    if isinstance(operation, Attention):
        name = f"{operation.output}.probability"
        return replace(
            operation,
            query=levels_of(operation.query),
            key=levels_of(operation.key),
            value=levels_of(operation.value),
            threshold=f"{name}.threshold",
            inverse=f"{name}.inverse",
            highest=sites[name].highest,
        )
    return operation
