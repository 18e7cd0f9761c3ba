"""Make the HTML that `asv publish` wrote work without a network.

Its index.html loads jQuery, Bootstrap, Flot and two small scripts from content delivery networks.
This script takes the same files from their npm packages into `html/vendor` and points the page
there. It needs npm and the package index once; browsing needs neither.

    python offline_assets.py html
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# name of the file in the page -> (npm package, path inside it)
ASSETS = {
    "jquery-3.3.1.min.js": ("jquery@3.3.1", "dist/jquery.min.js"),
    "jquery.flot.min.js": ("flot@0.8.3", "jquery.flot.js"),
    "jquery.flot.time.min.js": ("flot@0.8.3", "jquery.flot.time.js"),
    "jquery.flot.selection.min.js": ("flot@0.8.3", "jquery.flot.selection.js"),
    "jquery.flot.categories.min.js": ("flot@0.8.3", "jquery.flot.categories.js"),
    "jquery.flot.orderBars.js": ("flot-orderbars@1.0.0", "js/jquery.flot.orderBars.js"),
    "stupidtable.min.js": ("stupid-table-plugin@1.1.3", "stupidtable.min.js"),
    "md5.min.js": ("blueimp-md5@2.19.0", "js/md5.min.js"),
    "bootstrap.min.js": ("bootstrap@3.1.1", "dist/js/bootstrap.min.js"),
    "bootstrap.min.css": ("bootstrap@3.1.1", "dist/css/bootstrap.min.css"),
}
LINK = re.compile(r'(?P<attribute>src|href)="https?://[^"]*/(?P<name>[^"/]+\.(?:js|css))"')
FROM_ELSEWHERE = re.compile(r'<(?:script|link)\b[^>]*(?:src|href)="https?://[^"]*"')
GUARDS = re.compile(r' (?:integrity|crossorigin|referrerpolicy)="[^"]*"')


def fetch(packages: set[str], into: Path) -> None:
    """Install npm packages below `into`, without running their scripts."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is needed to fetch the scripts of the page")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--legacy-peer-deps"]
    subprocess.run([*command, "--prefix", str(into), *sorted(packages)], check=True)


def main(html: Path) -> None:
    """Copy the assets into `html` and rewrite its index.html."""
    page = html / "index.html"
    if not page.is_file():
        raise SystemExit(f"{page} is missing: run `asv publish` first")
    lines = page.read_text().splitlines(keepends=True)
    wanted = {match["name"] for line in lines if (match := LINK.search(line))}
    if unknown := wanted - ASSETS.keys():
        raise SystemExit(f"asv loads files that are not listed here: {sorted(unknown)}")
    vendor = html / "vendor"
    vendor.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        fetch({ASSETS[name][0] for name in wanted}, Path(folder))
        for name in wanted:
            package, path = ASSETS[name]
            module = package.rpartition("@")[0]
            shutil.copyfile(Path(folder) / "node_modules" / module / path, vendor / name)
    for number, line in enumerate(lines):
        if LINK.search(line):
            local = LINK.sub(r'\g<attribute>="vendor/\g<name>"', line)
            lines[number] = GUARDS.sub("", local)
    if left := [line.strip() for line in lines if FROM_ELSEWHERE.search(line)]:
        raise SystemExit(f"still loaded from elsewhere: {left}")
    page.write_text("".join(lines))
    print(f"{page}: {len(wanted)} files are local now")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "html"))
