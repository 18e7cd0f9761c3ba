"""One sample of every collection, out of the table that the adapters use."""

from __future__ import annotations

from typing import Any

import pytest

from pstructs.interop.kinds import KINDS, Kind, Shape

MAPPINGS = [kind for kind in KINDS if kind.shape is Shape.MAPPING]
SETS = [kind for kind in KINDS if kind.shape is Shape.SET]
SEQUENCES = [kind for kind in KINDS if kind.shape is Shape.SEQUENCE]


def every(kinds: tuple[Kind, ...] | list[Kind] = KINDS) -> Any:
    """Run a test once for each kind, as its argument `kind`."""
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.cls.__name__)


def sample(kind: Kind, *elements: Any) -> Any:
    """A collection of the elements: the keys of a mapping, each its own value."""
    if kind.shape is Shape.MAPPING:
        return kind.make(dict(zip(elements, elements, strict=True)))
    return kind.make(list(elements))


def annotation(kind: Kind, part: Any) -> Any:
    """`PMap[part, part]` or `PSet[part]`."""
    return kind.cls[part, part] if kind.shape is Shape.MAPPING else kind.cls[part]
