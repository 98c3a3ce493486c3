"""The worker process: ``python -m plipdesk.engine.worker --workspace DIR --child N --engine-pid PID``.

It leases one job after another from the engine, does it at low priority, and ends with the engine.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence

from plipdesk.engine.child import begin_child


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the worker process; returns its exit status."""
    multiprocessing.freeze_support()
    options = begin_child("worker", arguments)
    # Only now: see plipdesk.engine.child.
    from plipdesk.engine.working import work

    work(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
