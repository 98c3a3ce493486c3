"""Times as the catalogue stores them."""

from __future__ import annotations

from datetime import UTC, datetime


def now_text() -> str:
    """Now, UTC, ISO 8601 to the millisecond, such as ``2026-01-31T12:00:00.000Z``; sorts as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
