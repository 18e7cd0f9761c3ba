"""What the fuzzer does with each input works on its seeds, and on some that are damaged."""

from __future__ import annotations

import random
from pathlib import Path

from fuzz.pack_reading import read_pack, write_seeds

from pstructs import _core
from support.pack_tools import mutate


def test_every_use_of_a_pack_works_on_the_fuzzers_seeds(tmp_path: Path) -> None:
    write_seeds(str(tmp_path))
    images = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert len(images) > 30
    rng = random.Random(5)
    for image in images:
        read_pack(image)
        for _ in range(0 if "debug" in _core.BUILD else 3):  # it aborts where a pack lies
            read_pack(mutate(image, rng))
