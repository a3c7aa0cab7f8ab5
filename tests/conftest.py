"""Settings that every test shares."""

from __future__ import annotations

from hypothesis import settings

# Machines that are busy with something else must not turn a slow example into a failure.
settings.register_profile("sangbo", deadline=None)
settings.load_profile("sangbo")
