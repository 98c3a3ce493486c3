"""The reader process: ``python -m plipdesk.engine.reader --workspace DIR --child N --engine-pid PID``.

It reads slides for windows, at an address of its own, without torch and without ONNX Runtime. Should a slide crash its
native code, the engine starts another for the next window that asks.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Sequence

from plipdesk.base.budget import CpuBudget
from plipdesk.base.paths import Workspace
from plipdesk.engine.child import attach_to_engine, child_arguments
from plipdesk.engine.logs import ProcessLog
from plipdesk.engine.messages import ReaderReady
from plipdesk.engine.rendezvous import EngineNote
from plipdesk.engine.server import Server
from plipdesk.engine.transport import Address, Listener
from plipdesk.engine.viewing import ViewingService


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the reader process; ends with the engine."""
    multiprocessing.freeze_support()
    options = child_arguments("reader", arguments)
    workspace = Workspace(options.workspace)
    log = ProcessLog(workspace, "reader")
    engine = attach_to_engine("reader", workspace, options.child, options.engine_pid)
    note = EngineNote.read(workspace)
    if engine is None or note is None:
        return 0
    listener = Listener(beside=Address.parse(note.address))
    service = ViewingService(threads=CpuBudget.of_machine().reader_threads, unforeseen=log.bug)
    Server(listener, service, unforeseen=log.bug).start()
    engine.request(ReaderReady(str(listener.address)))
    # Whatever ends the engine ends this process, on the connection's thread.
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
