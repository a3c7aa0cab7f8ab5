"""Weights that take fewer bytes in memory: coded, on allotted steps, or generated from seeds."""

from sangbo.compress.allotted import Allotted
from sangbo.compress.coded import Coded
from sangbo.compress.files import COMPRESSED_FILE, Compressed, decode, load, save
from sangbo.compress.generated import Generated, Recipe

__all__ = [
    "COMPRESSED_FILE",
    "Allotted",
    "Coded",
    "Compressed",
    "Generated",
    "Recipe",
    "decode",
    "load",
    "save",
]
