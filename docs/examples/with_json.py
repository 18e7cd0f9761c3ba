"""JSON, with the standard library and with orjson."""

import json

import orjson

from pstructs import m, v
from pstructs.interop.json import JSONEncoder, default, loads

order = m(id=7, lines=v(m(name="fig", count=3)))

text = json.dumps(order, cls=JSONEncoder)
assert orjson.loads(orjson.dumps(order, default=default)) == json.loads(text)

again = loads(text)
assert again == order
assert again.lines[0].set("count", 4) == m(name="fig", count=4)
