"""Where networks come from: the catalogue, GGUF files, Hugging Face folders and repositories."""

from sangbo.sources.cache import cache_folder
from sangbo.sources.catalogue import Entry, entries, fetch
from sangbo.sources.chat import Message
from sangbo.sources.opening import open_source
from sangbo.sources.source import Grid, Source
from sangbo.sources.tokenizer import Stream, Tokenizer

__all__ = [
    "Entry",
    "Grid",
    "Message",
    "Source",
    "Stream",
    "Tokenizer",
    "cache_folder",
    "entries",
    "fetch",
    "open_source",
]
