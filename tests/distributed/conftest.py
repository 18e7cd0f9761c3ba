"""One small Ray cluster for all tests of this folder."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"

import pytest

TIMEOUT = 60


class Cluster:
    """Ray, with a time limit on everything."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self._spare: Any = None  # starts while a test goes on

    def run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a function as a task and return its result."""
        self.by_value(function)
        return self.get(self.ray.remote(function).remote(*args, **kwargs))

    def run_in_new_worker(self, function: Any, *args: Any) -> Any:
        """Run a function in a process that has not opened anything."""
        self.by_value(function)
        new, self._spare = self._spare or self.new_worker(), self.new_worker()
        try:
            return self.get(new.run.remote(function, *args))
        finally:
            self.ray.kill(new)

    def new_worker(self) -> Any:
        return self.ray.remote(num_cpus=0)(Runner).remote()

    def by_value(self, function: Any) -> None:
        """Let the code of a test module travel, since workers can't import it."""
        for name in (function.__module__, Runner.__module__):
            if name.startswith(("test_", "conftest")):
                self.ray.cloudpickle.register_pickle_by_value(sys.modules[name])

    def sent(self, value: Any) -> int:
        """Bytes that Ray sends for a value, without what its references lead to."""
        context = self.ray._private.worker.global_worker.get_serialization_context()
        return int(context.serialize(value).total_bytes)

    def eventually(self, holds: Any) -> None:
        """Wait for something that Ray does in the background."""
        end = time.monotonic() + 60
        while not holds() and time.monotonic() < end:
            time.sleep(0.05)
        assert holds()

    def get(self, ref: Any) -> Any:
        return self.ray.get(ref, timeout=TIMEOUT)


class Runner:
    def run(self, function: Any, *args: Any) -> Any:
        return function(*args)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    ray = pytest.importorskip("ray")
    ray.init(
        address="local",  # never a cluster that runs here anyway
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=200_000_000,
    )
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


def run_script(name: str, *args: str) -> Any:
    """Run a script of this folder; what its last line says in JSON."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(name)), *args],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session", autouse=True)
def scripts(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, ...], Future[Any]]]:
    """What the scripts say that tests are marked with: one runs beside the tests at a time.

    They start clusters of their own, which is waiting for the most part.
    """
    marks = [item.get_closest_marker("script") for item in request.session.items]
    there = importlib.util.find_spec("ray") is not None
    wanted = [mark.args for mark in marks if mark is not None and there]
    with ThreadPoolExecutor(1) as pool:
        yield {script: pool.submit(run_script, *script) for script in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def script(request: pytest.FixtureRequest, scripts: dict[tuple[str, ...], Future[Any]]) -> Any:
    """What the script says that the test is marked with."""
    pytest.importorskip("ray")
    mark = request.node.get_closest_marker("script")
    return scripts[mark.args].result(timeout=600)


@pytest.fixture
def owner(cluster: Cluster) -> Any:
    from pstructs.distributed.owner import Owner

    return Owner.connect()


@pytest.fixture
def new_owner(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Any]:
    """An owner that nothing was shared through yet."""
    from pstructs.distributed import pickling
    from pstructs.distributed.owner import Owner

    before = pickling.SETTINGS.owner
    pickling.SETTINGS.owner = f"owner of {request.node.name}"
    owner = Owner.connect(pickling.SETTINGS.owner)
    try:
        yield owner
    finally:
        pickling.SETTINGS.owner = before
        owner.end()
