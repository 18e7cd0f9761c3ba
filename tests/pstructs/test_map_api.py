"""What a PMap promises, method by method."""

from __future__ import annotations

import collections
import copy
import pickle
import types
import weakref
from collections.abc import Hashable, Mapping
from operator import add, ge, gt, le, lt
from typing import Any

import pytest

import pstructs
from pstructs import PMap, _core, m, pmap, pset

SIZES = [0, 1, 2, 10, 33, 1000]


class DuckMapping:
    """keys() and [] only, as dict() accepts."""

    def __init__(self, d: dict[Any, Any]) -> None:
        self.d = d

    def keys(self) -> Any:
        return self.d.keys()

    def __getitem__(self, key: Any) -> Any:
        return self.d[key]


def data(n: int) -> dict[Any, Any]:
    return {(i if i % 2 else f"k{i}"): i * i for i in range(n)}


# ---- construction


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(
    "source",
    [
        dict,
        lambda d: list(d.items()),
        lambda d: tuple(d.items()),
        lambda d: iter(d.items()),
        lambda d: [list(pair) for pair in d.items()],
        collections.OrderedDict,
        collections.UserDict,
        types.MappingProxyType,
        DuckMapping,
        pmap,
        lambda d: pmap(d).items(),
    ],
)
def test_every_source_gives_the_same_map(n: int, source: Any) -> None:
    d = data(n)
    for make in (pmap, PMap):
        got = make(source(d))
        assert got == d
        assert len(got) == n
        assert dict(got) == d
        assert got == pmap(d)
        _core._check(got)


def test_keywords_become_entries() -> None:
    assert m(a=1, b=2) == {"a": 1, "b": 2}
    assert PMap(a=1) == {"a": 1}
    assert PMap({"a": 1, "b": 1}, b=2) == {"a": 1, "b": 2}
    assert PMap([("a", 1)], initial=2) == {"a": 1, "initial": 2}
    assert m() == {} and PMap() == {} and pmap() == {}


def test_pmap_takes_pyrsistents_parameters() -> None:
    assert pmap(initial={"a": 1}, pre_size=16) == {"a": 1}
    assert pmap({"a": 1}, 8) == {"a": 1}
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        pmap(size=1)  # type: ignore[call-overload]


def test_the_empty_map_is_one_object() -> None:
    assert pmap() is pmap({}) is m() is PMap([]) is m(a=1).remove("a")


def test_a_map_from_a_map_is_itself() -> None:
    a = m(a=1)
    assert pmap(a) is a
    assert PMap(a) is a


def test_a_repeated_key_keeps_the_first_key_and_the_last_value() -> None:
    one = pmap([(1, "a"), (True, "b"), (1.0, "c")])
    assert list(one.items()) == [(1, "c")]
    assert type(next(iter(one))) is int
    assert type(next(iter(one.set(True, "d")))) is int
    assert type(next(iter(one | {1.0: "e"}))) is int


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        (5, TypeError, "a map is made from a mapping or from .* pairs, not from int"),
        ([1], TypeError, "element 0 of the pairs is a int"),
        ([(1, 2), (1, 2, 3)], ValueError, "element 1 of the pairs has length 3"),
        ([()], ValueError, "length 0"),
        ([([], 1)], TypeError, "unhashable"),
        ({"a": 1}.keys(), ValueError, "length 1"),
    ],
)
def test_what_is_no_mapping_is_refused(source: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        pmap(source)


def test_too_many_arguments_are_refused() -> None:
    with pytest.raises(TypeError):
        PMap({}, {})  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="keyword arguments only"):
        m({})  # type: ignore[call-arg]


# ---- lookup


@pytest.mark.parametrize("n", SIZES)
def test_lookup_finds_what_is_there_and_nothing_else(n: int) -> None:
    d = data(n)
    a = pmap(d)
    for k, v in d.items():
        assert a[k] == v and a.get(k) == v and k in a
    for k in ["no", -1, 2.5, None, ("k0",)]:
        assert k not in a and a.get(k) is None and a.get(k, 7) == 7
        assert a.get(k, default=8) == 8
        with pytest.raises(KeyError) as error:
            a[k]
        assert error.value.args == (k,)


def test_an_unhashable_key_is_a_type_error() -> None:
    a: PMap[Any, Any] = m(a=1)
    for do in (a.get, a.__getitem__, a.__contains__, a.remove, a.discard, lambda k: a.set(k, 1)):
        with pytest.raises(TypeError, match="unhashable"):
            do([])


