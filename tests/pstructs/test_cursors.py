"""Cursors: a part of the value of an atom behaves as an atom of its own."""

from __future__ import annotations

from typing import Any

import pytest

from pstructs import ABSENT, Atom, m, pmap
from pstructs.errors import InvalidValueError, MissingPathError, WatchError
from support.threads import run_together
from support.wilful_keys import EqKeyError, Key, raising


class Row(tuple):  # type: ignore[type-arg]
    """A sequence with a persistent `set`, as vectors have one."""

    def set(self, index: int, value: Any) -> Row:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        changed = list(self)
        changed[index] = value
        return Row(changed)


class Record:
    """A value with fields and `set(name, value)`, as record classes have one."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def set(self, name: str, value: Any) -> Record:
        return Record(**{**self.__dict__, name: value})


def inc(n: int, by: int = 1) -> int:
    return n + by


def shop() -> Atom[Any]:
    return Atom(m(stock=m(fig=m(n=7), pear=m(n=2)), rows=Row([m(x=1), m(x=2)]), open=True))


def test_a_cursor_reads_and_changes_its_part_only() -> None:
    atom = shop()
    before = atom.value
    n = atom.cursor("stock", "fig", "n")
    assert n.value == n.deref() == 7
    assert n.reset(8) == 8 and n.swap(inc, by=2) == 10 and n.swap_vals(inc) == (10, 11)
    assert n.reset_vals(3) == (11, 3)
    assert atom.value == before.set("stock", before["stock"].set("fig", m(n=3)))
    assert atom.value["rows"] is before["rows"]
    assert atom.value["stock"]["pear"] is before["stock"]["pear"]
    assert before["stock"]["fig"]["n"] == 7


def test_paths_go_through_sequences_and_records() -> None:
    atom = shop()
    x = atom.cursor("rows", 1, "x")
    assert x.swap(inc) == 3
    assert atom.cursor("rows", -1, "x").value == 3
    assert atom.value["rows"] == (m(x=1), m(x=3)) and type(atom.value["rows"]) is Row
    atom.reset(Record(point=Record(x=1)))
    assert atom.cursor("point", "x").reset(5) == 5
    assert atom.value.point.x == 5


def test_a_cursor_of_a_cursor_goes_on_from_there() -> None:
    atom = shop()
    fig = atom.cursor("stock").cursor("fig")
    assert fig.path == ("stock", "fig") and fig.atom is atom
    assert fig == atom.cursor("stock", "fig") and hash(fig) == hash(atom.cursor("stock", "fig"))
    assert fig != shop().cursor("stock", "fig") and fig != atom.cursor("stock") and fig != 1
    assert "stock/fig" in repr(fig)


def test_the_empty_path_is_the_whole_value() -> None:
    atom = Atom(1)
    cursor = atom.cursor()
    assert cursor.value == 1 and cursor.swap(inc) == 2 == atom.value
    assert cursor.compare_and_set(cursor.value, 9) and atom.value == 9


def test_what_is_not_there_raises_with_the_place_or_reads_as_the_default() -> None:
    atom = shop()
    value = atom.value
    with pytest.raises(MissingPathError, match=r"PMap has no 'plum' \(level 2 of the path"):
        atom.cursor("stock", "plum", "n").deref()
    with pytest.raises(MissingPathError, match="Row has no 7"):
        atom.cursor("rows", 7).swap(inc)
    with pytest.raises(LookupError):
        atom.cursor("rows", 0, "x", "deeper").reset_vals(0)
    assert atom.cursor("stock", "plum", "n", default=0).value == 0
    assert atom.cursor("stock", "plum", default=None).value is None
    assert atom.value is value


def test_setting_what_is_not_there_makes_maps_on_the_way() -> None:
    atom = shop()
    atom.cursor("a", "b", "c").reset(1)
    assert atom.value["a"] == m(b=m(c=1))
    assert atom.cursor("visits", "/", default=0).swap(inc) == 1
    assert atom.value["visits"] == {"/": 1}
    with pytest.raises(IndexError):
        atom.cursor("rows", 5).reset(0)


def test_a_level_that_cannot_be_set_is_named() -> None:
    atom = Atom(m(plain={"a": 1}))
    with pytest.raises(TypeError, match="dict has no set"):
        atom.cursor("plain", "a").reset(2)
    with pytest.raises(TypeError, match="int has no set"):
        Atom(m(a=1)).cursor("a", "b").reset(2)
    assert atom.value == m(plain={"a": 1})


def test_compare_and_set_is_about_the_part() -> None:
    atom = shop()
    fig = atom.cursor("stock", "fig")
    seen = fig.value
    atom.cursor("stock", "pear", "n").reset(0)  # another part
    assert fig.compare_and_set(m(n=7), m(n=1)) is False  # equal, and not the one
    assert fig.compare_and_set(seen, m(n=1)) is True
    assert fig.compare_and_set(seen, m(n=2)) is False
    assert atom.cursor("nothing").compare_and_set(None, 1) is False
    nothing = object()
    assert atom.cursor("new", default=nothing).compare_and_set(nothing, 1) is True
    assert atom.value["new"] == 1


def test_compare_and_set_goes_on_when_another_part_changes_meanwhile() -> None:
    atom = shop()
    fig = atom.cursor("stock", "fig")
    once = [True]

    def validator(value: Any) -> bool:
        if once and value["stock"]["fig"] == m(n=1):
            once.clear()
            atom.cursor("open").reset(False)
        return True

    atom.set_validator(validator)
    assert fig.compare_and_set(fig.value, m(n=1)) is True
    assert atom.value["open"] is False and fig.value == m(n=1)


def test_what_a_function_or_validator_raises_leaves_the_value_as_it_was() -> None:
    atom = shop()
    value = atom.value
    with pytest.raises(ZeroDivisionError):
        atom.cursor("open").swap(lambda flag: 1 // 0)
    atom.set_validator(lambda value: value["open"] is True)
    with pytest.raises(InvalidValueError):
        atom.cursor("open").reset(False)
    assert atom.value is value


def test_keys_that_raise_change_nothing() -> None:
    atom = Atom(pmap({Key("a", 1): 1, Key("b", 1): 2}))
    value = atom.value
    cursor = atom.cursor(Key("b", 1))
    with raising(eq_after=0):
        for call in (cursor.deref, lambda: cursor.reset(3), lambda: cursor.swap(inc)):
            with pytest.raises(EqKeyError):
                call()
    assert atom.value is value and cursor.value == 2


def test_watches_of_a_cursor_are_told_of_its_part_only() -> None:
    atom = shop()
    fig = atom.cursor("stock", "fig", "n")
    seen: list[Any] = []
    fig.add_watch("log", lambda *args: seen.append(args))
    atom.cursor("open").reset(False)
    atom.cursor("stock", "pear", "n").reset(9)
    assert seen == []
    fig.reset(8)
    assert seen == [("log", fig, 7, 8)]
    atom.cursor("stock").swap(lambda stock: stock.remove("fig"))
    assert seen[-1] == ("log", fig, 8, ABSENT)
    atom.cursor("stock", "pear", "n").add_watch("log", lambda *args: seen.append(args))
    fig.remove_watch("log")
    fig.reset(1)
    assert len(seen) == 2 and len(atom.watches) == 1


def test_a_watch_of_a_cursor_that_raises_is_told_as_one_of_the_atom() -> None:
    atom = shop()
    atom.cursor("open").add_watch("bad", lambda *args: 1 // 0)
    atom.cursor("rows", 0).reset(m(x=5))
    with pytest.raises(WatchError):
        atom.cursor("open").reset(False)
    assert atom.value["open"] is False


def test_swaps_of_different_parts_by_threads_are_all_kept() -> None:
    atom = Atom(pmap(dict.fromkeys(range(4), 0)))

    def work(n: int) -> None:
        part = atom.cursor(n)
        for _ in range(250):
            part.swap(inc)

    run_together([lambda n=n: work(n) for n in (0, 1, 2, 3, 0, 1)])
    assert atom.value == {0: 500, 1: 500, 2: 250, 3: 250}
