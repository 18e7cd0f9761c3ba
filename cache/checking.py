"""`Checking`: the methods of a store that look for damage."""

from __future__ import annotations

from pstructs.cache.opened import OpenStore, Progress
from pstructs.cache.verify import VerifyReport, verify_store
from pstructs.cache.version import VersionName

__all__ = ["Checking"]


class Checking(OpenStore):
    """Looks for damage."""

    def verify(
        self,
        version: VersionName | None = None,
        progress: Progress | None = None,
    ) -> VerifyReport:
        """Read and check everything: every row of the catalog and every byte of every pack.

        Parameters
        ----------
        version : Version, int or str, optional
            Check only this version: its row, its pack, and all packs that these reach.
        progress : callable, optional
            Called with the packs that are done and the packs that there are.

        Returns
        -------
        VerifyReport
            What was checked, and what was found lying about.

        Raises
        ------
        StoreDamagedError
            After all was checked: `problems` says what is damaged and which versions it reaches.

        Notes
        -----
        *Cost*: O(bytes in the store).
        """
        con = self._con()
        swept = self._swept + (self._folder.sweep() if self._committer.poison is None else 0)
        self._swept = 0
        with self._folder.using():
            return verify_store(self._folder, con, version, progress, swept)
