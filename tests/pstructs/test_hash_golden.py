"""The hash domain is frozen: golden values, in every process and under every hash seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pstructs
from pstructs import _core
from support.hash_golden_keys import EXPRESSIONS, evaluate
from support.hash_reference import reference_hash, siphash13

GOLDEN = json.loads((Path(__file__).parent / "hash_golden.json").read_text())["hashes"]
TESTS = Path(__file__).parent.parent

DUMP = """
import json
from support.hash_golden_keys import EXPRESSIONS, evaluate
from pstructs import _core
keys = [evaluate(e) for e in EXPRESSIONS]
print(json.dumps([[f"{_core._hash1(k):016x}", f"{_core._hash2(k):016x}"] for k in keys]))
"""


def run_python(code: str, seed: str) -> str:
    """Return what a new process with this PYTHONHASHSEED prints."""
    paths = [str(Path(pstructs.__path__[0]).parent), str(TESTS)]
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_golden_file_holds_every_expression() -> None:
    assert list(GOLDEN) == EXPRESSIONS


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_golden_value_stays(expression: str) -> None:
    key = evaluate(expression)
    expected = [int(h, 16) for h in GOLDEN[expression]]
    assert [_core._hash1(key), _core._hash2(key)] == expected
    assert pstructs.stable_hash(key) == expected[0]
    assert _core._hash_is_stable(key)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_reference_agrees_with_the_golden_value(expression: str) -> None:
    key = evaluate(expression)
    assert [f"{reference_hash(which, key):016x}" for which in (1, 2)] == GOLDEN[expression]


@pytest.mark.parametrize("seed", ["0", "1", "4294967295", "random"])
def test_hashes_are_the_same_under_any_hash_seed(seed: str) -> None:
    assert json.loads(run_python(DUMP, seed)) == list(GOLDEN.values())


@pytest.mark.skipif(
    sys.hash_info.algorithm != "siphash13", reason="hash(bytes) is not SipHash-1-3"
)
def test_siphash_of_the_reference_is_that_of_python() -> None:
    code = "print(*[hash(bytes(range(n))) for n in range(1, 70)])"
    theirs = [int(h) % 2**64 for h in run_python(code, "0").split()]
    ours = [siphash13(bytes(range(n)), 0, 0) for n in range(1, 70)]
    assert theirs == ours


def test_different_golden_keys_have_different_hashes() -> None:
    for position in (0, 1):
        seen: dict[str, object] = {}
        for expression, hashes in GOLDEN.items():
            key = evaluate(expression)
            if key == key:  # NaN is not
                assert seen.setdefault(hashes[position], key) == key, expression
