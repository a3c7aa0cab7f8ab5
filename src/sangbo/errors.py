"""The one family of exceptions that Sangbo raises on purpose."""

from __future__ import annotations


class SangboError(Exception):
    """Something that the caller gave cannot be used; the message says what was expected."""


class GraphError(SangboError):
    """A graph, or the file that holds one, does not check."""


class SourceError(SangboError):
    """A network could not be read from where it comes from."""


class UnsupportedError(SangboError):
    """The network needs something that Sangbo does not have; the message names it."""


class ConversionError(SangboError):
    """A float graph could not be turned into a complementary one."""


class EngineError(SangboError):
    """An engine was given inputs that its graph does not take, or met a value it cannot carry."""


class ChipError(SangboError):
    """A chip, or the file that describes one, is not usable."""


class LedgerError(SangboError):
    """A ledger, or the file that holds one, is not usable."""


class CertificateError(SangboError):
    """A certificate, or the file that holds one, is not usable."""


class CodeError(SangboError):
    """A level cannot be written in a spike code, or the code has no such name."""


class PriceError(SangboError):
    """A price was asked for that cannot be worked out."""


class MissingExtraError(SangboError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class DataError(SangboError, ValueError):
    """A table, or a value in it, is not usable. A ``ValueError`` too, as scikit-learn expects."""


class SimulationError(SangboError):
    """A network of neurons cannot be built or run as it was described."""
