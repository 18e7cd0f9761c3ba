"""What all tests share: which build runs, the hypothesis profiles, and one guard.

`HYPOTHESIS_PROFILE` picks how many examples a property test draws: `quick` (sanitizers and
small machines), `default`, or `thorough`.
"""

from __future__ import annotations

import os
import platform
import sys

import hypothesis
import pytest

import pstructs
from pstructs import _core

if pstructs.__file__ is None:
    # tests/ holds a folder of that name, which Python takes for a namespace package.
    raise pytest.UsageError("pstructs is not built or not on the path: run `make test`")

_quiet = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large]
for _name, _examples in (("quick", 20), ("default", 100), ("thorough", 2000)):
    hypothesis.settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        suppress_health_check=_quiet,
        print_blob=True,
    )
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Name the build under test, so that a log says what it proves."""
    return [
        f"pstructs build: {getattr(_core, 'BUILD', 'unknown')}, from {_core.__file__}",
        f"python: {sys.version.split()[0]} on {platform.machine()}, "
        f"hypothesis profile: {os.environ.get('HYPOTHESIS_PROFILE', 'default')}",
    ]
