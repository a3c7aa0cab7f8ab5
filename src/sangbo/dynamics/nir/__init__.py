"""NIR graphs of other frameworks as networks, and networks as NIR graphs."""

from sangbo.dynamics.nir.exporting import to_nir
from sangbo.dynamics.nir.importing import Imported, from_nir

__all__ = ["Imported", "from_nir", "to_nir"]
