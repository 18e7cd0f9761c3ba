"""The second half of the demo: share the map with Ray workers and count in parallel.

Each way of sharing gets two workers of its own, started before the clock, so that a process which
has held a dict never measures pstructs afterwards, nor the other way round.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Any

from pstructs._cli import demo_work, screen
from pstructs._cli.demo_data import group_of
from pstructs._cli.demo_store import Demo
from pstructs._cli.demo_table import Row, Side
from pstructs._cli.demo_work import Probe, Prober
from pstructs._cli.errors import CommandError
from pstructs._cli.text import size

__all__ = ["missing", "run_here", "run_with_workers"]

WORKERS = 2
LEAST_STORE = 200_000_000
"""Bytes: the least object store that is asked for."""
PATIENCE = 120.0
"""Seconds until a worker that does not answer is given up."""


def missing() -> str:
    """Why there can be no Ray workers; empty if there can."""
    if importlib.util.find_spec("ray") is None:
        return "Ray is not installed (pip install 'pstructs[distributed]')"
    return ""


@contextmanager
def _cluster(object_store: int) -> Iterator[Any]:
    """A Ray of our own on this machine, or the one that runs already."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(
            address="local",
            num_cpus=WORKERS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=object_store,
        )
    except Exception as error:
        raise CommandError(f"Ray can't start: {error}. Leave it out with --no-ray") from error
    try:
        yield ray
    except ray.exceptions.RayError as error:
        raise CommandError(f"Ray failed: {error}. Leave it out with --no-ray") from error
    finally:
        ray.shutdown()


def run_with_workers(demo: Demo) -> None:
    """Share, look up in workers, count in parallel; beside it `ray.put` of the dict."""
    from pstructs import pmap
    from pstructs.distributed import map_reduce, share
    from pstructs.packs import dumps

    keys = demo.some_keys()
    pickled = len(pickle.dumps(demo.model, pickle.HIGHEST_PROTOCOL))
    with (
        screen.bar("Starting Ray", demo.shown) as move,
        _cluster(max(LEAST_STORE, 6 * pickled)) as ray,
    ):
        move(1, 5)
        probers = _start(ray, 2 * WORKERS)
        share(pmap({"": 0}))  # the first one of a cluster starts the actor that owns the packs
        move(2, 5)

        start = perf_counter()
        handle = share(demo.table)
        shared = perf_counter() - start
        start = perf_counter()
        ref = ray.put(demo.model)
        put = perf_counter() - start
        nbytes = len(dumps(demo.table))
        demo.rows.append(Row("share / ray.put", Side(shared, nbytes), Side(put, pickled)))
        demo.notes.append(
            "Memory a worker is what it holds alone (USS) beyond what it held before; shared "
            "pages are nobody's."
        )
        demo.notes.append(
            f"What travels to a worker is a handle of {size(len(pickle.dumps(handle)))}. Not in "
            "the times: starting Ray, its workers, and the actor that keeps what is shared."
        )
        move(3, 5)

        ours = [_ask(ray, prober.open_shared.remote(handle, keys)) for prober in probers[:WORKERS]]
        theirs = [_ask(ray, prober.open_dict.remote([ref], keys)) for prober in probers[WORKERS:]]
        expected = [demo.model[key] for key in keys]
        for probe in ours + theirs:
            demo.check("lookups in a worker", probe.values, expected)
        demo.rows += [
            Row(f"a worker: open, {len(keys):,} lookups", _time(ours), _time(theirs)),
            Row("  memory a worker", _memory(ours), _memory(theirs)),
        ]
        for prober in probers:
            ray.kill(prober)
        move(4, 5)

        _warm_up(ray)
        group = demo.data.group
        start = perf_counter()
        counts = map_reduce(
            handle, partial(demo_work.count_map, column=group), demo_work.add_counts
        )
        counted = perf_counter() - start
        task = ray.remote(demo_work.count_part_of_dict)
        start = perf_counter()
        parts = [task.remote([ref], group, number, WORKERS) for number in range(WORKERS)]
        theirs_counts: Counter[str] = Counter()
        for part in parts:
            theirs_counts += _ask(ray, part)
        theirs_counted = perf_counter() - start
        _add_counts(demo, counts, theirs_counts, counted, theirs_counted, "in parallel")
        move(5, 5)


def run_here(demo: Demo) -> None:
    """The same calls in this process, which is what they do when there is no cluster."""
    logging.getLogger("pstructs.distributed").setLevel(logging.ERROR)
    from pstructs.distributed import map_reduce, share

    group = demo.data.group
    with screen.bar("Counting", demo.shown):
        handle = share(demo.table)
        start = perf_counter()
        counts = map_reduce(
            handle, partial(demo_work.count_map, column=group), demo_work.add_counts
        )
        counted = perf_counter() - start
        start = perf_counter()
        theirs = Counter(group_of(record, group) for record in demo.model.values())
        theirs_counted = perf_counter() - start
    _add_counts(demo, counts, theirs, counted, theirs_counted, "in this process")


def _add_counts(
    demo: Demo,
    counts: Counter[str],
    theirs: Counter[str],
    ours_took: float,
    theirs_took: float,
    where: str,
) -> None:
    group = demo.data.group
    expected = Counter(group_of(record, group) for record in demo.model.values())
    demo.check(f"count by {group}", dict(counts), dict(expected))
    demo.check(f"count by {group} with dicts", dict(theirs), dict(expected))
    demo.rows.append(Row(f"count by {group} {where}", Side(ours_took), Side(theirs_took)))


def _start(ray: Any, number: int) -> list[Any]:
    """Workers that are up and have imported what they need."""
    actor = ray.remote(num_cpus=0)(Prober)
    probers = [actor.remote() for _ in range(number)]
    for prober in probers:
        _ask(ray, prober.ready.remote())
    return probers


def _warm_up(ray: Any) -> None:
    """Have the processes for tasks running before the clock starts."""
    task = ray.remote(demo_work.settle)
    _ask(ray, [task.remote() for _ in range(2 * WORKERS)])


def _ask(ray: Any, ref: Any) -> Any:
    return ray.get(ref, timeout=PATIENCE)


def _time(probes: list[Probe]) -> Side:
    return Side(statistics.mean(probe.seconds for probe in probes))


def _memory(probes: list[Probe]) -> Side:
    known = [probe.memory for probe in probes if probe.memory is not None]
    return Side(nbytes=max(known) if known else None)
