"""Work that runs in the command itself, without the engine, drawn as a bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plipdesk.base.progress import Json, RateMeter

if TYPE_CHECKING:
    from rich.progress import Progress


class BarContext:
    """A :class:`~plipdesk.base.progress.JobContext` that moves a bar; Ctrl-C stops the work by itself."""

    def __init__(self, bar: Progress) -> None:
        """Take a bar with a field ``unit``, as :meth:`~plipdesk.cli.session.Session.progress_bar` makes it."""
        self._bar = bar
        self._meter = RateMeter()
        self._task = bar.add_task("starting", total=None, unit="")

    def report(self, done: int, total: int, *, unit: str, note: str = "") -> None:
        """Move the bar."""
        rate = self._meter.progress(done, total, unit=unit).rate_per_s
        shown = unit if rate is None or unit == "steps" else f"{unit}, {rate:,.1f} a second"
        self._bar.update(self._task, completed=done, total=total or None, description=note or "working", unit=shown)

    def check_cancel(self) -> None:
        """Never asked: the interrupt ends the command."""

    def checkpoint(self, state: Mapping[str, Json]) -> None:
        """Nothing is kept."""
