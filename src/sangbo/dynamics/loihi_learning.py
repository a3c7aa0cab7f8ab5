"""Loihi's learning rules: sums of products of integer traces."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NoReturn, TypeAlias

import numpy as np

from sangbo import _dynamics
from sangbo.dynamics.values import Drawn
from sangbo.errors import SimulationError

NativeProduct: TypeAlias = tuple[int, int, int, list[tuple[int, int, bool]]]

VARIABLES = ("x0", "y0", "x1", "x2", "y1", "y2", "y3", "w", "t")
DEPENDENCIES = ("x0", "y0")
LONGEST_EPOCH = 63
MOST_PRODUCTS = 16


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace, 0 to 127: a spike adds ``impulse``, a step keeps e^(−1/``tau``) (0 if tau is 0).

    Both are rounded at random, so that they are right on average; impulses have 8 bits after the
    point.
    """

    impulse: float = 0.0
    tau: float = 0.0

    def native(self) -> tuple[int, int, float]:
        """Whole and fractional part (in 1/256) of the impulse, and what a step keeps."""
        if not 0 <= self.impulse <= 127 or not 0 <= self.tau < math.inf:
            raise SimulationError(f"expected an impulse of 0 to 127 and tau ≥ 0, found {self}")
        whole = math.floor(self.impulse)
        keep = float(np.exp(-1 / np.float64(self.tau))) if self.tau > 0 else 0.0
        return whole, round((self.impulse - whole) * 256), keep


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoihiLearning:
    """Synapses that learn as Loihi's (Davies et al. 2018), as Lava models them.

    At the end of every ``epoch`` steps: z += Σ s·2^e·Π (v + c), for z the weight (``dw``) and the
    tag (``dt``), in a sum of 15 bits with 7 of them after the point, rounded at random to 8 bits
    and a sign. A product holds where its dependency does: ``x0`` (the source fired in the epoch;
    traces are those of its last spike), ``y0`` (the target did; of its last spike), or ``uk`` (at
    every 2^k-th end of an epoch; of that). Variables v are the source's traces x1 and x2, the
    target's y1, y2 and y3, the weight w and the tag t; ``sgn(w)`` and ``sgn(t)`` their signs; x0
    and y0 beside a dependency are 1 where that side fired. The scale s·2^e has s of −8 to 7 and e
    of −7 to 8.

    >>> rule = LoihiLearning(dw="2^-2*x1*y0 - 2^-2*y1*x0", x1=Trace(16, 10), y1=Trace(16, 10))
    >>> [len(products) for products in rule.products()]
    [2, 0]

    Attributes:
        weight: whole numbers, −256 to 255 (0 to 255 or −255 to 0 where ``sign`` says so).
        delay: steps times the network's step; delays do not learn.
        tag: at the start, −256 to 255.
        dw, dt: the rules; "" where it does not change.
        x1, x2, y1, y2, y3: the traces.
        epoch: steps, 1 to 63.
        sign: of weights.
        rounding: ``down`` rounds everything down instead of at random: for comparison.
    """

    weight: Drawn = 0.0
    delay: Drawn = 1.0
    tag: int = 0
    dw: str = ""
    dt: str = ""
    x1: Trace = Trace()
    x2: Trace = Trace()
    y1: Trace = Trace()
    y2: Trace = Trace()
    y3: Trace = Trace()
    epoch: int = 1
    sign: Literal["mixed", "excitatory", "inhibitory"] = "mixed"
    rounding: Literal["stochastic", "down"] = "stochastic"
    storage: ClassVar[str] = "wide"

    def check(self, low: float, high: float) -> None:
        """Raise `SimulationError` where something is impossible, for weights of low to high."""
        self.products()
        for trace in self._traces:
            trace.native()
        least = {"mixed": -256, "excitatory": 0, "inhibitory": -255}[self.sign]
        most = 0 if self.sign == "inhibitory" else 255
        if not least <= low <= high <= most or not -256 <= self.tag <= 255:
            raise SimulationError(
                f"expected weights of {least} to {most} and a tag of −256 to 255, found {low} to "
                f"{high} and {self.tag}"
            )
        if not 1 <= self.epoch <= LONGEST_EPOCH:
            raise SimulationError(
                f"expected an epoch of 1 to {LONGEST_EPOCH} steps, found {self.epoch}"
            )

    def products(self) -> tuple[list[NativeProduct], list[NativeProduct]]:
        """Products of ``dw`` and ``dt``, as the engine takes them; see `parse`."""
        return parse(self.dw)[0], parse(self.dt)[0]

    def make(self, native: _dynamics.Network, projection: int) -> None:
        """Give the engine's projection its rule."""
        decimates = {k for k in (parse(self.dw)[1], parse(self.dt)[1]) if k is not None}
        if len(decimates) > 1:
            raise SimulationError(f"expected one u in a rule, found {sorted(decimates)}")
        native.loihi_learning(
            projection,
            self.epoch,
            2 ** decimates.pop() if decimates else 0,
            [trace.native() for trace in self._traces],
            list(self.products()),
            {"mixed": 0, "excitatory": 1, "inhibitory": -1}[self.sign],
            self.rounding == "stochastic",
            self.tag,
        )

    @property
    def _traces(self) -> tuple[Trace, ...]:
        return self.x1, self.x2, self.y1, self.y2, self.y3


