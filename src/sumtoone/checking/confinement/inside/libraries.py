"""The folders of Python's libraries: all that a confined child can read, so that late imports go on working."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

_FIRST_DESCRIPTOR = 16


def folders() -> list[str]:
    """Return the folders of the standard library and of installed packages, none inside another."""
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    installed = {entry for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages", "lib-dynload"}}
    found = sorted(folder for folder in {*standard, *installed} if folder and Path(folder).is_dir())
    return [folder for folder in found if not any(folder.startswith(other + "/") for other in found)]


class Reachable:
    """The library folders as descriptors, opened while this process may still open them."""

    def __init__(self, paths: list[str]) -> None:
        import fcntl

        self._paths = paths
        self.descriptors = []
        for path in paths:
            opened = os.open(path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
            # High enough to stay out of the way of the numbers that a child gives to its pipes.
            self.descriptors.append(fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR))
            os.close(opened)

    def redirect(self) -> list[int]:
        """Lead imports through the descriptors of folders whose path is closed to this user; return those to be kept.

        Python may live in root's home, which nobody cannot enter. A descriptor leads past that.
        """
        closed = {
            path: f"/proc/self/fd/{descriptor}"
            for path, descriptor in zip(self._paths, self.descriptors, strict=True)
            if not os.access(path, os.R_OK | os.X_OK)
        }
        if closed:
            sys.path[:] = [_led(entry, closed) for entry in sys.path]
            for module in list(sys.modules.values()):
                places = getattr(module, "__path__", None)
                if isinstance(places, list):
                    places[:] = [_led(place, closed) for place in places]
            sys.path_importer_cache.clear()
        return [int(path.rsplit("/", 1)[1]) for path in closed.values()]


def _led(place: str, closed: dict[str, str]) -> str:
    for path, through in closed.items():
        if place == path or place.startswith(path + "/"):
            return through + place[len(path) :]
    return place
