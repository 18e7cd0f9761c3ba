"""Persistent collections for Python, with a C core.

A persistent collection never changes: an update returns a new one that shares nearly all of its
memory with the old one. `PMap` is the map, `PSet` the set; `pmap`, `m`, `pset` and `s` make
them, and their evolvers are the mutable builders.
"""

from collections.abc import Hashable, ItemsView, KeysView, Mapping, Sequence, Set, ValuesView

from pstructs import errors
from pstructs._core import (
    PDeque,
    PList,
    PMap,
    PMapEvolver,
    PSet,
    PSetEvolver,
    PVector,
    PVectorEvolver,
    dq,
    l,
    m,
    partition,
    pdeque,
    plist,
    pmap,
    pset,
    pvector,
    s,
    stable_hash,
    v,
)
from pstructs._core import PMapItems as _PMapItems
from pstructs._core import PMapKeys as _PMapKeys
from pstructs._core import PMapValues as _PMapValues
from pstructs._transformations import dec, discard, get_in, inc, ny, rex
from pstructs.bags import PBag, b, pbag
from pstructs.conversions import convert, freeze, mutant, thaw
from pstructs.diffs import ABSENT, Diff, diff, patch
from pstructs.merging import merge, merge_nested

__version__ = "0.1.0"
__all__ = [
    "ABSENT",
    "Diff",
    "PBag",
    "PDeque",
    "PList",
    "PMap",
    "PMapEvolver",
    "PSet",
    "PSetEvolver",
    "PVector",
    "PVectorEvolver",
    "b",
    "convert",
    "dec",
    "diff",
    "discard",
    "dq",
    "errors",
    "freeze",
    "get_in",
    "inc",
    "l",
    "m",
    "merge",
    "merge_nested",
    "mutant",
    "ny",
    "partition",
    "patch",
    "pbag",
    "pdeque",
    "plist",
    "pmap",
    "pset",
    "pvector",
    "rex",
    "s",
    "stable_hash",
    "thaw",
    "v",
]

Mapping.register(PMap)
Hashable.register(PMap)
Set.register(PSet)
Hashable.register(PSet)
Sequence.register(PDeque)
Hashable.register(PDeque)
Sequence.register(PList)
Hashable.register(PList)
Sequence.register(PVector)
Hashable.register(PVector)
KeysView.register(_PMapKeys)
ValuesView.register(_PMapValues)
ItemsView.register(_PMapItems)
