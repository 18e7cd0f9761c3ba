"""Versions written anew: what compaction and erasing do to packs.

A history saved one change at a time lies in as many packs, each with pointers into those before
it. Rewritten, it is one *trunk* and a tiny pack a version:

    trunk      one pack, a map of numbers to the values of all versions. What two versions share
               in the old packs is met twice and written once
    version    a pack of its own with nothing but the root, which points into the trunk. Its
               digest is the same as before, so the version keeps its id

Nothing in here changes the store: the packs are images in memory until someone commits them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pstructs import pmap
from pstructs.cache.adding import Image
from pstructs.packs import Pack, PackWriter

if TYPE_CHECKING:
    from pstructs.cache.folder import Folder
    from pstructs.cache.version import Version

__all__ = ["Moved", "Rewritten", "rewrite", "written"]


@dataclass(frozen=True, slots=True)
class Moved:
    """A version and what its row is to say: the pack, and the digest and length of the value."""

    version: Version
    image: Image
    root: bytes
    entries: int | None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What `rewrite` made: packs in the order in which they need each other, and who uses them."""

    images: tuple[Image, ...]
    moved: tuple[Moved, ...]


def _image(writer: PackWriter) -> Image:
    # a copy: the writer holds on to nodes, and so to the packs that these lie in
    return Image(writer.uuid, memoryview(bytes(writer.image)), writer.imports)


def rewrite(
    folder: Folder,
    versions: Sequence[Version],
    change: Callable[[Version, Any], Any] | None = None,
    stays: Callable[[Pack], bool] | None = None,
) -> Rewritten:
    """Write the values of versions anew, in the caller's `using`.

    Parameters
    ----------
    folder : Folder
    versions : sequence of Version
    change : callable, optional
        Takes a version and its value and returns the value to write in its place.
    stays : callable, optional
        Says of a pack whether the new ones may point into it; else everything is copied.

    Notes
    -----
    *Cost*: O(bytes of the versions), and as much memory as the new packs take.
    """
    values: dict[str, Any] = {}
    for version in versions:
        # versions that an undo made have the pack of another one
        if version.pack not in values:
            value = folder.open_pack(bytes.fromhex(version.pack)).root()
            values[version.pack] = value if change is None else change(version, value)
    return written(folder, versions, values, stays)


def written(
    folder: Folder,
    versions: Sequence[Version],
    values: Mapping[str, Any],
    stays: Callable[[Pack], bool] | None = None,
) -> Rewritten:
    """Write values for versions, given by the packs that the versions name now; see `rewrite`."""
    writer = PackWriter(pmap(values), importable=stays)
    images, made = [_image(writer)], dict[str, tuple[Image, bytes, int | None]]()
    trunk = folder.attach(bytes(images[0].data))
    roots = trunk.root()

    def importable(pack: Pack) -> bool:
        return pack is trunk or (stays is not None and stays(pack))

    for name in values:
        root = roots[name]
        part = PackWriter(root, importable=importable)
        images.append(_image(part))
        made[name] = images[-1], part.root_digest, len(root) if isinstance(root, Sized) else None
    return Rewritten(tuple(images), tuple(Moved(v, *made[v.pack]) for v in versions))
