"""What the tests of histories share: states that tell of their death, and a clock to set."""

from __future__ import annotations

from typing import Any

from pstructs import History


class State:
    """A state that can be referred to weakly and says when it dies."""

    def __init__(self, name: object = None, on_death: Any = None) -> None:
        self.name, self.on_death = name, on_death

    def __del__(self) -> None:
        if self.on_death is not None:
            self.on_death()


class Ticks:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def states(history: History[Any]) -> list[Any]:
    return [step.state for step in history.path()]


def numbers(history: History[Any]) -> list[int]:
    """Return the numbers of all steps."""
    return [step.number for step in history]
