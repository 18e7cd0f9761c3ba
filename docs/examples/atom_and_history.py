"""State that threads share, with undo."""

from concurrent.futures import ThreadPoolExecutor

from pstructs import Atom, History, derived, pmap
from pstructs.errors import InvalidValueError

stocked = pmap({"fig": 100, "pear": 100})
shop = Atom(pmap({"stock": stocked, "prices": pmap({"fig": 3, "pear": 2})}))


# change it from any thread: the function may run again, so it only computes
def sell(stock, name, number):
    return stock.set(name, stock[name] - number)


stock = shop.cursor("stock")  # a part of the value, as if it were an atom of its own
with ThreadPoolExecutor(8) as threads:
    for _ in range(50):
        threads.submit(stock.swap, sell, "fig", 1)
        threads.submit(stock.swap, sell, "pear", 1)
assert shop.value["stock"] == {"fig": 50, "pear": 50}

# what it may hold
shop.set_validator(lambda value: all(number >= 0 for number in value["stock"].values()))
try:
    stock.swap(sell, "fig", 51)
except InvalidValueError as error:
    print(error)
assert shop.value["stock"]["fig"] == 50

# hear of changes, of the whole or of a part
heard = []
shop.cursor("prices", "fig").add_watch(
    "log", lambda key, cursor, old, new: heard.append((old, new))
)
shop.cursor("prices", "fig").reset(4)
stock.swap(sell, "pear", 50)
assert heard == [(3, 4)]


# computed when it is read, and again only after a change of what it reads
def worth(stock, prices):
    return sum(prices[name] * number for name, number in stock.items())


total = derived(worth, stock, shop.cursor("prices"))
assert total.value == 200

# undo: the history takes note of every change, and its moves reset the atom
history = History.follow(shop, max_steps=100)
with history.group("clearance"):
    stock.swap(sell, "fig", 50)
    shop.cursor("prices", "fig").reset(1)
assert total.value == 0
history.undo()
assert total.value == 200 and shop.value is history.state
