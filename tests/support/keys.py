"""Keys for tests: they collide, count what is asked of them, and raise on demand."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

__all__ = ["Fault", "Key", "Ledger", "colliding_keys", "keys", "plain_keys", "values"]


class Fault(Exception):
    """What a key raises on demand: no other code raises it."""


@dataclass
class Ledger:
    """Counts the calls of `__eq__` and `__hash__` of its keys; makes the n-th raise `Fault`."""

    comparisons: int = 0
    hashes: int = 0
    fail_comparison: int | None = None
    fail_hash: int | None = None

    def reset(self, fail_comparison: int | None = None, fail_hash: int | None = None) -> None:
        """Start counting from 0; the calls of those numbers (from 1) raise."""
        self.comparisons = self.hashes = 0
        self.fail_comparison, self.fail_hash = fail_comparison, fail_hash


class Key:
    """A key with a hash of choice: keys of one hash share a collision node.

    Parameters
    ----------
    value : object
        Keys with equal values are equal.
    hash : int
        What `hash(key)` gives; the hash of the value when it is left out.
    ledger : Ledger
        Where the calls are counted.
    """

    __slots__ = ("_hash", "ledger", "value")

    def __init__(
        self, value: object, hash: int | None = None, ledger: Ledger | None = None
    ) -> None:
        self.value = value
        self._hash = value.__hash__() if hash is None else hash
        self.ledger = ledger

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        if (ledger := self.ledger) is not None:
            ledger.comparisons += 1
            if ledger.comparisons == ledger.fail_comparison:
                raise Fault("__eq__")
        return self.value == other.value

    def __hash__(self) -> int:
        if (ledger := self.ledger) is not None:
            ledger.hashes += 1
            if ledger.hashes == ledger.fail_hash:
                raise Fault("__hash__")
        return self._hash

    def __repr__(self) -> str:
        return f"Key({self.value!r}, hash={self._hash})"


# Few values, so that two drawn collections meet; some are equal across types.
plain_keys = st.one_of(
    st.integers(0, 40),
    st.integers(0, 40).map(str),
    st.integers(0, 3).map(float),
    st.booleans(),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.none(),
)
# Two hashes for all of them: whole collections become collision nodes.
colliding_keys = st.integers(0, 15).map(lambda n: Key(n, hash=n % 2))
keys = st.one_of(plain_keys, colliding_keys)
# Equal across types, with and without a need for the garbage collector.
values = st.sampled_from([0, 1, True, 1.0, "x", (1,), (2, [3]), [4], {"k": 5}, None])
