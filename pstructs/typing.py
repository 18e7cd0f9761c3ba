"""The names of `pyrsistent.typing`, for annotations.

Here they are the collections themselves, which are generic: `PVector[str]` in an annotation
needs no import from this module. It is there for programs that were written for pyrsistent.
"""

from pstructs._core import (
    PDeque,
    PList,
    PMap,
    PMapEvolver,
    PSet,
    PSetEvolver,
    PVector,
    PVectorEvolver,
)
from pstructs.bags import PBag

__all__ = [
    "PBag",
    "PDeque",
    "PList",
    "PMap",
    "PMapEvolver",
    "PSet",
    "PSetEvolver",
    "PVector",
    "PVectorEvolver",
]
