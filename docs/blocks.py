"""Write anew what the commands of a page print: ``python docs/blocks.py docs/softmax-by-hand.md …``.

In a block marked ``console`` the lines below a ``$ command`` are its output. A page whose name ends in ``.ko.md``
speaks Korean. This is for pages whose commands read nothing and write nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path


def renewed(page: str, language: str) -> str:
    """Return a page with the outputs that its commands have now."""
    return re.sub(r"(?<=^```console\n).*?(?=^```)", lambda block: _ran(block[0], language), page, flags=re.M | re.S)


def _ran(block: str, language: str) -> str:
    surroundings = {**os.environ, "SUMTOONE_LANG": language, "COLUMNS": "80"}
    lines = []
    for command in re.findall(r"^\$ (.*)", block, re.M):
        # The commands are ours, and written for a shell. The page shows what this interpreter's sumtoone says.
        own = re.sub("^sumtoone ", lambda _: f"{shlex.quote(sys.executable)} -m sumtoone ", command)
        done = subprocess.run(own, shell=True, env=surroundings, capture_output=True, text=True, check=False)  # noqa: S602
        lines += [f"$ {command}", *(done.stdout + done.stderr).splitlines()]
    return "".join(f"{line.rstrip()}\n" for line in lines)


if __name__ == "__main__":
    for name in map(Path, sys.argv[1:]):
        spoken = "ko" if name.name.endswith(".ko.md") else "en"
        name.write_text(renewed(name.read_text(encoding="utf-8"), spoken), encoding="utf-8")
