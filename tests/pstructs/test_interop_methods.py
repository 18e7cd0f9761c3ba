"""The methods that pydantic, IPython and Rich look for, without these libraries."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pstructs.interop.kinds import KINDS, Kind, Shape
from support.interop_samples import every, sample


class Printer:
    """As much of IPython's printer as a collection uses."""

    max_seq_length = 2

    def __init__(self) -> None:
        self.out = ""

    def text(self, text: str) -> None:
        self.out += text

    def breakable(self) -> None:
        self.out += " "

    def pretty(self, value: Any) -> None:
        self.out += repr(value)

    @contextlib.contextmanager
    def group(self, indent: int, opening: str, closing: str) -> Iterator[None]:
        assert indent == len(opening)
        self.out += opening
        yield
        self.out += closing


@every()
def test_the_table_of_kinds_makes_the_exact_type(kind: Kind) -> None:
    assert type(sample(kind, 1, 2)) is kind.cls and len(sample(kind, 1, 2)) == 2


@every()
def test_a_value_prints_itself_and_cuts_what_is_long(kind: Kind) -> None:
    printer = Printer()
    value = sample(kind, 1, 2, 3)
    value._repr_pretty_(printer, False)
    parts = [f"{k}: {k}" if kind.shape is Shape.MAPPING else f"{k}" for k in list(value)[:2]]
    assert printer.out.endswith("})" if kind.shape is Shape.MAPPING else "])")
    assert f"{parts[0]}, {parts[1]}, ..." in printer.out


@every()
def test_a_value_in_itself_prints_as_dots(kind: Kind) -> None:
    printer = Printer()
    sample(kind, 1)._repr_pretty_(printer, True)
    assert "..." in printer.out and "1" not in printer.out


@every()
def test_rich_gets_a_dict_or_list(kind: Kind) -> None:
    value = sample(kind, 1, 2)
    plain: Any = dict(value) if kind.shape is Shape.MAPPING else list(value)
    assert list(value.__rich_repr__()) == [plain]


@every()
def test_wrong_arguments_are_a_type_error(kind: Kind) -> None:
    value = sample(kind)
    for call in (
        lambda: value._repr_pretty_(),
        lambda: value._repr_pretty_(Printer()),
        lambda: value.__rich_repr__(1),
        lambda: kind.cls.__get_pydantic_core_schema__(kind.cls),
    ):
        with pytest.raises(TypeError):
            call()


@every()
def test_an_error_in_the_printer_reaches_the_caller(kind: Kind) -> None:
    class Broken(Printer):
        def pretty(self, value: Any) -> None:
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        sample(kind, 1)._repr_pretty_(Broken(), False)


@every()
@pytest.mark.parametrize("module", ["pydantic", "pretty"])
def test_an_adapter_that_cannot_be_imported_is_an_import_error(
    kind: Kind, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"pstructs.interop.{module}", None)
    with pytest.raises(ImportError):
        if module == "pretty":
            sample(kind).__rich_repr__()
        else:
            kind.cls.__get_pydantic_core_schema__(kind.cls, None)


def test_the_methods_keep_no_references() -> None:
    values = [sample(kind, 1, 2) for kind in KINDS]
    for value in values:  # what is made once
        list(value.__rich_repr__())
        value._repr_pretty_(Printer(), False)
    gc.collect()
    before = [sys.getrefcount(value) for value in values]
    printer = Printer()
    held = sys.getrefcount(printer)
    for value in values:
        for _ in range(10):
            list(value.__rich_repr__())
            value._repr_pretty_(printer, False)
            with pytest.raises(TypeError):
                value._repr_pretty_(printer)
    gc.collect()
    assert [sys.getrefcount(value) for value in values] == before
    assert sys.getrefcount(printer) == held
