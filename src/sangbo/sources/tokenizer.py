"""Text to token ids and back, with the chat template that came with the network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import tokenizers

from sangbo.errors import SourceError
from sangbo.sources.chat import Message, render
from sangbo.sources.facts import Facts, read_json, read_text

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja"
GENERATION_FILE = "generation_config.json"

SPECIAL_KEYS = ("bos_token", "eos_token", "unk_token", "pad_token")
END_KEY = "end_tokens"
END_TOKENS = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|end_of_text|>", "<|endoftext|>",
    "<end_of_turn>", "</s>",
)  # fmt: skip
"""Control tokens that end a turn or a text in the networks that have them."""

_UNFINISHED = "�"
_LONGEST_CHARACTER = 4


class Tokenizer:
    """Text to token ids and back.

    Control tokens (``<|im_end|>`` …) written in a text are text: `encode` turns them into the
    control token only on request. `encode_chat` requests it, for the template's own tokens; like
    transformers it does so for the whole conversation, so whoever takes messages from strangers
    and must keep them from posing as turns has to remove `control_tokens` from them first.

    Attributes:
        template: chat template in Jinja2, or None.
        special: names of special tokens by their use, as ``bos_token``.
        ends: ids after which a reply is over.
    """

    def __init__(
        self,
        inner: tokenizers.Tokenizer,
        template: str | None = None,
        special: Mapping[str, str] | None = None,
        ends: Iterable[str] = (),
    ) -> None:
        inner.no_truncation()
        inner.no_padding()
        self._control = inner
        self.template = template
        self.special = dict(special or {})
        self.ends = frozenset(_known(inner, text) for text in ends)

    @cached_property
    def _plain(self) -> tokenizers.Tokenizer:
        """The tokenizer to which control tokens are text; made when first needed."""
        plain = tokenizers.Tokenizer.from_str(self._control.to_str())
        plain.encode_special_tokens = True
        return plain

    @property
    def size(self) -> int:
        """One more than the largest token id."""
        return max(self._control.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """The texts that stand for control tokens, in the order of their ids."""
        added = self._control.get_added_tokens_decoder()
        return tuple(added[number].content for number in sorted(added) if added[number].special)

    def known(self, texts: Iterable[str]) -> list[int]:
        """The ids of tokens; raises `SourceError` where one is not in the vocabulary."""
        return [_known(self._control, text) for text in texts]

    def encode(self, text: str, *, control: bool = False, affixes: bool = True) -> list[int]:
        """Token ids of a text.

        Args:
            text: any text.
            control: whether control tokens written in the text become those tokens.
            affixes: whether the tokens that the network expects around a text are added (for some,
                one that begins it).

        Raises:
            SourceError: where the text has lone surrogates, or the tokenizer's file was broken in
                a way that shows only now.
        """
        inner = self._control if control else self._plain
        with library("expected a text that the tokenizer can take"):
            ids: list[int] = inner.encode(text, add_special_tokens=affixes).ids
        return ids

    def decode(self, ids: Sequence[int], *, control: bool = False) -> str:
        """The text of token ids, without control tokens unless asked; broken UTF-8 reads as �.

        Raises:
            SourceError: where an id is negative or has more than 32 bits.
        """
        try:
            text: str = self._control.decode(ids, skip_special_tokens=not control)
        except OverflowError:
            raise SourceError("expected token ids within 0…2³²−1, found one outside") from None
        return text

    def stream(self) -> Stream:
        """A decoder for ids that come one by one."""
        return Stream(self)

    def render(self, messages: Sequence[Message], *, reply: bool = True) -> str:
        """The conversation as the text that the network was trained on.

        Args:
            messages: turns with ``role`` and ``content``.
            reply: whether the text ends where the assistant's reply begins.

        Raises:
            SourceError: where there is no template, or it cannot render these messages.
        """
        if self.template is None:
            raise SourceError("expected a tokenizer with a chat template, found one without")
        return render(self.template, messages, reply, self.special)

    def encode_chat(self, messages: Sequence[Message], *, reply: bool = True) -> list[int]:
        """Token ids of a conversation; see `render`. The template's control tokens are those."""
        return self.encode(self.render(messages, reply=reply), control=True, affixes=False)

    def encode_opening(self) -> list[int]:
        """Token ids of what the chat template writes before a user's first words.

        Raises:
            SourceError: where there is no template, or it cannot render a user's message.
        """
        mark = "\u2042"
        text = self.render([{"role": "user", "content": mark}], reply=False)
        return self.encode(text.partition(mark)[0], control=True, affixes=False)

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json`` into the existing folder."""
        config: dict[str, Any] = dict(self.special)
        config[END_KEY] = [self._control.id_to_token(number) for number in sorted(self.ends)]
        if self.template is not None:
            config["chat_template"] = self.template
        (folder / TOKENIZER_FILE).write_text(self._control.to_str(), encoding="utf-8")
        (folder / CONFIG_FILE).write_text(
            json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the tokenizer in a folder that `save`, or transformers, wrote.

        Raises:
            SourceError: where a file is missing or malformed.
        """
        path = folder / TOKENIZER_FILE
        inner = parse(read_text(path), str(path))
        config_file = folder / CONFIG_FILE
        config = read_json(config_file) if config_file.exists() else Facts({}, str(config_file))
        special = {
            key: text for key in SPECIAL_KEYS if (text := _token_text(config, key)) is not None
        }
        ends = _end_tokens(folder, config, inner, special.get("eos_token"))
        return cls(inner, _template(folder, config), special, ends)


