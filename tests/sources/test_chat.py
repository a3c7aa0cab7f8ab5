from __future__ import annotations

import re

import pytest

from sangbo.errors import SourceError
from sangbo.sources.chat import render

MESSAGES = [{"role": "user", "content": "<b> & 세계"}, {"role": "assistant", "content": "ok"}]


def test_blocks_are_trimmed_and_nothing_is_escaped() -> None:
    template = (
        "{% for m in messages %}\n    {% if m.role == 'user' %}\n[{{ m['content'] }}]\n"
        "    {% endif %}\n{% endfor %}\n{% if add_generation_prompt %}>{% endif %}"
    )
    assert render(template, MESSAGES, True, {}) == "[<b> & 세계]\n>"
    assert render(template, MESSAGES, False, {}) == "[<b> & 세계]\n"


def test_what_transformers_offers_is_there() -> None:
    template = (
        "{{ bos_token }}{{ messages[0] | tojson }}{% for m in messages %}{% break %}{% endfor %}"
        "{{ strftime_now('%Y') }}{{ tools is none }}{{ documents is none }}"
    )
    found = render(template, MESSAGES, True, {"bos_token": "<s>"})
    assert re.fullmatch(r'<s>\{"role": "user", "content": "<b> & 세계"\}\d{4}TrueTrue', found)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% for", "chat template"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe|not safely"),
        ("{{ messages[9].content.x }}", "undefined|no element"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ messages + 1 }}", "TypeError"),
        ("{{ range(10**9) | list }}", "Range too big|OverflowError"),
        ("{% include 'other' %}", "chat template"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "Recursion"),
        ("{{ 'a'.encode('latin-1', 'x').decode('y') }}", "LookupError"),
        ("{{ open('/etc/passwd') }}", "undefined"),
    ],
)
def test_hostile_templates_are_refused(template: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        render(template, MESSAGES, True, {})


def test_template_cannot_change_the_messages() -> None:
    template = "{% set _ = messages[0].update({'content': 'x'}) %}"
    with pytest.raises(SourceError, match=r"unsafe|not safely"):
        render(template, MESSAGES, True, {})
    assert MESSAGES[0]["content"] == "<b> & 세계"
