"""The real network, converted once for all acceptance tests."""

from __future__ import annotations

import time

import pytest

import sangbo
from sangbo.network import Network

NAME = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    folder = tmp_path_factory.mktemp("converted") / NAME
    start = time.monotonic()
    converted = sangbo.convert(NAME, folder)
    seconds = time.monotonic() - start
    assert seconds < 180, f"conversion took {seconds:.0f} s"
    return converted
