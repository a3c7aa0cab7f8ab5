"""A converted network as people hold it: load, generate, price."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sangbo import chips, compress, graph
from sangbo.compress import COMPRESSED_FILE, Compressed
from sangbo.engines import Engine, fastest
from sangbo.errors import LedgerError, SangboError
from sangbo.extras import need
from sangbo.graph import Graph
from sangbo.ledger import Ledger
from sangbo.sources import Tokenizer
from sangbo.tasks.drafts import Drafter, Lookup
from sangbo.tasks.language import Sampling, generate
from sangbo.tasks.little import First, Little, hidden_of
from sangbo.tasks.speculate import STEP, Record, speculate

if TYPE_CHECKING:
    from sangbo.training import Trainable

LEDGER_FILE = "ledger.json"
CONVERSION_FILE = "conversion.json"
LITTLE = "little"
"""Folder within a network's, of the little network that guesses for it."""
LARGEST_FILE = 64 * 2**20


@dataclass(frozen=True)
class Network:
    """A complementary network, its tokenizer where it reads text, and the record of its conversion.

    Attributes:
        graph: what is run.
        tokenizer: text to token ids and back, where the network reads text.
        counted: the ledger of a run over calibration text, if it is in memory; see `ledger`.
        conversion: settings, origin and summary of the conversion; JSON values.
        folder: where it was loaded from.
        compressed: tensors of the graph that its folder holds compressed, by name.
        taught: a network that guesses for this one, if it is in memory; see `little`.

    >>> import sangbo                                              # doctest: +SKIP
    >>> network = sangbo.load("build/models/smollm2-135m-instruct")  # doctest: +SKIP
    >>> network.generate("What is a neuron?", max_tokens=40)         # doctest: +SKIP
    """

    graph: Graph
    tokenizer: Tokenizer | None = None
    counted: Ledger | None = None
    conversion: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    compressed: Mapping[str, Compressed] = field(default_factory=dict)
    taught: Network | None = None

    @cached_property
    def engine(self) -> Engine[Any]:
        """The fastest engine of the graph, made once; threads may share it."""
        return fastest(self.heard_graph)

    @cached_property
    def little(self) -> Network | None:
        """The little network, if there is one; read from the folder when first asked for.

        See `sangbo.distil`.
        """
        if self.taught is None and self._little_folder is not None:
            return load(self._little_folder)
        return self.taught

    @cached_property
    def _little_folder(self) -> Path | None:
        folder = None if self.folder is None else self.folder / LITTLE
        return folder if folder is not None and is_network(folder) else None

    @property
    def heard_graph(self) -> Graph:
        """The graph; where there is a little network, with what that reads among its outputs."""
        if self.taught is None and self._little_folder is None:
            return self.graph
        outputs = dict.fromkeys((*self.graph.outputs, hidden_of(self.graph)))
        return replace(self.graph, outputs=tuple(outputs))

    @property
    def guess_bytes(self) -> int:
        """Bytes of weights that one row reads: all but what an embedding does not gather."""
        read = {
            name
            for o in self.graph.operations
            for weight in o.weights()
            if o.synaptic
            for name in weight.tensors()
        }
        return sum(self.graph.tensors[name].nbytes for name in read)

    @cached_property
    def ledger(self) -> Ledger:
        """What a run over calibration text counted; read from the folder when first asked for."""
        if self.counted is not None:
            return self.counted
        if self.folder is None:
            raise SangboError(f"expected {self.graph.name} to have a ledger, found none")
        path = self.folder / LEDGER_FILE
        try:
            return Ledger.loads(_read(path))
        except LedgerError as error:
            raise LedgerError(f"{path}: {error}") from None

    @property
    def context(self) -> int:
        """Most tokens that the network reads; raises `SangboError` where it has no such limit."""
        context = self.graph.metadata.get("context_length")
        if not isinstance(context, int):
            raise SangboError(f"expected {self.graph.name} to state a context length, found none")
        return context

    def text_tokenizer(self) -> Tokenizer:
        """The tokenizer; raises `SangboError` where there is none."""
        if self.tokenizer is None:
            raise SangboError(f"expected {self.graph.name} to have a tokenizer, found none")
        return self.tokenizer

    def encode_prompt(self, prompt: str) -> list[int]:
        """Token ids of a user's message in the network's chat template, or of the bare text."""
        if not prompt.strip():
            raise SangboError("expected a prompt with some text, found an empty one")
        tokenizer = self.text_tokenizer()
        if tokenizer.template is None:
            return tokenizer.encode(prompt)
        return tokenizer.encode_chat([{"role": "user", "content": prompt}])

    def stream(
        self,
        prompt: str,
        *,
        max_tokens: int = 256,
        sampling: Sampling | None = None,
        ledger: Ledger | None = None,
        guesses: str | None = None,
        record: Record | None = None,
    ) -> Iterator[str]:
        """The reply to ``prompt``, one piece of text per token (some pieces may be empty).

        Args:
            prompt: the user's message.
            max_tokens: longest reply.
            sampling: how tokens are drawn; greedy by default.
            ledger: where the run is counted; nothing is counted without one.
            guesses: who guesses tokens ahead, see `drafter`; that changes the speed alone.
            record: where to count what guesses were worth.

        Raises:
            SangboError: where the prompt is empty or longer than the context.
        """
        tokenizer = self.text_tokenizer()
        stream = tokenizer.stream()
        ids = self.encode_prompt(prompt)
        options: Any = {
            "context": self.context,
            "max_tokens": max_tokens,
            "stop": tokenizer.ends,
            "sampling": sampling,
            "ledger": ledger,
        }
        tokens = (
            generate(self.engine, ids, **options)
            if guesses is None
            else speculate(self.engine, ids, self.drafter(guesses), **options, record=record)
        )
        for token in tokens:
            yield stream.push(token)
        yield stream.finish()

    def generate(
        self, prompt: str, *, max_tokens: int = 256, sampling: Sampling | None = None
    ) -> str:
        """The reply to ``prompt`` in one piece; see `stream`."""
        return "".join(self.stream(prompt, max_tokens=max_tokens, sampling=sampling))

    def drafter(self, guesses: str) -> Drafter:
        """Who guesses tokens ahead, anew for each text.

        Args:
            guesses: ``lookup``, what followed the same tokens before; ``little``, the little
                network; or ``both``, the little network where lookup finds nothing likely.

        Raises:
            SangboError: where there is none of that name, or no little network.
        """
        if guesses == "lookup":
            return Lookup()
        if guesses not in ("little", "both"):
            raise SangboError(f"expected guesses by lookup, little or both, found {guesses!r}")
        if self.little is None:
            raise SangboError(
                f"expected {self.graph.name} to have a little network, found none: make it with "
                "sangbo little DIR"
            )
        size = self.little.guess_bytes
        step = STEP + size / max(1, self.guess_bytes)
        little = Little(self.little.engine, hidden_of(self.graph), step, size)
        return little if guesses == "little" else First(Lookup(), little)

    @property
    def code(self) -> str:
        """Spike code that the network was converted for."""
        return str(self.conversion.get("settings", {}).get("code", "csd"))

    @property
    def split(self) -> str:
        """Split that the network was converted for."""
        return str(self.conversion.get("settings", {}).get("split", "value"))

    def price(
        self, chip: str, *, code: str | None = None, split: str = "value"
    ) -> list[chips.Price]:
        """Dense, spiking and complementary price per token on ``chip``, from the stored ledger.

        The stored ledger has no tallies, so ``split`` is by value or by layer; for the others see
        `sangbo.splits`.
        """
        nests = chips.weighted(self.graph)
        on = chips.load(chip)
        return chips.price(self.ledger, on, code=code or self.code, split=split, nests=nests)

    def to_torch(self) -> Trainable:
        """The network as a PyTorch module with straight-through gradients; see `Trainable`.

        What was learned comes back as ``module.graph()``.

        Raises:
            MissingExtraError: where PyTorch is not installed.
        """
        need("torch", "torch")
        from sangbo.training import to_torch

        return to_torch(self.graph)

    def save(self, folder: Path) -> None:
        """Write everything into the existing ``folder``."""
        graph.save(self.graph, folder, self.compressed)
        compress.save(self.compressed, folder)
        if self.tokenizer is not None:
            self.tokenizer.save(folder)
        (folder / LEDGER_FILE).write_text(self.ledger.dumps() + "\n", encoding="utf-8")
        text = json.dumps(dict(self.conversion), indent=1, ensure_ascii=False)
        (folder / CONVERSION_FILE).write_text(text + "\n", encoding="utf-8")

    def __str__(self) -> str:
        return self.graph.summary()


def is_network(folder: Path) -> bool:
    """Whether ``folder`` holds what `Network.save` writes."""
    return (folder / graph.GRAPH_FILE).is_file()


def load(folder: str | Path) -> Network:
    """Read a converted network; weights stay on disk until they are used.

    Raises:
        SangboError: where a file is missing or broken; the message names it.
    """
    folder = Path(folder)
    compressed = compress.load(folder)
    loaded = graph.load(folder, compress.decode(compressed, folder / COMPRESSED_FILE))
    loaded.check_finite()
    if not loaded.complementary:
        raise SangboError(f"expected a complementary network in {folder}, found a float one")
    has_text = (folder / "tokenizer.json").exists()
    return Network(
        loaded,
        Tokenizer.load(folder) if has_text else None,
        conversion=_conversion(folder / CONVERSION_FILE),
        folder=folder,
        compressed=compressed,
    )


def _conversion(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise SangboError(f"expected {path} to hold JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("settings", {}), dict):
        raise SangboError(f"expected {path} to hold a record of a conversion")
    return document


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise SangboError(f"expected {path} to be at most {LARGEST_FILE} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SangboError(f"expected to read {path}: {error}") from None
