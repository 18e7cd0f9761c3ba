"""Bytes that travel through Ray without a copy.

Ray pickles with protocol 5 and stores out-of-band buffers beside the pickle, 64-byte aligned, in
the shared memory of the node. An object whose `__reduce_ex__` returns a `pickle.PickleBuffer`
therefore comes out of `ray.get` as a view of that memory: nothing is copied, however large it is.
`bytes` don't get this: they are copied into the pickle and out of it again, in every process.

The view is read-only in Python only. The page itself is writable, and a write through it would
change the object for every process of the node, so the C core reads packs and never writes there.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import SupportsIndex

__all__ = ["PackBuffer"]


class PackBuffer:
    """An immutable byte image on its way into or out of the object store.

    Parameters
    ----------
    data : bytes-like
        The bytes; not copied here, so they must not change any more.

    Examples
    --------
    >>> import pickle
    >>> buffers = []
    >>> sent = pickle.dumps(PackBuffer(b"x" * 1000), 5, buffer_callback=buffers.append)
    >>> len(sent) < 100
    True
    >>> pickle.loads(sent, buffers=buffers).view.nbytes
    1000
    """

    __slots__ = ("view",)

    view: memoryview
    """The bytes, read-only. Whoever holds it keeps the object in the store."""

    def __init__(self, data: bytes | bytearray | memoryview | pickle.PickleBuffer) -> None:
        self.view = memoryview(data).toreadonly()

    def __reduce_ex__(
        self, protocol: SupportsIndex
    ) -> tuple[Callable[..., PackBuffer], tuple[pickle.PickleBuffer | bytes]]:
        if int(protocol) >= 5:
            return PackBuffer, (pickle.PickleBuffer(self.view),)
        return PackBuffer, (bytes(self.view),)