def test_attributes_reach_keys_but_methods_come_first() -> None:
    a = m(alpha=1, get=2)
    assert a.alpha == 1
    assert callable(a.get) and a["get"] == 2
    with pytest.raises(AttributeError, match="beta"):
        _ = a.beta
    assert not hasattr(a, "beta")
    assert a.__getattr__("alpha") == 1
    with pytest.raises(AttributeError):
        a.alpha = 3
    with pytest.raises(AttributeError):
        a.gamma = 3


# ---- updates


@pytest.mark.parametrize("n", SIZES)
def test_updates_leave_the_old_map_alone(n: int) -> None:
    d = data(n)
    a = pmap(d)
    assert a.set("new", 1) == {**d, "new": 1}
    assert a == d
    for k in list(d)[:5]:
        without = {x: y for x, y in d.items() if x != k}
        assert a.set(k, "other") == {**d, k: "other"}
        assert a.remove(k) == without
        assert a.discard(k) == without
        assert a == d
    assert a.update({"x": 1}, [("y", 2)], m(x=3)) == {**d, "x": 3, "y": 2}
    assert a == d


def test_an_update_that_changes_nothing_returns_the_map_itself() -> None:
    value = object()
    a = m(a=value)
    assert a.set("a", value) is a
    assert a.discard("b") is a
    assert a.update() is a
    assert a.update({}) is a
    assert a | {} is a
    assert a | a is a
    assert a.update({"a": value}) is a


def test_remove_of_a_missing_key_is_a_key_error() -> None:
    with pytest.raises(KeyError) as error:
        m(a=1).remove("b")
    assert error.value.args == ("b",)
    with pytest.raises(KeyError) as error:
        m().remove((1, 2))
    assert error.value.args == ((1, 2),)


def test_set_and_get_take_keywords() -> None:
    assert m().set(key="a", val=1) == {"a": 1}
    assert m(a=1).get(key="b", default=2) == 2
    with pytest.raises(TypeError, match="missing required argument 'val'"):
        m().set("a")  # type: ignore[call-arg]


