"""Persistent collections for Python, with a C core.

A persistent collection never changes: an update returns a new one that shares nearly all of its
memory with the old one. `PMap` is the map, `PSet` the set and `PVector` the sequence; `pmap`,
`m`, `pset`, `s`, `pvector` and `v` make them, and their evolvers are the mutable builders.
`PSortedMap` and `PSortedSet` keep their keys in order; `PDeque`, `PList` and `PBag` are
pyrsistent's, as are the records (`PRecord`, `PClass`) and `freeze`, `thaw` and `get_in`.
`History` undoes, `Atom` is the one thing that changes.
"""

from collections.abc import Hashable, ItemsView, KeysView, Mapping, Sequence, Set, ValuesView

from pstructs import errors
from pstructs._checked_collections import CheckedPMap, CheckedPSet
from pstructs._checked_types import (
    CheckedKeyTypeError,
    CheckedType,
    CheckedTypeError,
    CheckedValueTypeError,
    InvariantException,
    PTypeError,
    optional,
)
from pstructs._checked_vector import CheckedPVector, pvector_field
from pstructs._core import (
    PDeque,
    PList,
    PMap,
    PMapEvolver,
    PSet,
    PSetEvolver,
    PSortedMap,
    PSortedMapEvolver,
    PSortedSet,
    PSortedSetEvolver,
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
    psortedmap,
    psortedset,
    pvector,
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
from pstructs._field import field, pmap_field, pset_field
from pstructs._immutable import immutable
from pstructs._packable import packable
from pstructs._pclass import PClass, PClassMeta
from pstructs._precord import PRecord
from pstructs._transformations import dec, discard, get_in, inc, ny, rex
from pstructs.atom import Atom
from pstructs.bags import PBag, b, pbag
from pstructs.conversions import convert, freeze, mutant, thaw
from pstructs.cursors import Cursor
from pstructs.deriving import Derived, derived
from pstructs.diffs import ABSENT, Diff, diff, patch
from pstructs.history import History, Step
from pstructs.merging import merge, merge_nested
from pstructs.vector_diffs import VectorDiff

__version__ = "0.1.0"
__all__ = [
    "ABSENT",
    "Atom",
    "CheckedKeyTypeError",
    "CheckedPMap",
    "CheckedPSet",
    "CheckedPVector",
    "CheckedType",
    "CheckedTypeError",
    "CheckedValueTypeError",
    "Cursor",
    "Derived",
    "Diff",
    "History",
    "InvariantException",
    "PBag",
    "PClass",
    "PClassMeta",
    "PDeque",
    "PList",
    "PMap",
    "PMapEvolver",
    "PRecord",
    "PSet",
    "PSetEvolver",
    "PSortedMap",
    "PSortedMapEvolver",
    "PSortedSet",
    "PSortedSetEvolver",
    "PTypeError",
    "PVector",
    "PVectorEvolver",
    "Step",
    "VectorDiff",
    "b",
    "convert",
    "dec",
    "derived",
    "diff",
    "discard",
    "dq",
    "errors",
    "field",
    "freeze",
    "get_in",
    "immutable",
    "inc",
    "l",
    "m",
    "merge",
    "merge_nested",
    "mutant",
    "ny",
    "optional",
    "packable",
    "partition",
    "patch",
    "pbag",
    "pdeque",
    "plist",
    "pmap",
    "pmap_field",
    "pset",
    "pset_field",
    "psortedmap",
    "psortedset",
    "pvector",
    "pvector_field",
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
Mapping.register(PSortedMap)
Hashable.register(PSortedMap)
Set.register(PSortedSet)
Hashable.register(PSortedSet)
KeysView.register(_PSortedMapKeys)
ValuesView.register(_PSortedMapValues)
ItemsView.register(_PSortedMapItems)
