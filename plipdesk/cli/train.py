"""``plipdesk train``: train encoders from recipes."""

from __future__ import annotations

from plipdesk.cli.commands import group

app = group("Train encoders from recipes.")
