"""The one C extension of pstructs; all metadata is in setup.cfg.

Environment: PSTRUCTS_DEBUG=1 checks invariants after every operation, PSTRUCTS_SMALL=1 builds
tiny trees, PSTRUCTS_WERROR=1 makes warnings errors, PSTRUCTS_PORTABLE=1 uses no instruction
beyond the compiler's default target, PSTRUCTS_SANITIZE=address,undefined instruments the code.
"""

import os
import platform
from glob import glob

from setuptools import Extension, setup

flags = ["-std=c11", "-O3", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fno-strict-aliasing"]
flags += ["-Wno-missing-field-initializers", "-Wno-cast-function-type", "-fvisibility=hidden"]
link: list[str] = []
macros: list[tuple[str, str | None]] = []


def on(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


if platform.machine().lower() in ("x86_64", "amd64") and not on("PSTRUCTS_PORTABLE"):
    flags += ["-msse4.2", "-mpopcnt"]
if on("PSTRUCTS_DEBUG"):
    macros.append(("PS_DEBUG", None))
    flags += ["-UNDEBUG", "-g"]
if on("PSTRUCTS_SMALL"):
    macros.append(("PS_SMALL", None))
if on("PSTRUCTS_WERROR"):
    flags.append("-Werror")
if sanitize := os.environ.get("PSTRUCTS_SANITIZE"):
    flags += [
        f"-fsanitize={sanitize}",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
        "-O1",
        "-g",
    ]
    link += [f"-fsanitize={sanitize}"]

setup(
    ext_modules=[
        Extension(
            "pstructs._core",
            sources=sorted(glob("pstructs/csrc/*.c")),
            depends=sorted(glob("pstructs/csrc/*.h")),
            include_dirs=["pstructs/csrc"],
            define_macros=macros,
            extra_compile_args=flags,
            extra_link_args=link,
        )
    ]
)
