"""transform and get_in: paths into nested values."""

from __future__ import annotations

from typing import Any

import pytest

from pstructs import (
    PClass,
    PRecord,
    _core,
    dec,
    discard,
    field,
    freeze,
    get_in,
    inc,
    m,
    ny,
    pmap,
    rex,
    v,
)

NEWS: Any = freeze(
    {"articles": [{"title": "rain", "n": 1}, {"title": "sun", "n": 2}], "count": 2, 5: "five"}
)


def test_a_path_of_keys_and_indices() -> None:
    after = NEWS.transform(["articles", 1, "n"], inc)
    assert after["articles"][1]["n"] == 3 and NEWS["articles"][1]["n"] == 2
    assert after["articles"][0] is NEWS["articles"][0]
    assert NEWS.transform(("count",), dec)["count"] == 1
    assert v(1, 2).transform([-1], 7) == v(1, 7)


def test_a_change_is_a_function_or_a_value() -> None:
    assert m(a=1).transform(["a"], "x") == m(a="x")
    assert m(a=1).transform(["a"], None) == m(a=None)
    assert m(a=1).transform([], lambda a: a.set("b", 2)) == m(a=1, b=2)
    assert m(a=1).transform([], 5) == 5
    assert m(a=1).transform() == m(a=1)


def test_several_changes_are_made_in_turn() -> None:
    assert m(a=1).transform(["a"], inc, ["a"], inc, ["b"], 0) == m(a=3, b=0)
    with pytest.raises(ValueError, match="the last path has no change"):
        m(a=1).transform(["a"], inc, ["a"])


def test_functions_pick_keys() -> None:
    assert NEWS.transform(["articles", ny, "n"], inc)["articles"][0]["n"] == 2
    assert NEWS.transform([rex("co")], 9)["count"] == 9
    assert NEWS.transform([rex(".*")], 0) == {"articles": 0, "count": 0, 5: "five"}
    big = NEWS.transform(["articles", lambda i, a: a["n"] > 1, "title"], str.upper)
    assert [a["title"] for a in big["articles"]] == ["rain", "SUN"]
    with_default = m(a=1, b=2).transform([lambda k, other="a": k == other], inc)
    assert with_default == m(a=2, b=2)


@pytest.mark.parametrize(
    "step", [lambda: True, lambda a, b, c: True, lambda *a: True, lambda *, a: True]
)
def test_a_function_of_another_number_of_arguments_is_refused(step: Any) -> None:
    with pytest.raises(ValueError, match="must take 1 or 2 arguments"):
        m(a=1).transform([step], 0)


def test_missing_keys_get_maps() -> None:
    assert pmap().transform(["a", "b", "c"], 1) == {"a": {"b": {"c": 1}}}
    assert v(1).transform([1, "a"], 2) == v(1, m(a=2))
    assert pmap().transform(["a"], pmap()) == {"a": pmap()}
    with pytest.raises(IndexError):
        v(1).transform([5], 2)


def test_discard_removes() -> None:
    assert m(a=1, b=2).transform(["a"], discard) == m(b=2)
    assert v(*range(9)).transform([lambda i: i % 2], discard) == v(0, 2, 4, 6, 8)
    assert NEWS.transform(["articles", ny, "n"], discard)["articles"][0] == {"title": "rain"}
    assert pmap().transform(["a", "b"], discard) == pmap()
    a = m(a=1)
    assert a.transform(["zz"], discard) is a


def test_what_does_not_change_is_the_same_object() -> None:
    assert NEWS.transform(["articles", ny, "n"], lambda n: n) is NEWS
    assert NEWS.transform([ny], lambda x: x) is NEWS


def test_records_are_on_the_way() -> None:
    class Point(PClass):
        x = field()
        y = field()

    class Line(PRecord):
        start = field()

    line = Line(start=Point(x=1, y=2))
    assert line.transform(["start", "x"], inc).start == Point(x=2, y=2)
    assert m(p=Point(x=1, y=2)).transform(["p", "y"], discard) == m(p=Point(x=1))


def test_a_change_that_raises_leaves_all_as_it_was() -> None:
    def fail(x: Any) -> Any:
        raise ZeroDivisionError

    before = freeze({"a": {"b": [1, 2, 3]}})
    with pytest.raises(ZeroDivisionError):
        before.transform(["a", "b", ny], fail)
    _core._check(before)
    assert before == {"a": {"b": [1, 2, 3]}}


def test_what_cannot_be_changed_says_so() -> None:
    with pytest.raises(AttributeError, match="evolver"):
        m(a={"plain": 1}).transform(["a", "plain"], 2)


def test_get_in() -> None:
    assert get_in(["articles", 1, "n"], NEWS) == 2 and get_in([], NEWS) is NEWS
    assert get_in(["articles", 9], NEWS) is None and get_in(["zz"], NEWS, default=0) == 0
    assert get_in(["count", "deeper"], NEWS, 0) == 0 and get_in(iter([5]), NEWS) == "five"
    assert get_in([0, "a"], [{"a": 1}]) == 1
    for keys, error in ((["zz"], KeyError), (["articles", 9], IndexError), ([5, "x"], TypeError)):
        with pytest.raises(error):
            get_in(keys, NEWS, no_default=True)
