"""Who may import whom, in Python and in C: lower layers never know higher ones."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# ---------------------------------------------------------------- Python

CORE, CACHE, DISTRIBUTED, ROOF = "pstructs", "pstructs.cache", "pstructs.distributed", "the roof"
RANK = {CORE: 0, CACHE: 1, DISTRIBUTED: 2, ROOF: 3}

# What each layer may import besides the standard library and the layers below it. numpy is
# looked for, never needed: packs hand out array views where it is installed. The libraries of
# the extra `interop` are imported by the functions that are for them.
THIRD_PARTY = {
    CORE: set(),
    CACHE: {"cachetools", "diskcache"},
    DISTRIBUTED: {"ray"},
    ROOF: {"rich", "typer", "click", "ray"},
}
INTEROP = {"hypothesis", "msgspec", "numpy", "pandas", "pyarrow", "pydantic", "pydantic_core"}
TABLES = {"numpy", "pandas", "pyarrow"}
LAZY_THIRD_PARTY = {
    CORE: {"numpy"},
    CACHE: {"fsspec", "numpy", "zstandard"},
    DISTRIBUTED: TABLES,
    ROOF: set(),
}
# Read by type checkers only, which bring it along.
TYPING_THIRD_PARTY = {"typing_extensions"}

AT_IMPORT, LATER, TYPING = "at import", "when a function runs", "by type checkers"


def python_files() -> list[Path]:
    return sorted(
        p for folder in ("pstructs", "cache", "distributed") for p in (ROOT / folder).rglob("*.py")
    )


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] in ("cache", "distributed"):
        parts.insert(0, "pstructs")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def layer_of(module: str) -> str:
    parts = module.split(".")
    if len(parts) > 1 and (parts[1] == "__main__" or re.fullmatch(r"_?cli(_\w+)?", parts[1])):
        return ROOF
    for layer in (DISTRIBUTED, CACHE):
        if module == layer or module.startswith(layer + "."):
            return layer
    return CORE


def lazy_third_party(module: str) -> set[str]:
    """What the functions of a module may import when they are called."""
    adapter = module == "pstructs.testing" or module.startswith("pstructs.interop.")
    return INTEROP if adapter else LAZY_THIRD_PARTY[layer_of(module)]


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(tree: ast.Module, package: str) -> list[tuple[str, int, str]]:
    """(module, line, when it happens) of every import statement."""
    found: list[tuple[str, int, str]] = []

    def visit(node: ast.AST, when: str) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, node.lineno, when) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            # `from pstructs import cache` names a module too
            found.append((base, node.lineno, when))
            found.extend((f"{base}.{alias.name}", node.lineno, when) for alias in node.names)
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            for child in node.body:
                visit(child, TYPING)
            for child in node.orelse:
                visit(child, when)
        else:
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                visit(child, LATER if function and when == AT_IMPORT else when)

    visit(tree, AT_IMPORT)
    return found


def python_breaches(path: Path, source: str) -> list[str]:
    module = module_name(path)
    layer = layer_of(module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    breaches = []
    for name, line, when in imports(ast.parse(source), package):
        where = f"{path.relative_to(ROOT)}:{line}"
        top = name.split(".")[0]
        if top == "pstructs":
            target = layer_of(name)
            if RANK[target] > RANK[layer]:
                breaches.append(f"{where}: {layer} imports {name} of {target}")
            elif layer == ROOF and when == AT_IMPORT and target in (CACHE, DISTRIBUTED):
                breaches.append(f"{where}: the roof imports {name} before it is needed")
        elif top in sys.stdlib_module_names or top == "__future__":
            continue
        elif top in THIRD_PARTY[layer]:
            if layer == ROOF and top == "ray" and when == AT_IMPORT:
                breaches.append(f"{where}: the roof imports ray before it is needed")
        elif when == TYPING and top in TYPING_THIRD_PARTY:
            continue
        elif not (top in lazy_third_party(module) and when != AT_IMPORT):
            breaches.append(f"{where}: {layer} imports {top}")
    return breaches


def test_python_layers_import_only_downwards() -> None:
    files = python_files()
    assert len(files) > 3
    assert [b for path in files for b in python_breaches(path, path.read_text())] == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("pstructs/x.py", "import pstructs.cache"),
        ("pstructs/x.py", "from pstructs import distributed"),
        ("pstructs/x.py", "from . import cache"),
        ("pstructs/x.py", "def f():\n    from pstructs.cache.store import SnapshotStore"),
        ("pstructs/x.py", "import numpy"),
        ("pstructs/x.py", "def f():\n    import typing_extensions"),
        ("pstructs/x.py", "if TYPE_CHECKING:\n    from pstructs.cache import SnapshotStore"),
        ("pstructs/x.py", "def f():\n    import pandas"),
        ("pstructs/x.py", "import pstructs.cli"),
        ("pstructs/interop/x.py", "import pandas"),
        ("pstructs/testing.py", "from hypothesis import strategies"),
        ("cache/x.py", "import ray"),
        ("cache/x.py", "from pstructs.distributed import share"),
        ("cache/x.py", "from ..distributed import share"),
        ("distributed/x.py", "from pstructs.cli import main"),
        ("pstructs/cli.py", "import pstructs.distributed"),
    ],
)
def test_the_check_reports_a_forbidden_import(path: str, line: str) -> None:
    assert python_breaches(ROOT / path, line) != []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("pstructs/x.py", "from pstructs._core import PMap\nimport os.path"),
        ("pstructs/x.py", "def f():\n    import numpy"),
        ("pstructs/x.py", "if TYPE_CHECKING:\n    from typing_extensions import Buffer"),
        ("pstructs/interop/x.py", "def f():\n    import pandas"),
        ("pstructs/interop/x.py", "if TYPE_CHECKING:\n    from pydantic_core import CoreSchema"),
        ("pstructs/testing.py", "def f():\n    from hypothesis import strategies"),
        ("cache/x.py", "from pstructs import packs\nimport diskcache"),
        ("cache/x.py", "from .store import SnapshotStore"),
        ("distributed/x.py", "import ray\nfrom pstructs.cache import SnapshotStore"),
        ("pstructs/cli.py", "def f():\n    from pstructs.distributed import share"),
        ("pstructs/cli_demo.py", "from pstructs.cli import app"),
        ("pstructs/_cli/demo.py", "def f():\n    from pstructs.cache import SnapshotStore"),
    ],
)
def test_the_check_allows_an_import_of_a_lower_layer(path: str, line: str) -> None:
    assert python_breaches(ROOT / path, line) == []


# ---------------------------------------------------------------- C

# From the bottom up; the first pattern that matches a file's stem is its layer.
C_LAYERS: list[tuple[str, str]] = [
    ("base", r"base|scratch"),
    ("bits", r"bits|error|hash(_\w+)?|siphash|state|crc32c?|blake\w*"),
    ("node", r"node(_\w+)?"),
    ("trees", r"(champ|rrb|btree)(_\w+)?"),
    ("objects", r"(collection|sorted)(_\w+)?"),  # the layout of the Python objects around a tree
    ("pack", r"(pack|msgpack)(_\w+)?"),
    ("types", r"type(_\w+)?|evolver|views?"),
    ("module", r"module"),
]


def c_layer(name: str) -> int:
    stem = name.rpartition(".")[0]
    for rank, (_, pattern) in enumerate(C_LAYERS):
        if re.fullmatch(pattern, stem):
            return rank
    raise AssertionError(f"{name}: add its layer to C_LAYERS")


def family(name: str) -> str:
    return name.rpartition(".")[0].split("_")[0]


def c_breaches(name: str, source: str) -> list[str]:
    breaches = []
    for included in re.findall(r'^\s*#\s*include\s+"([^"]+)"', source, re.MULTILINE):
        if included.endswith(".c"):
            breaches.append(f"{name} includes the source file {included}")
        elif c_layer(included) > c_layer(name):
            breaches.append(f"{name} includes {included} of a higher layer")
        elif c_layer(name) == c_layer("champ.h") == c_layer(included) and family(name) != family(
            included
        ):
            breaches.append(f"{name} includes {included} of another tree")
    return breaches


def c_files() -> list[Path]:
    return sorted(p for p in (ROOT / "pstructs" / "csrc").rglob("*.[ch]"))


def test_c_layers_include_only_downwards() -> None:
    files = c_files()
    assert len(files) > 5
    assert [b for path in files for b in c_breaches(path.name, path.read_text())] == []


def test_a_lower_c_layer_calls_no_function_of_a_pack() -> None:
    """Nodes and tries reach packs through `st->pack_ops` only, never by declaring one."""
    low = [p for p in c_files() if c_layer(p.name) <= c_layer("champ.h")]
    calls = [
        f"{path.name}: {call}"
        for path in low
        for call in re.findall(r"\bps_pack_\w+\s*\(", path.read_text())
    ]
    assert calls == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("node.c", '#include "champ.h"'),
        ("base.h", '#include "state.h"'),
        ("champ_find.c", '#include "pack.h"'),
        ("rrb.c", '#include "champ.h"'),
        ("pack_read.c", '#include "type_map.h"'),
        ("champ.c", '#include "champ_find.c"'),
    ],
)
def test_the_check_reports_a_forbidden_include(name: str, line: str) -> None:
    assert c_breaches(name, line) != []
