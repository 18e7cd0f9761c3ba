"""Persistent collections for Python, with a C core.

A persistent collection never changes: an update returns a new one that shares nearly all of its
memory with the old one. `PMap` is the map, `PSet` the set; `pmap`, `m`, `pset` and `s` make
them, and their evolvers are the mutable builders. `PSortedMap` and `PSortedSet` keep their keys
in order; `psortedmap` and `psortedset` make them.
"""

from collections.abc import Hashable, ItemsView, KeysView, Mapping, Sequence, Set, ValuesView

from pstructs import errors
from pstructs._core import (
    PMap,
    PMapEvolver,
    PSet,
    PSetEvolver,
    PVector,
    PVectorEvolver,
    PSortedMap,
    PSortedMapEvolver,
    PSortedSet,
    PSortedSetEvolver,
    m,
    partition,
    pmap,
    pset,
    pvector,
    psortedmap,
    psortedset,
    s,
    stable_hash,
    v,
)
from pstructs._core import PMapItems as _PMapItems
from pstructs._core import PMapKeys as _PMapKeys
from pstructs._core import PMapValues as _PMapValues
from pstructs._core import PSortedMapItems as _PSortedMapItems
from pstructs._core import PSortedMapKeys as _PSortedMapKeys
from pstructs._core import PSortedMapValues as _PSortedMapValues
from pstructs.atom import Atom
from pstructs.cursors import Cursor
from pstructs.deriving import Derived, derived
from pstructs.diffs import ABSENT, Diff, diff, patch
from pstructs.history import History, Step
from pstructs.merging import merge, merge_nested

__version__ = "0.1.0"
__all__ = [
    "ABSENT",
    "Atom",
    "Cursor",
    "Derived",
    "Diff",
    "History",
    "PMap",
    "PMapEvolver",
    "PSet",
    "PSetEvolver",
    "PVector",
    "PVectorEvolver",
    "PSortedMap",
    "PSortedMapEvolver",
    "PSortedSet",
    "PSortedSetEvolver",
    "Step",
    "derived",
    "diff",
    "errors",
    "m",
    "merge",
    "merge_nested",
    "partition",
    "patch",
    "pmap",
    "pset",
    "pvector",
    "psortedmap",
    "psortedset",
    "s",
    "stable_hash",
    "v",
]

Mapping.register(PMap)
Hashable.register(PMap)
Set.register(PSet)
Hashable.register(PSet)
Sequence.register(PVector)
Hashable.register(PVector)
KeysView.register(_PMapKeys)
ValuesView.register(_PMapValues)
ItemsView.register(_PMapItems)
Mapping.register(PSortedMap)
Hashable.register(PSortedMap)
Set.register(PSortedSet)
Hashable.register(PSortedSet)
KeysView.register(_PSortedMapKeys)
ValuesView.register(_PSortedMapValues)
ItemsView.register(_PSortedMapItems)
