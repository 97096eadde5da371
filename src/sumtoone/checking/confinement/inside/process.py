"""The nursery: imports everything once, gives up what it can, then forks one confined child for each submission.

It is run as a file by a freshly executed Python. It speaks with the checker over one socket, a line of JSON each way:
``{"do": "open", ...}`` with the three ends of the child's pipes, and ``{"do": "close"}``. The end of the socket is the
end of everything here.
"""

from __future__ import annotations

import gc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import socket
import sys
import time
from typing import Any


def main(config: dict[str, Any]) -> None:
    """Serve until the socket ends."""
    control = socket.socket(fileno=config["control"])
    nursery = None
    try:
        nursery = _Nursery(config)
        _say(control, {"ready": True, "strong": nursery.strong})
        for job, pipes in _jobs(control):
            nursery.serve(control, job, pipes)
    except BaseException as error:
        _say(control, {"error": f"{type(error).__name__}: {error}"[:2000]})
    finally:
        if nursery is not None:
            nursery.bury(0.0)
        os._exit(0)


def _jobs(control: socket.socket) -> Any:
    """Yield each job with its descriptors, until the other side is gone."""
    while True:
        line, pipes = b"", []
        while not line.endswith(b"\n"):
            try:
                arrived, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 3)
            except ConnectionError:
                return
            if not arrived:
                return
            line += arrived
            pipes += descriptors
        yield json.loads(line), pipes


def _say(control: socket.socket, words: dict[str, Any]) -> None:
    try:
        control.sendall(json.dumps(words).encode() + b"\n")
    except OSError:  # nobody listens any more
        os._exit(0)


class _Nursery:
    def __init__(self, config: dict[str, Any]) -> None:
        from sumtoone.checking import performing
        from sumtoone.checking.confinement.inside import child, libraries, pages, system

        performing.prepare()
        self._linux, self._child = system.LINUX, child
        self._left_out = frozenset(config["without"])
        self._household: Any = None
        self._running = 0
        child.mapped_at_start = _mapped()
        folders = libraries.folders()
        wanted = config["isolation"]
        self.strong = False
        self.means = child.Means(limits="limits" not in self._left_out, left_out=self._left_out)
        # What stands now is shared by every child; a collection in one of them is not to copy it.
        gc.collect()
        gc.freeze()
        if self._linux:
            pages.collapse()
            _set_aside()
            self.strong = wanted in {None, "strong"} and "namespaces" not in self._left_out and _probe(folders)
            if wanted == "strong" and not self.strong and "namespaces" not in self._left_out:
                raise OSError("namespaces are not to be had here")
            self._withdraw(folders, plain=wanted == "weak")

    def _withdraw(self, folders: list[str], plain: bool) -> None:
        """Give up root and, where that works, the world; prepare the means for the children."""
        from sumtoone.checking.confinement.inside import landlock, libraries, namespaces
        from sumtoone.checking.confinement.inside.filters import Filter

        filtered = None
        if not plain and "seccomp" not in self._left_out:
            filtered = _available(Filter)
        reachable = None
        if self.strong:
            self._household = namespaces.enter(folders)
            reachable = libraries.Reachable(folders)
        else:
            reachable = libraries.Reachable(folders)
            if "root" not in self._left_out:
                namespaces.drop_root()
            self.means.kept = reachable.redirect()
        self.means.filter = filtered
        if not plain and "landlock" not in self._left_out:
            self.means.rules = _available(lambda: landlock.ruleset(reachable.descriptors))
        for descriptor in set(reachable.descriptors) - set(self.means.kept):
            os.close(descriptor)
        self._tasks = self._household.tasks if self._household else os.open("/proc/self/task", os.O_RDONLY)

    def serve(self, control: socket.socket, job: dict[str, Any], pipes: list[int]) -> None:
        if job["do"] == "open":
            pid = self._fork(job, pipes)
            for pipe in pipes:
                os.close(pipe)
            self._running = pid
            _say(control, {"pid": pid})
        else:
            _say(control, self.bury(job["grace"]))

    def _fork(self, job: dict[str, Any], pipes: list[int]) -> int:
        if self._linux and len(os.listdir(self._tasks)) != 1:  # noqa: PTH208 - it may have no path
            raise RuntimeError("more than one task in the nursery: a fork would copy locks that nobody opens")
        pid = self._household.fork() if self._household else os.fork()
        if pid == 0:
            self._child.live(self.means, job, pipes)
        return pid

    def bury(self, grace: float) -> dict[str, Any]:
        """See the child and its namespace gone, killed unless it ends in time; tell how it had ended."""
        pid, self._running = self._running, 0
        if not pid:
            return {"status": 0, "processor": 0.0, "resident": 0}
        done, status, usage = os.wait4(pid, os.WNOHANG)
        until = time.monotonic() + grace
        while not done and time.monotonic() < until:
            time.sleep(0.001)
            done, status, usage = os.wait4(pid, os.WNOHANG)
        if not done:
            os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            status = -1  # it had not ended by itself
        return {"status": status, "processor": usage.ru_utime + usage.ru_stime, "resident": usage.ru_maxrss * 1024}


def _available(make: Any) -> Any:
    """Return a means, or None where the system has none; what is missing, the canaries will tell."""
    try:
        return make()
    except OSError:
        return None


def _probe(folders: list[str]) -> bool:
    """Return whether a throw-away process can go the whole way, twice as far as a child."""
    from sumtoone.checking.confinement.inside import namespaces

    pid = os.fork()
    if not pid:
        try:
            household = namespaces.enter(folders)
            for _ in range(2):
                inner = household.fork()
                if not inner:
                    os._exit(0)
                os.waitpid(inner, 0)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def _set_aside() -> None:
    """Where memory runs out, this goes before anything of the user's."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write("1000")
    except OSError:
        pass


def _mapped() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _load_package(folders: list[str]) -> None:
    """Import this package, and nothing else, from the folders the checker has it from."""
    # What an editable install has put before the usual finders would lead elsewhere.
    usual = (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, importlib.machinery.PathFinder)
    sys.meta_path[:] = usual
    place = next(path for folder in folders if os.path.exists(path := f"{folder}/__init__.py"))  # noqa: PTH110
    spec = importlib.util.spec_from_file_location("sumtoone", place, submodule_search_locations=folders)
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["sumtoone"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    sys.argv[:] = [""]
    sys.path.extend(path for path in given["paths"] if path not in sys.path)
    _load_package(given["package"])
    main(given)
