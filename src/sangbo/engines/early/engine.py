"""The early engine itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sangbo import codes
from sangbo.engines.base import Array, Real, Segment
from sangbo.engines.early.record import Saved
from sangbo.engines.early.state import Growing, Plan, evaluate
from sangbo.engines.early.sums import Margin, Norms
from sangbo.engines.reference import LevelEngine, ReferenceCache, dequantise, execute
from sangbo.errors import EngineError
from sangbo.graph import Graph, Linear
from sangbo.ledger import Ledger

PLACES = ("csd", "radix")
"""Codes whose digits have places."""


class Early(LevelEngine):
    """Runs a complementary graph digit by digit and stops sums early.

    See `sangbo.engines.base.Engine`. Five kinds of sums may stop: a score whose probability can
    only be level 0; a gate that shuts, and the other factor with it; the other factor of a gated
    product; a sum that a neuron takes as it is; and of the output head all that cannot be the
    largest. With a proof (no margin) every level and the likeliest token are those of the reference
    engine; logits of other tokens are what they were when they stopped.

    Args:
        graph: a complementary graph.
        code: name of a code with digits by place, ``csd`` or ``radix``.
        margin: how sure a sum must be; a proof by default.
        head_margin: the same for the head, where one of very many must not be mistaken.
        whole_logits: give the head's sums whole, though they are counted as they stopped: for who
            wants more of them than the largest, as a perplexity does.

    Raises:
        EngineError: where the graph is not complementary, or the code has no places.
        CodeError: where there is no such code.
    """

    def __init__(
        self,
        graph: Graph,
        code: str = "csd",
        margin: Margin | None = None,
        *,
        head_margin: Margin | None = None,
        whole_logits: bool = False,
    ) -> None:
        super().__init__(graph)
        self.code = codes.code(code)
        if code not in PLACES:
            raise EngineError(f"expected a code with digits by place, csd or radix, found {code}")
        self.margin = margin or Margin()
        self.head_margin = head_margin or Margin()
        self.saved = Saved()
        self._whole_logits = whole_logits
        self._plan = Plan.of(graph)
        self._weights: dict[str, tuple[Real, Norms]] = {}

    def run(
        self,
        inputs: Mapping[str, Array],
        segments: Sequence[Segment[ReferenceCache]],
        *,
        ledger: Ledger | None = None,
        keep: Sequence[str] = (),
    ) -> dict[str, Array]:
        """Evaluate the graph; what was saved is added to ``saved``.

        The ledger counts what the levels are, whole; ``keep`` names further values to return.
        """
        state = Growing(
            self.graph, dict(inputs), segments, ledger, code=self.code, margin=self.margin,
            head_margin=self.head_margin,
            plan=self._plan, saved=self.saved, weights=self._real,
            whole_logits=self._whole_logits,
        )  # fmt: skip
        return execute(state, evaluate, keep)

    def _real(self, operation: Linear) -> tuple[Real, Norms]:
        """The weights of ``operation`` as reals (outputs, inputs), and their norms; made once."""
        name = operation.weight.values
        if name not in self._weights:
            weights = dequantise(operation.weight, self.graph)
            self._weights[name] = (weights, Norms.of(weights))
        return self._weights[name]
