"""What every neuron model and source states about itself."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from sangbo.dynamics.receptors import Parameters
from sangbo.dynamics.values import Normal, Uniform, drawn

States: TypeAlias = Parameters


@runtime_checkable
class Model(Protocol):
    """A neuron model: a frozen dataclass of parameters, each a `Value`.

    A new model is one struct in ``src/native/dynamics/models`` and one such class.
    """

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        ...

    def parameters(self, step: float) -> Parameters:
        """What the engine needs for steps of ``step`` ms, by the engine's names.

        Raises:
            SimulationError: a parameter is impossible, or the step too long for it.
        """
        ...

    def states(self, step: float) -> States:
        """Initial states, by the engine's names; those left out are 0."""
        ...


def resolved(model: Any, size: int, generator: np.random.Generator) -> Any:
    """``model`` with every distribution drawn and every array checked, for ``size`` neurons."""
    changed: dict[str, Any] = {}
    for field in fields(model):
        value = getattr(model, field.name)
        if hasattr(value, "__dataclass_fields__") and not isinstance(value, Uniform | Normal):
            changed[field.name] = resolved(value, size, generator)
        elif value is not None and not isinstance(value, str | bool):
            changed[field.name] = drawn(
                f"{type(model).__name__}.{field.name}", value, size, generator
            )
    return replace(model, **changed)
