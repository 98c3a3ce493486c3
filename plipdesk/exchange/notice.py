"""What stands in every export."""

from __future__ import annotations

NOTICE = "For research use only. Not for diagnosis."
