"""Weights that take fewer bytes in memory: coded without loss, or generated from seeds."""

from sangbo.compress.coded import Coded
from sangbo.compress.files import COMPRESSED_FILE, Compressed, decode, load, save
from sangbo.compress.generated import Generated, Recipe

__all__ = [
    "COMPRESSED_FILE",
    "Coded",
    "Compressed",
    "Generated",
    "Recipe",
    "decode",
    "load",
    "save",
]
