"""Many changes at once: an evolver, and update."""

from pstructs import pmap

stock = pmap({"apple": 3, "pear": 4})

evolver = stock.evolver()
for name, number in [("fig", 7), ("plum", 2), ("apple", 5)]:
    evolver[name] = number
del evolver["pear"]
later = evolver.persistent()

assert later == {"apple": 5, "fig": 7, "plum": 2}
assert stock == {"apple": 3, "pear": 4}

assert stock.update({"fig": 7, "pear": 1}) == {"apple": 3, "pear": 1, "fig": 7}
