"""Packs hold values of many types and give back exactly what was saved."""

from __future__ import annotations

import enum
import math
import sys
from collections import OrderedDict, namedtuple
from typing import Any

import hypothesis.strategies as st
import msgpack
import numpy as np
import pytest
from hypothesis import given

from pstructs import PMap, errors, m, pmap, pset, s
from pstructs.packs import Opaque, Pack, PackWriter, dumps, loads, register_codec
from support.pack_tools import CONTAINERS, SCALARS


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, float):
        return math.copysign(1, a) == math.copysign(1, b)
    return repr(a) == repr(b) or not isinstance(a, list | tuple | dict)


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("value", SCALARS + CONTAINERS, ids=lambda v: repr(v)[:30])
def test_value_comes_back_with_its_type(value: Any, trusted: bool) -> None:
    assert same(loads(dumps(value), trusted=trusted), value)
    inside = loads(dumps(m(k=value, l=[value])), trusted=trusted)
    assert same(inside["k"], value)
    assert same(inside["l"][0], value)


def test_nan_comes_back() -> None:
    assert math.isnan(loads(dumps(math.nan)))


def test_fold_and_zone_of_a_datetime_come_back() -> None:
    value = next(v for v in SCALARS if getattr(v, "fold", 0) and hasattr(v, "year"))
    back = loads(dumps(value))
    assert (back.fold, back.tzinfo.key) == (value.fold, value.tzinfo.key)


keys = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.complex_numbers(allow_nan=False) | st.decimals(allow_nan=False)
    | st.fractions() | st.dates() | st.datetimes() | st.times() | st.timedeltas() | st.uuids(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4),
    max_leaves=5,
)  # fmt: skip
values = st.recursive(
    keys | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(keys, inner, max_size=5)
        | st.sets(keys, max_size=4)
        | st.dictionaries(keys, inner, max_size=5).map(pmap)
        | st.sets(keys, max_size=5).map(pset)
    ),
    max_leaves=12,
)


@given(values)
def test_any_value_comes_back(value: Any) -> None:
    image = dumps(value)
    assert loads(image) == value
    assert loads(image, trusted=True) == value


@given(st.dictionaries(keys, values, max_size=60))
def test_any_map_comes_back_and_is_found_in_place(entries: dict[Any, Any]) -> None:
    back = loads(dumps(pmap(entries)))
    assert back == entries
    for key, value in entries.items():
        assert key in back
        assert back[key] == value


@given(st.integers())
def test_integers_are_as_short_as_messagepack_makes_them(n: int) -> None:
    if -(2**63) <= n < 2**64:
        assert root_message(n) == msgpack.packb(n)


def root_message(value: Any) -> bytes:
    image = dumps(value)
    offset, length = (int.from_bytes(image[a : a + 8], "little") for a in (56, 64))
    return image[offset + 29 : offset + length]


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(plain)
def test_plain_values_are_plain_messagepack(value: Any) -> None:
    assert root_message(value) == msgpack.packb(value)


def test_extension_types_are_readable_with_an_ext_hook() -> None:
    def hook(code: int, data: bytes) -> Any:
        if 16 <= code < 32:
            return (code, msgpack.unpackb(data, ext_hook=hook, strict_map_key=False))
        return (code, data)

    message = root_message([(1, (2,)), 10**30, {3}, "\ud800"])
    got = msgpack.unpackb(message, ext_hook=hook)
    assert got == [
        (16, [1, (16, [2])]),
        (3, (10**30).to_bytes(13, "big")),
        (18, [3]),
        (5, b"\xed\xa0\x80"),
    ]


# ---- numpy

DTYPES = ["?", "i1", "<i4", ">i4", "u8", "f2", "f4", ">f8", "c8", "c16", "S5", "U3", "M8[ns]"]


@pytest.mark.parametrize("dtype", [*DTYPES, "m8[D]", "M8"])
def test_array_comes_back_read_only_and_aligned(dtype: str) -> None:
    array = np.arange(24).astype("i8").astype(dtype).reshape(2, 3, 4)
    for a in (array, array[:, ::2], np.asfortranarray(array), array[:0], array[0, 0, 0:1]):
        image = dumps(m(pad="x", a=a))
        back = loads(image)["a"]
        assert back.dtype == a.dtype
        assert back.shape == a.shape
        assert np.array_equal(back, a) or back.dtype.kind in "mM"
        assert back.tobytes() == a.tobytes()
        assert not back.flags.writeable


