"""`packable`: records of every kind go into packs and come back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import (
    CheckedPMap,
    CheckedPSet,
    CheckedPVector,
    PClass,
    PRecord,
    field,
    immutable,
    m,
    packable,
    pmap,
    pmap_field,
    pset,
    pset_field,
    pvector_field,
    stable_hash,
)
from pstructs.errors import CodecError, UnsavableKeyError, UnsavableValueError
from pstructs.packs import Opaque, dumps, loads
from support.pack_tools import reseal

attrs = pytest.importorskip("attrs")


@packable("test.records.Point")
@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: Any = 0
    kind: ClassVar[str] = "point"


@packable("test.records.Circle")
@attrs.frozen
class Circle:
    _center: Any
    radius: float = 1.0
    area: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "area", self.radius**2 * 3)


@packable("test.records.Pair")
class Pair(NamedTuple):
    left: Any
    right: Any = None


@packable("test.records.Triple")
class Triple(immutable("a, b, c_")):  # type: ignore[misc]
    pass


@packable("test.records.Item")
class Item(PClass):
    name = field(type=str, mandatory=True)
    price = field(type=(int, float))
    tags = pset_field(str)
    sizes = pvector_field(int)
    stock = pmap_field(str, int, optional=True)
    part = field(type=f"{__name__}.Order")


@packable("test.records.Order")
class Order(PRecord):
    number = field(type=int, mandatory=True, invariant=lambda n: (n > 0, "not positive"))
    items = pvector_field(Item)
    note = field(factory=str)


@packable("test.records.Tag")
class Tag(PRecord):
    label = field(type=str)
    weight = field(type=int, initial=1)


@packable("test.records.Names")
class Names(CheckedPSet[str]):
    __type__ = str


@packable("test.records.Ages")
class Ages(CheckedPMap[str, int]):
    __key_type__ = str
    __value_type__ = int


@packable("test.records.Steps")
class Steps(CheckedPVector[int]):
    __type__ = int
    __invariant__ = lambda n: (n >= 0, "backwards")  # noqa: E731


ITEM = Item(name="a", price=1.5, tags=["x"], sizes=[1, 2], stock={"here": 3})
ORDER = Order(number=1, items=[ITEM, Item(name="b", part=Order(number=2))], note=5)
VALUES = [
    Point(1, (2, "x")),
    Circle((0, 0), 2.0),
    Pair(1, Pair(2)),
    Triple(1, 2, c_=3),
    ITEM,
    ORDER,
    Names(["a", "b"]),
    Ages({"a": 1}),
    Steps([1, 2, 3]),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_record_comes_back_equal_and_of_its_class(value: Any) -> None:
    for saved in (value, [value], m(a=value), {"deep": [m(a=[value])]}):
        back = loads(dumps(saved))
        assert back == saved
    back = loads(dumps(value))
    assert type(back) is type(value)
    if isinstance(value, PClass | PRecord):
        assert [type(x) for x in back._to_dict().values()] == [
            type(x) for x in value._to_dict().values()
        ]


@given(st.lists(st.tuples(st.text(), st.integers(0), st.lists(st.text())), max_size=5))
def test_drawn_records_come_back(rows: Any) -> None:
    items = [Item(name=n, price=p, tags=t, sizes=[p]) for n, p, t in rows]
    order = Order(number=1, items=items, note="n")
    back = loads(dumps(pmap({"order": order, "items": items})))
    assert back["order"] == order and back["items"] == items


KEYS = [Point(1, "y"), Circle(3), ITEM, Pair(1, 2), Tag(label="a")]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_a_record_is_a_key_on_disk_too(key: Any) -> None:
    saved = pmap({key: 1, "other": 2}) | {i: i for i in range(100)}
    back = loads(dumps(saved))
    assert back[key] == 1 and back == saved
    assert key in loads(dumps(pset([key, *range(50)])))
    assert isinstance(stable_hash(key), int)


def test_keys_hash_by_name_and_fields() -> None:
    @packable("test.records.Point2")
    @dataclass(frozen=True)
    class Other:
        x: int
        y: Any = 0

    assert stable_hash(Point(1)) == stable_hash(Point(True + 0, 0.0))
    assert stable_hash(Point(1)) != stable_hash(Other(1))
    assert Point(1) != Other(1) and len(pset([Point(1), Other(1), (1, 0)])) == 3


def test_a_named_tuple_is_a_plain_tuple_as_a_key() -> None:
    assert stable_hash(Pair(1, 2)) == stable_hash((1, 2))
    back = loads(dumps(pmap({Pair(1, 2): Pair(3, 4)})))
    assert back[1, 2] == (3, 4) == back[Pair(1, 2)]
    assert [type(k) for k in back] == [tuple] and type(back[1, 2]) is Pair


def test_a_precord_is_a_map_as_a_key() -> None:
    back = loads(dumps(pmap({Tag(label="a"): 1})))
    assert back[pmap({"label": "a", "weight": 1})] == 1 == back[Tag(label="a")]
    assert [type(k) for k in back] == [type(pmap())]


def test_a_key_with_a_part_outside_the_hash_domain_works_in_memory() -> None:
    part = object()
    for key in (Point(part), Point((part,))):
        assert pmap({key: 1})[key] == 1
        with pytest.raises(UnsavableKeyError, match="'object'"):
            dumps(pmap({key: 1}))
    with pytest.raises(TypeError, match="unhashable"):
        pmap({Point([]): 1})


def test_a_value_that_a_field_holds_needs_a_codec_of_its_own() -> None:
    class Unknown(PClass):
        x = field()

    @dataclass(frozen=True)
    class Plain:
        x: int

    for value in (Unknown(x=1), Plain(1), Unknown(x=ORDER)):
        with pytest.raises(UnsavableValueError, match=type(value).__name__):
            dumps(m(a=value))
        with pytest.raises(UnsavableValueError, match=type(value).__name__):
            dumps(Pair(1, value))


def test_fields_with_a_default_may_be_added_later() -> None:
    @packable("test.records.Old")
    @dataclass(frozen=True)
    class Old:
        x: int

    @packable("test.records.New")
    @dataclass(frozen=True)
    class New:
        x: int
        y: int = 7

    image = reseal(dumps([Old(1)]).replace(b"test.records.Old", b"test.records.New"))
    assert loads(image) == [New(1, 7)]
    image = reseal(dumps([New(1, 2)]).replace(b"test.records.New", b"test.records.Old"))
    with pytest.raises(CodecError, match="no field 'y'"):
        loads(image)[0]


def test_what_breaks_the_rules_of_the_class_is_not_read() -> None:
    class Loose(CheckedPSet[Any]):
        pass

    packable("test.records.Loose")(Loose)
    image = reseal(dumps([Loose([1])]).replace(b"test.records.Loose", b"test.records.Names"))
    with pytest.raises(CodecError, match="CheckedValueTypeError"):
        loads(image)[0]


def test_without_its_codec_a_record_is_opaque() -> None:
    image = reseal(dumps([Point(1)]).replace(b"test.records.Point", b"test.records.Ghost"))
    (ghost,) = loads(image)
    assert isinstance(ghost, Opaque) and ghost.name == "test.records.Ghost"
    assert loads(dumps([ghost])) == [ghost]


class ByIdentity:
    pass


@dataclass
class Mutable:
    x: int


@dataclass(frozen=True, eq=False)
class NoEq:
    x: int


@dataclass(frozen=True)
class Partly:
    x: int
    y: int = dataclasses.field(default=0, compare=False)


@dataclass(frozen=True)
class OwnEq:
    x: int

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class OwnHash(PClass):
    x = field()

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (Mutable, "not hashable"),
        (NoEq, "identity"),
        (Partly, "don't count"),
        (OwnEq, "of its own"),
        (OwnHash, "of its own"),
    ],
)
def test_a_class_that_can_not_be_a_key_is_a_value_all_the_same(cls: Any, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        packable(f"test.records.{cls.__name__}", key=True)(cls)
    assert packable(f"test.records.{cls.__name__}")(cls) is cls
    back = loads(dumps([cls(x=1)]))[0]
    assert type(back) is cls and back.x == 1
    if cls is not Mutable:
        with pytest.raises(UnsavableKeyError):
            dumps(pmap({cls(x=1): 1}))


def test_what_can_not_be_read_off_is_refused() -> None:
    @dataclass(frozen=True)
    class Extra:
        x: int
        seed: dataclasses.InitVar[int]

    with pytest.raises(CodecError, match="'seed'"):
        packable("test.records.Extra")(Extra)
    with pytest.raises(CodecError, match="register_codec"):
        packable("test.records.ByIdentity")(ByIdentity)
    with pytest.raises(CodecError, match=r"@packable\('app\.Mutable'\)"):
        packable(Mutable)  # type: ignore[arg-type]
    with pytest.raises(CodecError, match="belongs to"):
        packable("test.records.Point")(ByIdentity)
    with pytest.raises(CodecError, match="without a codec"):
        packable("test.records.dict")(dict)


def test_a_class_may_be_for_values_only() -> None:
    @packable("test.records.ValueOnly", key=False)
    @dataclass(frozen=True)
    class ValueOnly:
        x: int

    assert loads(dumps([ValueOnly(1)])) == [ValueOnly(1)]
    with pytest.raises(UnsavableKeyError):
        dumps(pmap({ValueOnly(1): 1}))
