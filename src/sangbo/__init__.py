"""Sangbo turns a trained neural network into a complementary spiking network.

>>> import sangbo
>>> network = sangbo.convert("smollm2-135m-instruct")            # doctest: +SKIP
>>> print(network.generate("What is a neuron?", max_tokens=40))  # doctest: +SKIP
>>> print(network.price("horowitz-45nm"))                        # doctest: +SKIP
"""

from sangbo._version import __version__
from sangbo.certificate import Certificate
from sangbo.convert import Settings, convert
from sangbo.errors import SangboError
from sangbo.network import Network, load
from sangbo.recheck import Recheck, recheck
from sangbo.sources.exported import from_torch
from sangbo.tasks.language import Sampling
from sangbo.tracing import Trace, trace
from sangbo.verify import verify

__all__ = [
    "Certificate",
    "Network",
    "Recheck",
    "Sampling",
    "SangboError",
    "Settings",
    "Trace",
    "__version__",
    "convert",
    "from_torch",
    "load",
    "recheck",
    "trace",
    "verify",
]