def test_update_with_calls_the_function_on_old_and_new() -> None:
    a = m(a=1, b=2)
    assert a.update_with(add, {"a": 10}, {"a": 100, "c": 5}) == {"a": 111, "b": 2, "c": 5}
    assert a.update_with(lambda left, right: left, m(a=5)) == a
    assert a.update_with(add) is a
    assert a.update_with(add, [("d", 1), ("d", 2)]) == {"a": 1, "b": 2, "d": 3}
    with pytest.raises(ZeroDivisionError):
        a.update_with(lambda left, right: 1 // 0, {"a": 1})
    assert a == {"a": 1, "b": 2}


@pytest.mark.parametrize("other", [{}, {"a": 5}, {"z": 1}, {i: i for i in range(50)}])
@pytest.mark.parametrize("kind", [dict, pmap, types.MappingProxyType, collections.UserDict])
def test_or_and_plus_join_with_any_mapping_from_both_sides(other: Any, kind: Any) -> None:
    d = {"a": 1, "b": 2, 7: 7}
    for op in (lambda x, y: x | y, lambda x, y: x + y):
        assert op(pmap(d), kind(other)) == {**d, **other}
    reflected = kind(other) | pmap(d)
    assert reflected == {**other, **d}
    assert type(pmap(d) | kind(other)) is PMap


def test_or_with_what_is_no_mapping_is_a_type_error() -> None:
    a: Any = m(a=1)
    for other in (1, [("a", 1)], "ab", None):
        with pytest.raises(TypeError):
            a | other
        with pytest.raises(TypeError):
            other + a


# ---- protocols


def test_maps_are_registered_with_the_abstract_classes() -> None:
    assert isinstance(m(), Mapping) and isinstance(m(), Hashable)
    assert issubclass(PMap, Mapping)


def test_equality_goes_by_contents_with_any_mapping() -> None:
    d = {"a": 1, "b": [2]}
    a: Any = pmap(d)
    for other in (d, pmap(d), collections.OrderedDict(d), collections.UserDict(d)):
        assert a == other and other == a
        assert not a != other and not other != a
    for other in ({}, {"a": 1}, {"a": 1, "b": [3]}, {"a": 1, "c": [2]}, collections.UserDict()):
        assert a != other and other != a
        assert not a == other
    assert a != 5 and a != [("a", 1)] and a != None and a != pset("ab")  # noqa: E711
    assert pmap({1: True}) == {True: 1.0}


def test_values_are_compared_by_identity_first() -> None:
    nan = float("nan")
    assert m(a=nan) == m(a=nan) and m(a=nan) == {"a": nan}


def test_order_is_refused() -> None:
    for op in (lt, le, gt, ge):
        with pytest.raises(TypeError, match="PMaps are not orderable"):
            op(m(a=1), m(b=1))


def test_reversed_is_refused_and_says_what_to_do() -> None:
    for what in (m(a=1), m(a=1).keys(), m(a=1).values(), m(a=1).items()):
        with pytest.raises(TypeError, match=r"hash order.*sorted\("):
            reversed(what)  # type: ignore[call-overload]


def test_equal_maps_have_equal_hashes() -> None:
    d = data(100)
    a, b = pmap(d), pmap(dict(reversed(list(d.items()))))
    assert hash(a) == hash(b) == hash(a)
    assert hash(a) == hash(frozenset(d.items()))
    assert hash(pmap({1: 2})) == hash(pmap({True: 2.0}))
    assert len({a, b, a.set("x", 1)}) == 2


def test_an_unhashable_value_is_named_by_hash() -> None:
    with pytest.raises(TypeError, match=r"value of key 'bad'.*'list'") as error:
        hash(m(a=1, bad=[]))
    assert isinstance(error.value.__cause__, TypeError)


def test_repr_shows_the_entries() -> None:
    assert repr(m()) == "pmap({})"
    assert repr(m(a=1)) == str(m(a=1)) == "pmap({'a': 1})"
    assert eval(repr(pmap({1: "x", "y": (2,)}))) == {1: "x", "y": (2,)}


def test_repr_of_a_map_in_itself_ends() -> None:
    inner: list[Any] = []
    a = m(a=inner)
    inner.append(a)
    assert repr(a) == "pmap({'a': [pmap({...})]})"


def test_an_exception_in_repr_comes_through_and_repr_works_again() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    a = m(a=Bad())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no repr"):
            repr(a)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_round_trips_under_every_protocol(protocol: int) -> None:
    for n in SIZES:
        a = pmap(data(n))
        again = pickle.loads(pickle.dumps(a, protocol))
        assert again == a and type(again) is PMap
        assert repr(again) == repr(a)


def test_copies() -> None:
    inner = [1]
    a = m(a=inner)
    assert a.copy() is a and copy.copy(a) is a
    deep = copy.deepcopy(a)
    assert deep == a and deep.a is not inner and type(deep) is PMap


def test_match_statement_takes_maps_apart() -> None:
    match m(kind="point", x=1, y=2):
        case {"kind": "line"}:
            raise AssertionError
        case {"kind": "point", "x": x, **rest}:
            assert x == 1 and rest == {"y": 2}
        case _:
            raise AssertionError


def test_weak_references_die_with_the_map() -> None:
    a = m(a=[])
    gone: list[int] = []
    ref = weakref.ref(a, lambda _: gone.append(1))
    assert ref() is a
    del a
    assert ref() is None and gone == [1]


def test_class_getitem_makes_a_generic_alias() -> None:
    alias = PMap[str, int]
    assert isinstance(alias, types.GenericAlias) and alias.__args__ == (str, int)
    assert alias({"a": 1}) == {"a": 1}


def test_truth_is_by_length() -> None:
    assert not m() and m(a=0)


def test_iteration_in_all_its_forms() -> None:
    d = data(50)
    a = pmap(d)
    assert set(a) == set(a.iterkeys()) == set(d)
    assert sorted(a.itervalues()) == sorted(d.values())
    assert set(a.iteritems()) == set(d.items())
    it = iter(a)
    assert it.__length_hint__() == 50
    next(it)
    assert it.__length_hint__() == 49
    assert len(list(it)) == 49
    assert it.__length_hint__() == 0
    with pytest.raises(StopIteration):
        next(it)
    with pytest.raises(StopIteration):
        next(it)


def test_an_iterator_outlives_its_map() -> None:
    it = pmap(data(100)).iteritems()
    assert dict(it) == data(100)


def test_items_gives_new_tuples_when_they_are_kept() -> None:
    pairs = list(pmap(data(100)).items())
    assert len(set(map(id, pairs))) == 100
    assert dict(pairs) == data(100)
    it = iter(m(a=1, b=2).items())
    first = next(it)
    kept = (first[0], first[1])
    second = next(it)
    assert first == kept and second != kept


# ---- subclasses


class Tagged(PMap):  # type: ignore[type-arg]
    def __new__(cls, source: Any = (), tag: str = "") -> Tagged:
        self = super().__new__(cls, source)
        self.tag = tag
        return self

    def shout(self) -> str:
        return self.tag.upper()


class Plain(PMap):  # type: ignore[type-arg]
    pass


def test_a_subclass_keeps_its_attributes_and_methods() -> None:
    t = Tagged({"a": 1}, "x")
    assert t == {"a": 1} and t.a == 1 and t.tag == "x" and t.shout() == "X"
    t.tag = "y"
    assert t.shout() == "Y"
    assert isinstance(t, PMap) and isinstance(t, Mapping)
    assert repr(t) == "pmap({'a': 1})"


def test_operations_on_a_subclass_return_plain_maps() -> None:
    t = Tagged({"a": 1}, "x")
    for made in (t.set("b", 1), t.remove("a"), t | {"c": 1}, t.update({"b": 2}), {"c": 1} | t):
        assert type(made) is PMap
    assert t.evolver().set("b", 1).persistent() == {"a": 1, "b": 1}
    assert t.discard("zz") is t
    assert type(pmap(t)) is PMap and pmap(t) == t


def test_a_subclass_pickles_with_its_attributes() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        t = Tagged({"a": 1}, "x")
        again = pickle.loads(pickle.dumps(t, protocol))
        assert type(again) is Tagged and again == t and again.tag == "x"
        assert type(pickle.loads(pickle.dumps(Plain(a=1), protocol))) is Plain
    deep = copy.deepcopy(Tagged({"a": [1]}, "x"))
    assert type(deep) is Tagged and deep.tag == "x" and deep.a == [1]


def test_a_subclass_may_override_and_call_the_base() -> None:
    class Default(PMap):  # type: ignore[type-arg]
        def __getitem__(self, key: Any) -> Any:
            try:
                return super().__getitem__(key)
            except KeyError:
                return "default"

        def __or__(self, other: Any) -> Any:
            return Default(super().__or__(other))

        def __getattr__(self, name: str) -> Any:
            return f"no {name}"

    d = Default({"a": 1})
    assert d["a"] == 1 and d["z"] == "default"
    assert type(d | {"b": 1}) is Default
    assert d.missing == "no missing"


def test_the_types_cannot_be_changed_and_views_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        PMap.extra = 1  # type: ignore[attr-defined]
    for cls in (type(m().keys()), type(iter(m())), pstructs.PMapEvolver, pstructs.PSetEvolver):
        with pytest.raises(TypeError):
            cls()


# ---- partition and stable hash


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("parts", [1, 2, 3, 7, 64])
def test_partitions_are_disjoint_and_complete(n: int, parts: int) -> None:
    for whole in (pmap(data(n)), pset(data(n))):
        union: Any = whole.copy()
        seen = 0
        for i in range(parts):
            part: Any = pstructs.partition(whole, i, parts)
            _core._check(part)
            assert type(part) is type(whole)
            seen += len(part)
            union = union | part
        assert seen == n and union == whole


def test_a_partition_that_does_not_exist_is_refused() -> None:
    for i, n in ((0, 0), (-1, 2), (2, 2)):
        with pytest.raises(ValueError, match="there is no part"):
            pstructs.partition(m(a=1), i, n)
    with pytest.raises(TypeError, match="PMap or PSet"):
        pstructs.partition({}, 0, 1)  # type: ignore[call-overload]


def test_maps_are_keys_by_content() -> None:
    a, b = pmap(data(40)), pmap(dict(reversed(list(data(40).items()))))
    table = pmap({a: "found"})
    assert table[b] == "found"
    assert pstructs.stable_hash(a) == pstructs.stable_hash(b)
    assert pstructs.stable_hash(a) != pstructs.stable_hash(a.set("z", 1))
    assert pstructs.stable_hash(pset([1, 2])) == pstructs.stable_hash(frozenset([1, 2]))
    assert pmap({frozenset([1, 2]): 1})[pset([2, 1])] == 1
