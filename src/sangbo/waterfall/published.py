"""What was published of the chip that had these inventions first: shown, never fitted."""

from __future__ import annotations

from dataclasses import dataclass

SCALING = (
    "Energy per token scales with the weights that a token reads. The published 2.6 to 18.1 µJ are "
    "for GPT-2, mT5, T5 and a translation network whose sizes the abstracts do not state one by "
    "one, and do not say how many tokens share a reading of the weights: at 64 pJ a byte, reading "
    "134.5 MB of int8 weights once takes 8.6 mJ, and 18.1 µJ buy 0.28 MB. The two agree only if "
    "some hundreds of tokens share each reading (a prompt that is read at once), or if external "
    "memory is left out. `sangbo price --batch N` shows the first; compute alone is the second."
)
"""How the published energy per token relates to the one that is modelled here."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one publication states, relative to its own baseline.

    Attributes:
        source: which.
        compute: energy of compute.
        external: energy of external memory accesses.
        token: energy per token.
    """

    source: str
    compute: str
    external: str
    token: str


PUBLISHED = (
    Claim("C-Transformer, ISSCC 2024, published", "0.21–0.33×", "0.24–0.29×", "2.6–18.1 µJ"),
    Claim("C-Transformer, JSSC 2025, published", "0.21–0.33×", "0.37–0.41×", "2.6–18.1 µJ"),
)
"""Read in abstracts: doi 10.1109/ISSCC49657.2024.10454330 and 10.1109/JSSC.2025.3554699."""
