"""Configuration of the Sphinx documentation: `make docs`."""

from __future__ import annotations

import pstructs

project = "pstructs"
author = "pstructs contributors"
copyright = "2026, pstructs contributors"
release = version = pstructs.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "examples"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_custom_sections = ["Cost"]
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_member_order = "groupwise"
autodoc_typehints = "none"  # the docstrings carry the types

html_theme = "furo"
html_title = f"pstructs {release}"