class Stream:
    """Decodes ids one by one and never gives half a character.

    The texts of all `push` and of `finish` together are the text of all ids, where these are
    UTF-8. (The library's own `DecodeStream` raises on byte tokens that are not UTF-8, and keeps an
    unfinished end to itself.)
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._before: list[int] = []  # ends with a whole character; decoders look back at it
        self._new: list[int] = []
        self._given = 0

    def push(self, token: int) -> str:
        """The text that is certain now that ``token`` has come; may be empty."""
        self._new.append(token)
        text = self._tokenizer.decode(self._before + self._new)
        unfinished = len(text) - len(text.rstrip(_UNFINISHED))
        if unfinished and len(self._new) < _LONGEST_CHARACTER:
            return ""
        stop = len(text) - min(unfinished, _LONGEST_CHARACTER - 1)
        piece = text[self._given : stop]
        self._given = max(self._given, stop)
        if not unfinished:
            alone = self._tokenizer.decode(self._new)
            self._before = self._new if alone else self._before + self._new
            self._given = len(alone or text)
            self._new = []
        return piece

    def finish(self) -> str:
        """The rest: what was held back as an unfinished character."""
        rest = self._tokenizer.decode(self._before + self._new)[self._given :]
        self._before, self._new, self._given = [], [], 0
        return rest


@contextmanager
def library(expected: str) -> Iterator[None]:
    """Turn what the ``tokenizers`` library raises into a `SourceError` that says ``expected``.

    It raises nothing narrower than `Exception`, and its panics are not even that.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - see above
        raise SourceError(f"{expected}: {error}") from None


def parse(text: str, where: str) -> tokenizers.Tokenizer:
    """A tokenizer of the ``tokenizers`` library from its JSON; `SourceError` where it is broken."""
    with library(f"expected {where} to hold a tokenizer"):
        return tokenizers.Tokenizer.from_str(text)


def _known(inner: tokenizers.Tokenizer, text: str) -> int:
    number = inner.token_to_id(text)
    if number is None:
        raise SourceError(f"expected the token {text!r} in the vocabulary, found no such token")
    return number


def _token_text(config: Facts, key: str) -> str | None:
    """The text of a special token, which is a string or an object with ``content``."""
    if key not in config:
        return None
    if isinstance(config.values[key], dict):
        return config.inner(key).text("content")
    return config.text(key)


def _template(folder: Path, config: Facts) -> str | None:
    """The chat template, from a file of its own or from the configuration."""
    own = folder / TEMPLATE_FILE
    if own.exists():
        return read_text(own)
    if "chat_template" not in config:
        return None
    if not isinstance(config.values["chat_template"], list):
        return config.text("chat_template")
    for entry in config.items("chat_template"):
        if isinstance(entry, dict) and entry.get("name") == "default":
            return Facts(entry, config.where).text("template")
    raise SourceError(f"expected a chat template named 'default' in {config.where}, found none")


def _end_tokens(
    folder: Path, config: Facts, inner: tokenizers.Tokenizer, last: str | None
) -> set[str]:
    """Texts of the tokens that end a reply: those stated, or those known to."""
    if END_KEY in config:
        return {t for t in config.items(END_KEY) if isinstance(t, str)}
    ends = known_ends(inner)
    if last is not None and inner.token_to_id(last) is not None:
        ends.add(last)
    generation = folder / GENERATION_FILE
    if generation.exists():
        stated = read_json(generation).values.get("eos_token_id")
        for number in stated if isinstance(stated, list) else [stated]:
            text = inner.id_to_token(number) if type(number) is int and number >= 0 else None
            if text is not None:
                ends.add(text)
    return ends


def known_ends(inner: tokenizers.Tokenizer) -> set[str]:
    """Those of `END_TOKENS` that are control tokens of ``inner``."""
    special = {t.content for t in inner.get_added_tokens_decoder().values() if t.special}
    return special & set(END_TOKENS)
