"""Could these answers have been given one after the other? The check of Wing and Gong.

A history is a list of calls with the times at which they began and ended. It is linearizable when
there is an order of all calls in which each answer is right, and which never puts a call before
one that had ended when it began. A call without an answer may have taken effect at any time
after its beginning, or never.

Found by depth-first search: of the calls that no waiting one precedes, try each as the next. What
was tried (the set of calls done, and the state) is remembered (Lowe 2017), so that the search is
quick for a state as small as a register's.

References
----------
J. M. Wing, C. Gong: Testing and verifying concurrent objects. J. Parallel Distrib. Comput. 1993.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

__all__ = ["Call", "linearizable"]


class Call(NamedTuple):
    """One call: when it began and ended, what was asked, and the answer.

    `end` is infinite for a call that was not answered.
    """

    begin: float
    end: float
    what: tuple[Any, ...]
    answer: Any


def linearizable(
    history: Sequence[Call],
    state: Hashable,
    step: Callable[[Any, tuple[Any, ...]], tuple[Hashable, Any]],
) -> bool:
    """Whether there is an order that explains the history.

    `step(state, what)` gives the state after a call and its answer.
    """
    calls = sorted(history)
    must = sum(1 << i for i, call in enumerate(calls) if call.end < math.inf)
    tried: set[tuple[int, Hashable]] = set()
    todo: list[tuple[int, Hashable]] = [(0, state)]
    while todo:
        done, state = todo.pop()
        if done & must == must:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        first_end = math.inf
        for i, call in enumerate(calls):
            if done >> i & 1:
                continue
            if call.begin > first_end:
                break
            first_end = min(first_end, call.end)
        for i, call in enumerate(calls):
            if call.begin > first_end:
                break
            if done >> i & 1:
                continue
            after, answer = step(state, call.what)
            if call.end == math.inf or answer == call.answer:
                todo.append((done | 1 << i, after))
    return False
