"""Sangbo turns a trained neural network into a complementary spiking network."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("sangbo")
