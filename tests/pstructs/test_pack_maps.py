"""Maps and sets in packs: read in place, changed, compared, and saved in increments."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pstructs import _core, diff, errors, m, merge, patch, pmap, pset, s
from pstructs.packs import Pack, PackWriter, dumps, loads, open_pack
from support.pack_reader import Map, Reader, Set
from support.pack_tools import devour, sample

DATA = Path(__file__).parent.parent / "data"


class Shelf:
    """Packs by short id: the smallest store."""

    def __init__(self) -> None:
        self.packs: dict[bytes, Pack] = {}
        self.asked: list[bytes] = []

    def resolve(self, short_id: bytes) -> Pack | None:
        self.asked.append(short_id)
        return self.packs.get(short_id)

    def save(self, value: Any) -> tuple[Pack, PackWriter]:
        writer = PackWriter(value, importable=lambda p: p.owner is self)
        pack = self.open(bytes(writer.image))
        writer.adopt(pack)
        return pack, writer

    def open(self, image: bytes) -> Pack:
        pack = Pack.from_buffer(image, trusted=True, resolve=self.resolve, owner=self)
        self.packs[pack.uuid[:8]] = pack
        return pack


@pytest.fixture(params=["trusted", "untrusted", "file"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Any], Any]:
    def through(value: Any) -> Any:
        if request.param == "file":
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.pack"
            path.write_bytes(dumps(value))
            return open_pack(path).root()
        return loads(dumps(value), trusted=request.param == "trusted")

    return through


@pytest.mark.parametrize("n", [0, 1, 2, 31, 1000, 5000])
def test_every_entry_is_found_in_place(n: int, reopen: Callable[[Any], Any]) -> None:
    entries = {f"key {i}": i for i in range(n)} | {i: str(i) for i in range(n)}
    back = reopen(pmap(entries))
    assert len(back) == len(entries)
    for key, value in entries.items():
        assert back[key] == value
    for i in range(n):
        assert f"no {i}" not in back
        assert -1 - i not in back
    assert back == entries
    assert dict(back.items()) == entries
    assert hash(back) == hash(pmap(entries))


def test_set_in_a_pack_answers_as_in_memory(reopen: Callable[[Any], Any]) -> None:
    values = {*range(500), *map(str, range(500)), b"x", (1, 2), None}
    back = reopen(pset(values))
    assert back == values
    assert all(v in back for v in values)
    assert "no" not in back
    assert back | {9999} == values | {9999}
    assert back & {1, "no"} == {1}
    assert back - set(range(500)) == values - set(range(500))


def test_long_and_non_ascii_keys_are_found(reopen: Callable[[Any], Any]) -> None:
    words = [
        "é" * 20,
        "日本",
        "🎉",
        "a" * 31,
        "a" * 32,
        "b" * 255,
        "b" * 256,
        "c" * 70000,
        "\udc80",
    ]
    keys = [*words, *(w.encode("utf-8", "surrogatepass") for w in words)]
    back = reopen(pmap({k: i for i, k in enumerate(keys)}))
    assert [back[k] for k in keys] == list(range(len(keys)))
    assert "é" * 19 not in back
    assert "\udc81" not in back


def test_numbers_are_found_by_value(reopen: Callable[[Any], Any]) -> None:
    back = reopen(
        pmap({1: "one", 2.0: "two", Decimal(3): "three", 10**30: "big", True + 3: "four"})
    )
    for key in (1, 1.0, True, Decimal(1), Fraction(1), 1 + 0j):
        assert back[key] == "one"
    for key in (2, 2.0, Fraction(2)):
        assert back[key] == "two"
    assert back[3] == "three"
    assert back[10**30] == back[Decimal(10**30)] == "big"
    assert 2.5 not in back
    assert 10**30 + 1 not in back
    assert 2**64 + 1 not in back
    for n in (0, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1):
        for k in (n, -n):
            assert reopen(pmap({k: 1}))[k] == 1
            assert k + 1 not in reopen(pmap({k: 1}))


def test_updates_on_an_opened_pack_equal_those_in_memory(reopen: Callable[[Any], Any]) -> None:
    rng = random.Random(5)
    heap = pmap({f"k{i}": i for i in range(2000)})
    back = reopen(heap)
    for _ in range(300):
        key = f"k{rng.randrange(2500)}"
        if rng.random() < 0.5:
            heap, back = heap.set(key, key), back.set(key, key)
        else:
            heap, back = heap.discard(key), back.discard(key)
    assert back == heap
    assert dict(back) == dict(heap)
    _core._check(back)
    evolver = back.evolver()
    for i in range(0, 2500, 2):
        evolver[f"k{i}"] = i
    assert evolver.persistent() == heap.update({f"k{i}": i for i in range(0, 2500, 2)})


def test_old_value_is_unchanged_by_updates() -> None:
    back = loads(dumps(sample()))
    before = dict(back)
    for key in list(back)[:50]:
        back.set(key, 0)
        back.remove(key)
    assert dict(back) == before


def test_diff_patch_and_merge_work_across_packs(reopen: Callable[[Any], Any]) -> None:
    base = pmap({f"k{i}": i for i in range(1000)})
    a, b = base.set("k1", -1).remove("k2"), base.set("k3", -3)
    saved = [reopen(x) for x in (base, a, b)]
    assert diff(saved[0], saved[1]) == diff(base, a)
    assert patch(saved[0], diff(saved[0], saved[1])) == a
    assert merge(*saved) == merge(base, a, b)
    assert (saved[1] | saved[2]) == (a | b)


def test_nested_collections_open_lazily() -> None:
    inner = pmap({i: pset([i]) for i in range(300)})
    back = loads(dumps(m(inner=inner, copy=[inner, {"x": inner}])), trusted=True)
    assert back["inner"] == inner
    assert back["inner"][5] == s(5)
    assert back["copy"][1]["x"].set(1, 2) == inner.set(1, 2)


def test_equal_values_have_equal_digests_whatever_their_history() -> None:
    entries = [(f"k{i}", [i, (i,)]) for i in range(500)]
    a = pmap(entries)
    b = pmap(entries[::-1]).set("extra", 1).remove("extra")
    c = loads(dumps(a)).set("k1", 0).set("k1", [1, (1,)])
    digests = {PackWriter(x).root_digest for x in (a, b, c, loads(dumps(b)))}
    assert len(digests) == 1
    assert PackWriter(a.set("k1", 0)).root_digest not in digests
    # Nested, and in another place of the pack.
    nested = {PackWriter([x, {1: x}]).root_digest for x in (a, b, c)}
    assert len(nested) == 1
    assert PackWriter(pset([1])).root_digest != PackWriter(m(a=1)).root_digest


def test_image_is_reproducible_with_a_given_uuid() -> None:
    value = sample()
    assert bytes(PackWriter(value, uuid=b"u" * 16).image) == bytes(
        PackWriter(loads(dumps(value)), uuid=b"u" * 16).image
    )


def test_map_that_holds_its_older_versions_is_saved_with_sharing() -> None:
    a = pmap({i: i for i in range(400)})
    b = a.set(0, a).set(1, a)
    c = b.set(399, b)
    image = dumps(c)
    assert loads(image) == c
    assert loads(image)[399][0] == a
    assert len(image) < 2 * len(dumps(a))


# ---- increments


def test_second_save_writes_only_what_is_new() -> None:
    shelf = Shelf()
    value = pmap({f"k{i}": i for i in range(20_000)})
    first, w1 = shelf.save(value)
    changed = value.set("k7", -7)
    second, w2 = shelf.save(changed)
    assert second.imports == (first.uuid[:8],)
    assert w2.new_records <= 7
    assert second.nbytes < 1500
    assert w1.new_records > 1000
    assert second.root() == changed
    assert second.root_digest == PackWriter(changed).root_digest
    third, w3 = shelf.save(changed)
    assert w3.new_records == 1
    assert third.root() == changed
    fourth, w4 = shelf.save(third.root().set("k8", 1))
    assert w4.new_records <= 7
    assert fourth.root() == changed.set("k8", 1)


def test_many_versions_stay_small_and_right() -> None:
    rng = random.Random(3)
    shelf = Shelf()
    value = pmap({f"k{i}": i for i in range(3000)})
    model = dict(value)
    pack, _ = shelf.save(value)
    for step in range(200):
        key = f"k{rng.randrange(3300)}"
        value = pack.root() if step % 3 else value
        if rng.random() < 0.3:
            value, _ = value.discard(key), model.pop(key, None)
        else:
            value, model[key] = value.set(key, [step]), [step]
        pack, writer = shelf.save(value)
        assert len(writer.image) < 1500
    assert pack.root() == model
    assert dict(pack.root()) == model
    assert pack.verify() > 0
    alone = PackWriter(pack.root())
    assert alone.imports == ()
    assert loads(alone.image) == model
    assert alone.root_digest == pack.root_digest


def test_importable_is_asked_once_a_pack_and_decides() -> None:
    shelf = Shelf()
    pack, _ = shelf.save(pmap({i: i for i in range(1000)}))
    asked = []

    def refuse(p: Pack) -> bool:
        asked.append(p)
        return False

    writer = PackWriter(pack.root().set(5, 6), importable=refuse)
    assert asked == [pack]
    assert writer.imports == ()
    assert loads(writer.image) == pmap({i: i for i in range(1000)} | {5: 6})


def test_values_out_of_line_and_arrays_are_imported_and_copied() -> None:
    np = pytest.importorskip("numpy")
    shelf = Shelf()
    value = pmap({i: "x" * 3000 + str(i) for i in range(40)} | {"a": np.arange(5000)})
    value = value.set("m", pmap({1: ["y" * 3000, s(1, 2)]}))
    first, _ = shelf.save(value)
    second, _ = shelf.save(first.root().set("new", 1))
    assert second.nbytes < 2000
    root = second.root()
    assert root["a"].sum() == np.arange(5000).sum()
    assert (root[7], root["m"]) == (value[7], value["m"])
    assert second.verify() > 0
    alone = loads(dumps(root))
    assert alone["a"].tolist() == list(range(5000))
    assert alone["m"] == value["m"]
    assert alone[39] == value[39]


def test_missing_import_is_named() -> None:
    shelf = Shelf()
    first, _ = shelf.save(pmap({i: i for i in range(1000)}))
    image = bytes(PackWriter(first.root().set(1, 2), importable=lambda p: True).image)
    for resolve in (None, lambda short_id: None):
        pack = Pack.from_buffer(image, trusted=True, resolve=resolve)
        with pytest.raises(errors.MissingPackError, match=first.uuid[:8].hex()):
            devour(pack.root())
        with pytest.raises(errors.MissingPackError, match=first.uuid[:8].hex()):
            Pack.from_buffer(image, resolve=resolve)
    other, _ = shelf.save(s(1))
    with pytest.raises(errors.MissingPackError, match="another pack"):
        devour(Pack.from_buffer(image, trusted=True, resolve=lambda i: other).root())
    with pytest.raises(TypeError, match="resolve must return"):
        devour(Pack.from_buffer(image, trusted=True, resolve=lambda i: 5).root())
    assert devour(shelf.open(image).root())


def test_resolver_error_passes_through() -> None:
    first = Pack.from_buffer(dumps(pmap({i: i for i in range(100)})))
    image = PackWriter(first.root().set(1, 2), importable=lambda p: True).image

    def fail(short_id: bytes) -> Pack:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        devour(Pack.from_buffer(image, trusted=True, resolve=fail).root())


def test_failed_save_changes_nothing_and_the_next_works() -> None:
    shelf = Shelf()
    value = pmap({i: i for i in range(500)})
    bad = value.set("bad", object())
    with pytest.raises(errors.UnsavableValueError):
        shelf.save(bad)
    with pytest.raises(ZeroDivisionError):
        PackWriter(shelf.save(value)[0].root(), importable=lambda p: 1 / 0)
    _, writer = shelf.save(value)
    assert writer.new_records == 1


def test_adopt_refuses_another_pack() -> None:
    writer = PackWriter(m(a=1))
    with pytest.raises(ValueError, match="adopt"):
        writer.adopt(Pack.from_buffer(dumps(m(a=1))))
    with pytest.raises(TypeError, match="Pack"):
        writer.adopt(5)


# ---- lifetime


def test_pack_lives_as_long_as_a_slot_reaches_into_it() -> None:
    pack = Pack.from_buffer(dumps(pmap({i: str(i) for i in range(2000)})))
    gone = weakref.ref(pack)
    root = pack.root()
    del pack
    derived = root.set(1, "x")
    del root
    gc.collect()
    assert gone() is not None
    assert derived[7] == "7"
    iterator = iter(derived.items())
    next(iterator)
    del derived
    assert len(list(iterator)) == 1999
    del iterator
    gc.collect()
    assert gone() is None


def test_pack_and_owner_in_a_cycle_are_collected() -> None:
    shelf = Shelf()
    first, _ = shelf.save(pmap({i: i for i in range(100)}))
    shelf.save(first.root().set(1, 2))
    gone = [weakref.ref(p) for p in shelf.packs.values()]
    del shelf, first
    gc.collect()
    assert [r() for r in gone] == [None, None]


def test_ids_of_closed_packs_are_used_again() -> None:
    image = dumps(m(a=[1]))
    for _ in range(3):
        packs = [Pack.from_buffer(image, trusted=True) for _ in range(200)]
        random.Random(1).shuffle(packs)
        assert all(p.root()["a"] == [1] for p in packs)
        del packs[::2]
        assert all(p.root()["a"] == [1] for p in packs)


def test_long_chain_of_imports_is_released_without_recursion() -> None:
    value = m(a=1)
    packs: dict[bytes, Pack] = {}
    for i in range(30_000):
        writer = PackWriter(value.set("b", i) if i % 2 else [value], importable=lambda p: True)
        pack = Pack.from_buffer(writer.image, trusted=True, resolve=packs.pop, owner=None)
        packs = {pack.uuid[:8]: pack}
        root = pack.root()
        value = root if i % 2 else root[0]
        devour(value)
    del value, packs, pack, writer, root
    gc.collect()


# ---- the specification


def neutral(value: Any) -> Any:
    if isinstance(value, Map):
        return pmap({k: neutral(v) for k, v in value.entries})
    if isinstance(value, Set):
        return pset(value.elements)
    if isinstance(value, list):
        return [neutral(v) for v in value]
    return value


def test_python_reader_agrees_on_whole_packs() -> None:
    shelf = Shelf()
    value = sample(2000)
    readers: dict[bytes, Reader] = {}
    for _ in range(3):
        pack, _ = shelf.save(value)
        reader = Reader(bytes(memoryview(pack)), readers.__getitem__)
        readers[pack.uuid[:8]] = reader
        assert neutral(reader.root()) == value
        assert (reader.uuid, reader.root_digest) == (pack.uuid, pack.root_digest)
        assert len(reader.records) == pack.verify()
        value = value.set("key 1", value["key 1"] + 1).set("new", [s(1)])


@pytest.mark.skipif(_core.HASH_DOMAIN != 1, reason="the golden pack is of hash domain 1")
def test_golden_pack_is_written_and_read_as_ever() -> None:
    golden = (DATA / "golden-v1.pack").read_bytes()
    value = sample(50)
    assert loads(golden) == value
    assert bytes(PackWriter(value, uuid=bytes(range(16))).image) == golden
    assert Reader(golden).root_digest == PackWriter(value).root_digest
