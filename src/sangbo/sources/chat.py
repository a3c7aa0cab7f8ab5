"""Chat templates: messages to the text that a network was trained on.

The template comes from the network's file, so it is hostile: Jinja2's immutable sandbox keeps it
from the machine, as in transformers. Nothing bounds how long it runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sangbo.errors import SourceError

Message: TypeAlias = Mapping[str, str]
"""One turn: ``role`` (system, user or assistant) and ``content``."""


def render(
    template: str, messages: Sequence[Message], reply: bool, variables: Mapping[str, str]
) -> str:
    """The text of ``messages``.

    Args:
        template: Jinja2 text, as in ``tokenizer_config.json``.
        messages: the conversation so far.
        reply: whether the text ends where the assistant's reply begins.
        variables: the names of special tokens that templates use, as ``bos_token``.

    Raises:
        SourceError: where the template is broken, reaches out of its sandbox, or refuses the
            messages.
    """
    try:
        return (
            _environment()
            .from_string(template)
            .render(
                messages=[dict(m) for m in messages],
                tools=None,
                documents=None,
                add_generation_prompt=reply,
                **variables,
            )
        )
    except TemplateError as error:
        raise SourceError(f"the chat template refused: {error}") from None
    except (
        ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError,
        ValueError,
    ) as error:  # fmt: skip
        kind = type(error).__name__
        raise SourceError(f"the chat template is broken: {kind}: {error}") from None


def _environment() -> ImmutableSandboxedEnvironment:
    """The environment that transformers gives to templates."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[loopcontrols],
        autoescape=False,  # the result is a prompt, not a page
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without the escapes for HTML that Jinja2's own filter adds."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
