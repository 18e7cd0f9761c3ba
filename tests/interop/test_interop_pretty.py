"""What IPython and Rich print."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.lib.pretty import pretty
from rich.pretty import pretty_repr

from pstructs import PMap, m, pdeque, pmap, pvector, s, v
from pstructs.interop.kinds import KINDS, Kind, Shape
from support.interop_samples import every, sample


@every()
def test_a_short_value_is_printed_as_its_repr(kind: Kind) -> None:
    for value in (sample(kind), sample(kind, 1, 2)):
        assert pretty(value) in (repr(value), repr(value).replace("()", "([])"))


@every()
def test_a_long_value_is_cut_as_ipython_does(kind: Kind) -> None:
    value = sample(kind, *range(2000))
    text = pretty(value, max_seq_length=3)
    assert text.count(",") == 3 and "..." in text and len(text) < 60
    assert "1999" in pretty(sorted(value), max_seq_length=0)
    assert len(pretty(value, max_seq_length=0)) > 2000
    assert "..." not in pretty(sample(kind, 1, 2, 3), max_seq_length=3)


@every()
def test_a_value_wider_than_the_line_is_broken_after_the_commas(kind: Kind) -> None:
    value = sample(kind, *(f"{i:030}" for i in range(3)))
    lines = pretty(value, max_width=70).splitlines()
    assert len(lines) == 3
    indent = len(kind.brackets(value)[0])
    assert all(line.startswith(" " * indent + "'") for line in lines[1:])


@every([kind for kind in KINDS if not kind.hashed or kind.shape is Shape.MAPPING])
def test_a_cycle_is_cut(kind: Kind) -> None:
    inner: list[Any] = []
    value = kind.make({1: inner}) if kind.shape is Shape.MAPPING else kind.make([inner])
    inner.append(value)
    assert "..." in pretty(value) and len(pretty(value)) < 60
    assert "..." in pretty_repr(value) and len(pretty_repr(value)) < 60


def test_ipython_prints_nested_values_by_their_own_printers() -> None:
    assert pretty(m(a=v(1, s("x")))) == "pmap({'a': pvector([1, pset(['x'])])})"
    assert pretty(pdeque([1], 3)) == "pdeque([1], maxlen=3)"


def test_a_subclass_with_a_repr_of_its_own_keeps_it() -> None:
    class Named(PMap[str, int]):
        def __repr__(self) -> str:
            return "<Named>"

    class Unnamed(PMap[str, int]):
        pass

    assert pretty(Named(a=1)) == "<Named>"
    assert pretty([Unnamed(a=1)]) == "[pmap({'a': 1})]"
    assert pretty_repr(Unnamed(a=1)) == "Unnamed({'a': 1})"


@every()
def test_rich_prints_the_class_and_a_dict_or_list(kind: Kind) -> None:
    value = sample(kind, 1, 2)
    plain: Any = dict(value) if kind.shape is Shape.MAPPING else list(value)
    assert pretty_repr(value) == f"{kind.cls.__name__}({plain!r})"


@every()
def test_rich_indents_and_cuts(kind: Kind) -> None:
    value = sample(kind, *range(2000))
    assert pretty_repr(value, max_length=3).endswith("... +1997])") or pretty_repr(
        value, max_length=3
    ).endswith("... +1997})")
    lines = pretty_repr(sample(kind, *(f"{i:030}" for i in range(3)))).splitlines()
    assert len(lines) == 7 and lines[2].startswith("        '")


def test_rich_prints_settings_and_nested_values() -> None:
    assert pretty_repr(pdeque([1], 3)) == "PDeque([1], maxlen=3)"
    assert pretty_repr(m(a=v(1))) == "PMap({'a': PVector([1])})"


@pytest.mark.parametrize("value", [pmap({"a": 1}), pvector([1])])
def test_an_error_in_a_printer_reaches_the_caller(value: Any) -> None:
    with pytest.raises(AttributeError, match="max_seq_length"):
        value._repr_pretty_(object(), False)
    with pytest.raises(TypeError):
        value._repr_pretty_()