def parse(rule: str) -> tuple[list[NativeProduct], int | None]:
    """Products of a sum such as ``2^-2*x1*y0 - (w + 3)*x0``, and the k of uk, if there is one.

    Raises:
        SimulationError: it is no such sum; the message says what is wrong.
    """
    if not rule.strip():
        return [], None
    try:
        tree = ast.parse(rule.replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        _refuse(rule, "something else")
    products: list[NativeProduct] = []
    decimates: set[int] = set()
    for sign, term in _terms(tree, 1):
        products.append(_product(rule, sign, term, decimates))
    if len(products) > MOST_PRODUCTS or len(decimates) > 1:
        _refuse(rule, f"{len(products)} products and u of {sorted(decimates)}")
    return products, decimates.pop() if decimates else None


def _refuse(rule: str, what: str) -> NoReturn:
    raise SimulationError(
        f"expected a sum of at most {MOST_PRODUCTS} products of numbers, powers of 2, "
        f"{', '.join(VARIABLES)}, one dependency (x0, y0, u0 … u9) each, found {what} in {rule!r}"
    )


def _terms(tree: ast.expr, sign: int) -> list[tuple[int, ast.expr]]:
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add | ast.Sub):
        right = -sign if isinstance(tree.op, ast.Sub) else sign
        return _terms(tree.left, sign) + _terms(tree.right, right)
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return _terms(tree.operand, -sign)
    return [(sign, tree)]


def _factors(tree: ast.expr) -> list[ast.expr]:
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Mult):
        return _factors(tree.left) + _factors(tree.right)
    return [tree]


def _product(rule: str, sign: int, term: ast.expr, decimates: set[int]) -> NativeProduct:
    mantissa, exponent = sign, 0
    dependency: int | None = None
    factors: list[tuple[int, int, bool]] = []
    for factor in _factors(term):
        number = _number(factor)
        if number is not None:
            mantissa, exponent = mantissa * number[0], exponent + number[1]
        elif isinstance(factor, ast.Name) and factor.id in DEPENDENCIES:
            if dependency is None:
                dependency = DEPENDENCIES.index(factor.id)
            else:
                factors.append((VARIABLES.index(factor.id), 0, False))
        elif isinstance(factor, ast.Name) and factor.id[:1] == "u" and factor.id[1:].isdecimal():
            if dependency is not None:
                _refuse(rule, f"{factor.id} beside another dependency")
            dependency = 2
            decimates.add(int(factor.id[1:]))
        else:
            factors.append(_factor(rule, factor))
    if dependency is None:
        _refuse(rule, "a product without a dependency")
    if any(k > 9 for k in decimates):
        _refuse(rule, f"u{max(decimates)}")
    while abs(mantissa) > 7 and mantissa % 2 == 0 and exponent < 8:
        mantissa, exponent = mantissa // 2, exponent + 1
    if not -8 <= mantissa <= 7 or not -7 <= exponent <= 8:
        _refuse(rule, f"the scale {mantissa}·2^{exponent}")
    return dependency, mantissa, exponent + 7, factors


def _number(tree: ast.expr) -> tuple[int, int] | None:
    """Mantissa and exponent of a whole number or a power of 2."""
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        inner = _number(tree.operand)
        return None if inner is None else (-inner[0], inner[1])
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return tree.value, 0
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Pow):
        base, power = _number(tree.left), _number(tree.right)
        if base == (2, 0) and power is not None and power[1] == 0:
            return 1, power[0]
    return None


def _factor(rule: str, tree: ast.expr) -> tuple[int, int, bool]:
    sign = (
        isinstance(tree, ast.Call)
        and isinstance(tree.func, ast.Name)
        and tree.func.id == "sgn"
        and len(tree.args) == 1
        and not tree.keywords
    )
    if sign and isinstance(tree, ast.Call):
        tree = tree.args[0]
    constant = 0
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add | ast.Sub):
        number = _number(tree.right)
        if number is None or number[1] != 0 or not isinstance(tree.left, ast.Name):
            _refuse(rule, f"{ast.unparse(tree)!r}")
        constant = number[0] if isinstance(tree.op, ast.Add) else -number[0]
        tree = tree.left
    if not isinstance(tree, ast.Name) or tree.id not in VARIABLES[2:]:
        _refuse(rule, f"{ast.unparse(tree)!r}")
    if (sign and tree.id not in "wt") or not -256 <= constant <= 255:
        _refuse(rule, f"{ast.unparse(tree)!r} with {constant}")
    return VARIABLES.index(tree.id), constant, sign
