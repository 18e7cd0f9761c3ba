"""Persistent collections for Python, with a C core."""

from pstructs._core import stable_hash

__version__ = "0.1.0"
__all__ = ["stable_hash"]
