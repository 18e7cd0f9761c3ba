"""Make the HTML that `asv publish` wrote work without a network.

Its index.html loads jQuery, Bootstrap, Flot and two small scripts from a content delivery network.
This script takes the same files from npm packages into `html/vendor` and points index.html there.

    python offline_assets.py html
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# file name in the CDN address -> (npm package with version, path inside it)
ASSETS: dict[str, tuple[str, str]] = {}


def main(html: Path) -> None:
    raise NotImplementedError


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "html"))
