"""First steps: a map for Ray workers, or for this process when Ray is not installed."""

from pstructs import pmap
from pstructs.distributed import share

squares = pmap({n: n * n for n in range(10_000)})
handle = share(squares)  # a few bytes that can be sent to any task or actor

opened = handle.open()  # what a worker does: no copy, nothing is unpickled
assert opened[99] == 9801
assert opened == squares
