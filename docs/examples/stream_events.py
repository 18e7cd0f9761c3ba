"""Producers append events, consumers work on them and commit how far they are."""

import tempfile

import ray

from pstructs.distributed import Stream

ray.init(
    address="local",
    num_cpus=2,
    include_dashboard=False,
    log_to_driver=False,
    logging_level="ERROR",
)
folder = tempfile.mkdtemp()

# [produce]
orders = Stream("orders", store=folder)


@ray.remote(num_cpus=0)
def take_orders(orders: Stream, shop: str) -> None:
    for n in range(0, 30, 10):  # ten at a time: one exchange, one commit
        batch = [{"shop": shop, "order": i, "price": i % 7} for i in range(n, n + 10)]
        orders.append(batch, write_id=f"{shop} {n}")


shops = [take_orders.remote(orders, shop) for shop in ("north", "south")]


# [consume]
@ray.remote(num_cpus=0)
def book(orders: Stream, count: int) -> int:
    clerk, total = orders.consumer("clerk"), 0  # where the last clerk stopped
    while clerk.position < count:
        for event in clerk.poll(max_events=20, timeout=30):
            total += event["price"]
        clerk.commit()
    return total


total = ray.get(book.remote(orders, 60), timeout=60)
assert total == 2 * sum(i % 7 for i in range(30))
ray.get(shops, timeout=60)
assert orders.offsets == {"clerk": 60}
# [drop]
assert orders.drop() == 60  # all have had them
orders.append([{"shop": "north", "order": 30, "price": 1}])
assert [event["order"] for event in orders.read(60)] == [30]
# [end]
orders.end()
ray.shutdown()