def test_zero_dimensional_array_comes_back() -> None:
    assert loads(dumps(np.array(5.5))).shape == ()


def test_array_is_a_view_that_keeps_its_pack(tmp_path: Any) -> None:
    path = tmp_path / "a.pack"
    path.write_bytes(dumps(m(a=np.arange(1000), s="x" * 77)))
    array = Pack.from_file(path).root()["a"]
    path.unlink()
    assert array.ctypes.data % 64 == 0
    assert array.sum() == 499500
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_scalar_comes_back_with_its_dtype(dtype: str) -> None:
    x = np.array([65]).astype(dtype)[0]
    back = loads(dumps([x]))[0]
    assert back == x
    assert back.dtype == x.dtype


@pytest.mark.parametrize(
    "array",
    [np.array([object()]), np.zeros(2, "i4,f4"), np.zeros(1, "V3"), np.zeros(1, np.longdouble)],
)
def test_dtype_that_packs_cant_hold_is_refused(array: Any) -> None:
    with pytest.raises(errors.UnsavableValueError, match="dtype"):
        dumps(array)


def test_numpy_integers_as_keys_are_saved_as_the_ints_they_equal() -> None:
    back = loads(dumps(pmap({np.int64(5): "five"})))
    assert back[5] == "five"
    assert back[np.int32(5)] == "five"


# ---- user types


class Money:
    def __init__(self, cents: int, unit: str) -> None:
        self.cents, self.unit = cents, unit

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.cents, self.unit))


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Unregistered:
    pass


register_codec(Money, "test.Money", lambda x: (x.cents, x.unit), lambda x: Money(*x), key=True)
register_codec(Color, "test.Color", lambda c: c.name, lambda n: Color[n], key=True)


def test_registered_type_comes_back() -> None:
    back = loads(dumps([Money(5, "EUR"), Color.RED]))
    assert back == [Money(5, "EUR"), Color.RED]


def test_registered_types_are_keys_too() -> None:
    value = pmap({Money(i, "EUR"): i for i in range(200)} | {c: c.name for c in Color})
    back = loads(dumps(value))
    assert back[Money(7, "EUR")] == 7
    assert back[Color.BLUE] == "BLUE"
    assert Money(-1, "X") not in back
    assert back == value


def unregistered_image() -> bytes:
    image = dumps(m(a=Money(5, "EUR"), b=pmap({Color.RED: [Color.BLUE]}), c=1))
    from support.pack_tools import reseal

    return reseal(
        image.replace(b"test.Money", b"test.Funny").replace(b"test.Color", b"test.Honor")
    )


def test_value_without_its_codec_is_opaque_and_saved_again_unchanged() -> None:
    image = unregistered_image()
    back = loads(image)
    opaque = back["a"]
    assert isinstance(opaque, Opaque)
    assert opaque.name == "test.Funny"
    assert opaque == loads(image)["a"]
    assert len({opaque, loads(image)["a"]}) == 1
    again = loads(dumps(m(a=opaque)))
    assert again["a"] == opaque
    assert dumps(m(a=opaque)).count(b"test.Funny") == 1
    assert loads(dumps(back.set("d", 2))) == back.set("d", 2)


def test_opaque_keys_iterate_but_a_search_for_them_says_to_register() -> None:
    inner = loads(unregistered_image())["b"]
    (key,) = inner
    assert isinstance(key, Opaque)
    with pytest.raises(errors.CodecError, match=r"test\.Honor.*register_codec"):
        inner[key]
    assert loads(dumps(inner)).keys() is not None


@pytest.mark.parametrize(
    "value",
    [Opaque(1, bytes(8)), Opaque(16, b"\xd7\x01" + bytes(8)), Opaque(2, bytes(9)), Opaque(3, b"")]
    + [Opaque(20, b"z"), Opaque(19, [1]), Opaque(26, [1]), Opaque(99, "text"), Opaque(128, b"")],
    ids=repr,
)
def test_opaque_value_that_would_be_read_as_another_is_not_saved(value: Opaque) -> None:
    with pytest.raises(errors.CodecError):
        dumps([value])


