"""First steps: maps and sets."""

from pstructs import m, pmap, pset, s

prices = pmap({"apple": 3, "pear": 4})
sale = prices.set("pear", 2)

assert prices["pear"] == 4  # the old value is untouched
assert sale["pear"] == 2
assert "fig" not in sale
assert sale.get("fig", 0) == 0

# Removing asks for a key that is there; discarding does not mind.
assert sale.remove("apple") == {"pear": 2}
assert sale.discard("fig") is sale

# `m` and `s` write small ones down.
assert m(apple=3, pear=4) == prices
fruit = pset(prices)
assert fruit == s("apple", "pear")
assert fruit.add("fig") - s("pear") == {"apple", "fig"}

# They are values: they can be keys, and they compare by content.
stock = pmap({fruit: "in season"})
assert stock[s("pear", "apple")] == "in season"
