"""Reverse-mode gradients of a float graph, for measuring how much each value matters.

One backward pass gives ∂ log p(label) / ∂ value for every value that a neuron will encode. Their
squares are the diagonal of the empirical Fisher information: encoding value x as x + δ raises the
Kullback–Leibler divergence of the output by about ½·Σ (∂/∂x)²·δ² (Amari, "Information Geometry").
"""

from sangbo.convert.gradients import attention, recurrent, rows, space
from sangbo.convert.gradients.backward import backward, inner, vjp

__all__ = ["attention", "backward", "inner", "recurrent", "rows", "space", "vjp"]
