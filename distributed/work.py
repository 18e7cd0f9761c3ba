"""Who works on the parts of a collection: Ray tasks, processes, or this one.

There are more parts than workers, all of about the same number of entries, and a task takes a run
of neighbours:

    parts   0 1 2 3 4 5 6 7 8 9 ...        task 1: 0-3   task 2: 4-7   waiting: 8-11 ...

A task that has worked for `SLICE` seconds answers with what it has, and the rest of its run goes
back to those that wait, cut in two when there are fewer runs than workers. So a few parts that
take long don't keep one worker busy while the others are done, however uneven the work is; the
results are those of the same parts in the same order all the same. It is also how work is given
up: nothing new is started, and what runs ends by itself within a slice and a part.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from pstructs.distributed.backend import DEFAULT_TIMEOUT, ray_or_none, say_in_process
from pstructs.distributed.handle import Handle
from pstructs.distributed.parts import part_of
from pstructs.errors import ShareError, WorkCancelledError

__all__ = ["Job", "Limits", "run"]

SLICE = 1.0
"""Seconds after which a task gives back what it has not begun. A task costs some 2 ms."""

RUNS_A_WORKER = 4
POLL = 0.1


class Job(NamedTuple):
    """What is to be done with every part: sent to each worker once."""

    source: Handle[Any]
    parts: int
    work: Callable[[Any], Any]
    """From a part, as a collection, to a result."""


class Limits(NamedTuple):
    """How the work is watched."""

    timeout: float
    progress: Callable[[int, int], object] | None
    cancel: threading.Event | None
    processes: int | None
    what: str


Run = tuple[int, int]  # parts from, to


def work_on(job: Job, run: Run, seconds: float) -> tuple[list[Any], int]:
    """Results of the first parts of a run, and which part was not begun in time."""
    whole = job.source.open()
    until = time.monotonic() + seconds
    results: list[Any] = []
    at, stop = run
    while at < stop and (not results or time.monotonic() < until):
        results.append(job.work(part_of(whole, at, job.parts)))
        at += 1
    return results, at


class Team(Protocol):
    """Workers that take runs and give results."""

    size: int

    def start(self, run: Run) -> Any:
        """Begin with a run; return a name for it."""

    def wait(self, names: list[Any], seconds: float) -> list[Any]:
        """Wait until at least one is done, or the time is up; return those that are."""

    def take(self, name: Any) -> tuple[list[Any], int]:
        """The results of a run that is done; raises what its work raised."""

    def stop(self, names: list[Any], late: bool) -> None:
        """Nothing more is wanted. late: what runs has used its time up."""


def run(job: Job, limits: Limits) -> Iterator[Any]:
    """Yield the result of every part, in the order of the parts.

    Raises
    ------
    ShareError
        The time is up, or the packs can't be reached.
    WorkCancelledError
        `cancel` was set.
    """
    team = _team(job, limits)
    waiting = _runs(job.parts, team.size * RUNS_A_WORKER)
    running: dict[Any, Run] = {}
    done: dict[int, Any] = {}
    next_part = finished = 0
    until = time.monotonic() + limits.timeout
    late = False
    try:
        while next_part < job.parts:
            if limits.cancel is not None and limits.cancel.is_set():
                raise WorkCancelledError(
                    f"{limits.what}: cancelled after {finished} of {job.parts} parts"
                )
            while waiting and len(running) < team.size:
                if len(waiting) < team.size - len(running):
                    _cut(waiting)
                begun = waiting.popleft()
                running[team.start(begun)] = begun
            for name in team.wait(list(running), min(POLL, max(0.0, until - time.monotonic()))):
                at, stop = running.pop(name)
                results, reached = team.take(name)
                done.update(enumerate(results, at))
                finished += len(results)
                if reached < stop:
                    waiting.appendleft((reached, stop))
                if limits.progress is not None:
                    limits.progress(finished, job.parts)
            while next_part in done:
                yield done.pop(next_part)
                next_part += 1
            if next_part < job.parts and time.monotonic() >= until:
                late = True
                raise ShareError(
                    f"{limits.what}: {job.parts - finished} of {job.parts} parts are not done "
                    f"after {limits.timeout:g} s. Give it a larger timeout=, or see whether the "
                    "cluster has free CPUs."
                )
    finally:
        team.stop(list(running), late)


def _runs(parts: int, runs: int) -> deque[Run]:
    cuts = [i * parts // runs for i in range(runs + 1)]
    return deque((a, b) for a, b in itertools.pairwise(cuts) if a < b)


def _cut(waiting: deque[Run]) -> None:
    """Cut the longest run in two, if it has more than one part."""
    longest = max(range(len(waiting)), key=lambda i: waiting[i][1] - waiting[i][0])
    a, b = waiting[longest]
    if b - a > 1:
        waiting[longest] = (a, (a + b) // 2)
        waiting.append(((a + b) // 2, b))


def _team(job: Job, limits: Limits) -> Team:
    if limits.processes is not None:
        return _Processes(job, limits.processes)
    ray = ray_or_none()
    if ray is not None:
        return _RayTasks(ray, job)
    say_in_process()
    return _Here(job)


# ---- Ray


class _RayTasks:
    def __init__(self, ray: Any, job: Job) -> None:
        self._ray = ray
        self._job = ray.put(job)  # once, not once a task
        self._task = ray.remote(work_on)
        self.size = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def start(self, run: Run) -> Any:
        return self._task.remote(self._job, run, SLICE)

    def wait(self, names: list[Any], seconds: float) -> list[Any]:
        done, _ = self._ray.wait(names, num_returns=1, timeout=seconds)
        return list(done)

    def take(self, name: Any) -> tuple[list[Any], int]:
        try:
            taken: tuple[list[Any], int] = self._ray.get(name, timeout=DEFAULT_TIMEOUT)
        except self._ray.exceptions.GetTimeoutError as error:
            raise ShareError(
                f"the result of a task did not arrive within {DEFAULT_TIMEOUT:g} s: a node may be "
                "unreachable, or the object store full"
            ) from error
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if cause is not None and not isinstance(cause, self._ray.exceptions.RayError):
                raise  # what a function of the caller raised
            raise ShareError(
                f"a part of the work could not be done, also when Ray tried again: {error}. See "
                "whether nodes or workers die, of too little memory for instance; more "
                "partitions= need less at a time"
            ) from error
        return taken

    def stop(self, names: list[Any], late: bool) -> None:
        """Cancel only what has used its time up.

        After an error the others are left to end by themselves: Ray 2.60 stops the whole driver
        when a task ends while it is cancelled.
        """
        if late:
            for name in names:
                self._ray.cancel(name)


# ---- processes

_job: Job | None = None


def _take_job(pickled: bytes) -> None:
    global _job
    _job = pickle.loads(pickled)


def _work_on_job(run: Run) -> tuple[list[Any], int]:
    assert _job is not None
    return work_on(_job, run, SLICE)


class _Processes:
    def __init__(self, job: Job, size: int) -> None:
        if size < 1:
            raise ValueError(f"the number of processes has to be 1 or more, not {size}")
        try:
            pickled = pickle.dumps(job)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"processes take functions of modules only, no lambdas and no functions within "
                f"functions: {error}"
            ) from error
        self.size = size
        self._pool = concurrent.futures.ProcessPoolExecutor(
            self.size,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_take_job,
            initargs=(pickled,),
        )

    def start(self, run: Run) -> Any:
        return self._pool.submit(_work_on_job, run)

    def wait(self, names: list[Any], seconds: float) -> list[Any]:
        return list(
            concurrent.futures.wait(
                names, seconds, return_when=concurrent.futures.FIRST_COMPLETED
            ).done
        )

    def take(self, name: Any) -> tuple[list[Any], int]:
        try:
            taken: tuple[list[Any], int] = name.result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise ShareError(
                "a process of the pool has died (it was killed, or ran out of memory), or can't "
                "start: a script has to guard its work with if __name__ == '__main__'"
            ) from error
        return taken

    def stop(self, names: list[Any], late: bool) -> None:
        """End the pool; what has used its time up is ended by force."""
        processes = list(self._pool._processes.values()) if late else []
        for process in processes:
            with contextlib.suppress(OSError):
                process.terminate()
        self._pool.shutdown(wait=not late, cancel_futures=True)


# ---- this process


class _Here:
    size = 1

    def __init__(self, job: Job) -> None:
        self._job_here = job

    def start(self, run: Run) -> Any:
        return run

    def wait(self, names: list[Any], seconds: float) -> list[Any]:
        return names

    def take(self, name: Any) -> tuple[list[Any], int]:
        return work_on(self._job_here, name, SLICE)

    def stop(self, names: list[Any], late: bool) -> None:
        pass
