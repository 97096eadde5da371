"""The page that shows a run: static files without a build step, and what they are told of the run.

:func:`asset` gives the files, :func:`document` what a run says of itself, :func:`single_file` both as one HTML file.
Whoever serves them knows HTTP; nothing here does.
"""

from __future__ import annotations

from sumtoone.page.assets import Content, asset
from sumtoone.page.bundling import single_file
from sumtoone.page.documents import document

__all__ = ["Content", "asset", "document", "single_file"]