def test_unknown_extension_type_is_opaque_and_saved_again_unchanged() -> None:
    value = [Opaque(77, b"whatever"), Opaque(15, b"\xc1 not a message"), Opaque(12, b"")]
    back = loads(dumps(value))
    assert back == value
    assert root_message(back) == root_message(value)


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "value",
    [Unregistered(), object(), Point(1, 2), OrderedDict(a=1), enum.IntEnum("E", "A")(1), range(3),
     len, type, memoryview(b"x"), type("Sub", (PMap,), {})()],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_unsavable_value_is_refused_with_its_type_and_the_remedy(value: Any) -> None:
    with pytest.raises(errors.UnsavableValueError, match=type(value).__name__) as e:
        dumps(pmap({"the key": [value]}))
    assert "register_codec" in str(e.value)
    assert "'the key'" in str(e.value)


def test_unsavable_key_is_refused_with_its_type_and_the_remedy() -> None:
    with pytest.raises(errors.UnsavableKeyError, match="Unregistered") as e:
        dumps(pmap({Unregistered(): 1}))
    assert "register_codec" in str(e.value)


def test_two_nan_keys_are_refused_and_one_is_found() -> None:
    with pytest.raises(errors.UnsavableKeyError, match="NaN"):
        dumps(pmap({float("nan"): 1, float("nan"): 2}))
    assert loads(dumps(pmap({float("nan"): 1})))[float("nan")] == 1


def test_keys_of_plain_subclasses_are_saved_as_what_they_equal() -> None:
    class Name(str):
        __slots__ = ()

    back = loads(dumps(pmap({Name("a"): 1, Point(1, 2): 2})))
    assert back == {"a": 1, (1, 2): 2}
    assert {type(k) for k in back} == {str, tuple}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((int, "n", int, int), "without a codec"),
        ((Money, "other", int, int), "another name"),
        ((Unregistered, "test.Money", int, int), "belongs to"),
        (("x", "n", int, int), "class"),
        ((Unregistered, "", int, int), "name"),
        ((Unregistered, "u", 1, int), "two functions"),
    ],
)
def test_impossible_codec_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(errors.CodecError, match=message):
        register_codec(*arguments)


def test_codec_that_fails_names_itself() -> None:
    class Odd:
        pass

    def fail(x: Any) -> Any:
        raise LookupError("no such thing")

    register_codec(Odd, "test.Odd", lambda x: 1, fail)
    with pytest.raises(errors.CodecError, match=r"test\.Odd.*no such thing"):
        loads(dumps(Odd()))


# ---- depth


@pytest.mark.parametrize(
    "make", [lambda x: [x], lambda x: (x,), lambda x: {"k": x}, lambda x: m(k=x)]
)
def test_deep_values_raise_recursion_error(make: Any) -> None:
    value: Any = 1
    for _ in range(100_000):
        value = make(value)
    with pytest.raises(RecursionError):
        PackWriter(value)
    while value != 1 and not isinstance(value, PMap):
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]


def test_value_that_contains_itself_raises_recursion_error() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RecursionError):
        dumps(loop)


def test_deep_value_that_could_be_saved_can_be_read() -> None:
    value: Any = 1
    for _ in range(400):
        value = [value]
    back = loads(dumps(value))
    for _ in range(400):
        (back,) = back
    assert back == 1


def test_list_that_changes_while_it_is_saved_is_refused() -> None:
    class Bomb:
        pass

    values = [1, Bomb(), 2]
    register_codec(Bomb, f"test.Bomb{id(Bomb)}", lambda b: values.clear(), lambda x: x)
    with pytest.raises(RuntimeError, match="changed its size"):
        dumps(values)


def test_saving_does_not_keep_its_input_alive() -> None:
    key, value = "k" * 50, ["v" * 50]
    before = sys.getrefcount(value)
    writer = PackWriter(pmap({key: value}))
    del writer
    assert sys.getrefcount(value) == before
    assert loads(dumps(s(1))) == s(1)
