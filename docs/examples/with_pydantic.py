"""Persistent collections as fields of a pydantic model."""

from pydantic import BaseModel, ValidationError

from pstructs import PMap, PSet, PVector, m, s


class Order(BaseModel):
    """An order."""

    counts: PMap[str, int]
    tags: PSet[str] = s()
    steps: PVector[float]


order = Order(counts={"fig": "3"}, steps=[0.5, 1])
assert order.counts == m(fig=3)
assert order.model_dump_json() == '{"counts":{"fig":3},"tags":[],"steps":[0.5,1.0]}'
assert Order.model_validate_json(order.model_dump_json()) == order

# A collection that holds what it should is kept, not copied.
counts = m(fig=3, pear=4)
assert Order(counts=counts, steps=[]).counts is counts

try:
    Order(counts={"fig": "three"}, steps=[])
except ValidationError as error:
    assert error.errors()[0]["loc"] == ("counts", "fig")

schema = Order.model_json_schema()["properties"]["counts"]
assert schema["additionalProperties"] == {"type": "integer"}
