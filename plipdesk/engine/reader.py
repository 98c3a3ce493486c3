"""The reader process: ``python -m plipdesk.engine.reader --workspace DIR --child N --engine-pid PID``.

It reads slides for windows, at an address of its own, without torch and without ONNX Runtime. Should a slide crash its
native code, the engine starts another for the next window that asks.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence

from plipdesk.engine.child import begin_child


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the reader process; returns its exit status."""
    multiprocessing.freeze_support()
    options = begin_child("reader", arguments)
    # Only now: see plipdesk.engine.child.
    from plipdesk.engine.viewing import serve_windows

    serve_windows(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
