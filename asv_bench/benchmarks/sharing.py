"""Sharing with Ray workers beside `ray.put` of a dict: what each new task pays."""

from __future__ import annotations

from typing import Any

from .rivals import sample, words


class Sharing:
    """Open the shared map in a task and look 1000 keys up."""

    params = (("pstructs", "ray.put(dict)"), (1000, 100_000))
    param_names = ("rival", "entries")
    timeout = 300
    number = 1
    repeat = 10
    warmup_time = 0

    def setup(self, rival: str, entries: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise NotImplementedError("ray is not installed") from error

        self.ray = ray
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=300_000_000,
            ignore_reinit_error=True,
        )
        keys = words(entries)
        source = {key: number for number, key in enumerate(keys)}
        hits = sample(keys)
        self.hits = ray.put(hits)
        self.expected = sum(source[key] for key in hits)

        @ray.remote
        def look_up(handle: Any, hits: list[str]) -> int:
            # a reference inside a list is not resolved by Ray: the task does it
            m = handle[0].open() if hasattr(handle[0], "open") else ray.get(handle[0])
            return sum(m[key] for key in hits)

        self.look_up = look_up
        if rival == "pstructs":
            from pstructs import pmap
            from pstructs.distributed import share

            self.kept: Any = pmap(source)
            self.handle: Any = [share(self.kept)]
        else:
            self.handle = [ray.put(source)]
        self.run()  # starts the worker

    def run(self) -> None:
        total = self.ray.get(self.look_up.remote(self.handle, self.hits))
        assert total == self.expected

    def teardown(self, rival: str, entries: int) -> None:
        self.ray.shutdown()

    def time_task_of_1000_lookups(self, rival: str, entries: int) -> None:
        self.run()
