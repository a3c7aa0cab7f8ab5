"""The temporal engine: really sends every spike, one time step after the other.

Where the folded engines multiply levels by weights, here neurons fire in time steps and each spike
adds its column of weights to the membranes of its receivers; see `sangbo.engines.firing`. Layer by
layer: a layer's neurons begin once the membranes that drive them have settled. Operations on reals
in between are the reference engine's.
"""

from sangbo.engines.temporal import attention, convolution, linear, recurrent
from sangbo.engines.temporal.engine import Temporal, timeline

__all__ = ["Temporal", "attention", "convolution", "linear", "recurrent", "timeline"]
