"""Where the report is written: as a whole, for its owner alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipelines import clock
from pipelines.errors import ReportError
from pipelines.files import make_private, replace_file
from pipelines.reporting.report.sections import read_sections

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pipelines.warehouse.base import Warehouse

REPORTS = "reports"
LATEST = "threads.html"
HINT = "Make room, or name another file with --out"


def write_report(warehouse: Warehouse, directory: Path, out: Path | None = None) -> Path:
    """Write the report of what is published; return its path.

    Without `out` it is in the directory of reports, named by the time of the newest poll.
    Raises WarehouseError if nothing is published yet, ReportError if the report cannot be drawn or
    written.
    """
    with warehouse.read() as connection:
        sections = read_sections(connection)
    if out is None:
        out = directory / name_report(sections["headline"].rows[0]["as_of"])
    if out.parent == directory:
        make_private(out.parent)
    # Imported late: Altair takes half a second, which every run of the main job would pay.
    from pipelines.reporting.report.page import render_page  # noqa: PLC0415

    page = render_page(sections, clock.now())
    try:
        write_whole(out, page)
    except OSError as error:
        raise ReportError(f"{out}: cannot be written ({error.strerror}). {HINT}") from None
    return out


def name_report(as_of: datetime | None) -> str:
    """Return the name of a report: names sort by the time of its data."""
    return f"threads-{as_of:%Y%m%dT%H%M%SZ}.html" if as_of else "threads-never-polled.html"


def write_whole(path: Path, text: str) -> None:
    """Put a text into a file at once, its reader's mode kept; a new file is for its owner alone."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")  # a device or a pipe, which must not be replaced
        return
    path = path.resolve()
    with replace_file(path) as file:
        file.write(text.encode())
        if path.exists():
            os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
