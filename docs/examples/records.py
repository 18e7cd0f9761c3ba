"""Declare records, change them, and keep them in packs."""

# [declare]
from dataclasses import dataclass

from pstructs import (
    InvariantException,
    PClass,
    field,
    inc,
    ny,
    packable,
    pmap,
    pmap_field,
    pvector_field,
)
from pstructs.packs import dumps, loads


class Line(PClass):
    """What is ordered."""

    product = field(type=str, mandatory=True)
    count = field(type=int, initial=1, invariant=lambda n: (n > 0, "count is not positive"))


class Order(PClass):
    """One order."""

    number = field(type=int, mandatory=True)
    lines = pvector_field(Line)
    notes = pmap_field(str, str)
    paid = field(type=bool, initial=False)

    def __invariant__(order):
        return len(order.lines) > 0 or not order.paid, "nothing was ordered"


order = Order(number=7, lines=[Line(product="pear", count=3), {"product": "fig"}])
assert order.lines[1].count == 1
# [change]
paid = order.set(paid=True)
assert paid.paid and not order.paid

more = order.transform(["lines", ny, "count"], inc)
assert [line.count for line in more.lines] == [4, 2]

builder = order.evolver()
builder.number = 8
builder.paid = True
assert builder.persistent() == order.set(number=8, paid=True)

try:
    order.transform(["lines", 0, "count"], 0)
except InvariantException as error:
    assert error.invariant_errors == ("count is not positive",)
assert order.lines[0].count == 3
# [plain]
data = order.serialize()
assert data["lines"][1] == {"product": "fig", "count": 1}
assert Order.create(data) == order
# [pack]

packable("shop.Line")(Line)
packable("shop.Order")(Order)


@packable("shop.Place")
@dataclass(frozen=True)
class Place:
    """Where a shop is."""

    city: str
    street: str = ""


shop = pmap({Place("Bern"): [order], Place("Ulm", "Market"): []})
again = loads(dumps(shop))
assert again == shop
assert again[Place("Bern")][0].lines[0].product == "pear"
# [end]
