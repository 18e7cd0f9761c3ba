"""What type checkers know of the strategies and of fields of other libraries' classes."""

from __future__ import annotations

from typing import Any, assert_type

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel

from pstructs import PMap, PSet, m, pmap, s
from pstructs.interop.json import JSONEncoder, default, loads, object_hook
from pstructs.interop.msgspec import dec_hook, enc_hook
from pstructs.testing import pmaps, psets

assert_type(pmaps(st.text(), st.integers()), SearchStrategy[PMap[str, int]])
assert_type(psets(st.integers(), max_size=3), SearchStrategy[PSet[int]])


class Stock(BaseModel):
    """A model with persistent fields."""

    prices: PMap[str, int]
    tags: PSet[str] = s()


class Event(msgspec.Struct):
    """A struct with persistent fields."""

    counts: PMap[str, int] = pmap()


stock = Stock(prices=m(fig=1))
assert_type(stock.prices, PMap[str, int])
assert_type(stock.tags, PSet[str])
event = msgspec.json.decode(b"{}", type=Event, dec_hook=dec_hook)
assert_type(event.counts, PMap[str, int])
assert_type(msgspec.json.encode(event, enc_hook=enc_hook), bytes)
assert_type(JSONEncoder().encode(stock.prices), str)
assert_type(object_hook({"a": 1}), PMap[str, Any])
default(loads("{}"))
