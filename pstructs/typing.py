"""The names of `pyrsistent.typing`, for annotations.

Here they are the collections themselves, which are generic: `PVector[str]` in an annotation
needs no import from this module. It is there for programs that were written for pyrsistent.
"""

from pstructs._checked_collections import CheckedPMap, CheckedPSet
from pstructs._checked_vector import CheckedPVector
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
    "CheckedPMap",
    "CheckedPSet",
    "CheckedPVector",
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
