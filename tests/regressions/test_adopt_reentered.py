"""A destructor that ran while nodes learned their new place called adopt() again: a crash.

The inner call freed the list that the outer one went on reading.
"""

from __future__ import annotations

import weakref

from pstructs import pmap
from pstructs.packs import Pack, PackWriter


def test_adopt_may_be_called_again_from_the_end_of_a_pack() -> None:
    first, second = pmap({i: str(i) for i in range(2000)}), pmap({str(i): i for i in range(3000)})
    writer = PackWriter(first)
    old = Pack.from_buffer(writer.image, trusted=True)
    writer.adopt(old)
    whole = PackWriter([first, second])  # first comes first, so old ends in the middle
    new = Pack.from_buffer(bytes(whole.image), trusted=True)
    again: list[object] = []
    ref = weakref.ref(old, lambda ref: again.append(whole.adopt(new)))
    del writer, old
    whole.adopt(new)
    assert ref() is None and again == [None]
    increment = PackWriter(second.set("x", 1), importable=lambda pack: pack is new)
    assert increment.imports == (new.uuid[:8],)
    assert Pack.from_buffer(increment.image, resolve=lambda i: new).root() == second.set("x", 1)
