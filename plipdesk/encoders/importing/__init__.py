"""Models from elsewhere become encoders: read, converted once, checked, and kept whole or not at all.

:func:`import_model` is the one way in; :class:`ImportReport` tells what came of it.
"""

from __future__ import annotations

from plipdesk.encoders.importing.importer import import_model
from plipdesk.encoders.importing.report import ImportReport, ProbeReport

__all__ = ["ImportReport", "ProbeReport", "import_model"]
