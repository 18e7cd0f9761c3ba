"""Persistent collections as fields of a msgspec struct."""

import msgspec

from pstructs import PMap, PSet, m, s
from pstructs.interop.msgspec import dec_hook, enc_hook


class Order(msgspec.Struct):
    """An order."""

    counts: PMap[str, int]
    tags: PSet[str]


order = Order(m(fig=3), s("fresh"))
data = msgspec.json.encode(order, enc_hook=enc_hook)
assert data == b'{"counts":{"fig":3},"tags":["fresh"]}'
assert msgspec.json.decode(data, type=Order, dec_hook=dec_hook) == order

try:
    msgspec.json.decode(b'{"counts":{"fig":"three"}}', type=Order, dec_hook=dec_hook)
except msgspec.ValidationError as error:
    assert "Expected `int`, got `str`" in str(error) and "$.counts" in str(error)
