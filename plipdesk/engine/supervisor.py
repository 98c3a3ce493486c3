"""Starting, watching and ending the worker and reader processes of an engine."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Literal

from plipdesk.base.paths import Workspace
from plipdesk.engine.child import ENGINE_GONE
from plipdesk.engine.jobs import Death
from plipdesk.engine.launch import Child, spawn_child

_LOG = logging.getLogger(__name__)
ChildKind = Literal["worker", "reader"]
_PATIENCE = 15
_COST: dict[Death, int] = {"crashed": 5, "ended": 5, "killed": 1}
"""What each end of a child that was of no use takes of the patience; kills may be a person's, or for memory."""
_END_TIMEOUT_S = 3.0
_ASKED_TO_END = {-getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)}


def death_of(status: int) -> Death:
    """What an exit status says: ended by itself, killed from outside, or crashed (native code, or a bug)."""
    if status in (0, ENGINE_GONE):
        return "ended"
    return "killed" if status in _ASKED_TO_END else "crashed"


class Supervisor:
    """At most one living child of each kind.

    Children are started on the thread that runs what is given to ``post``, the engine's main thread, since Linux ends
    them when the thread that started them ends. ``ended`` is told of each end; ``hopeless`` when a kind of process dies
    time and again before it was of any use.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        post: Callable[[Callable[[], None]], None],
        ended: Callable[[ChildKind, int, Death], None],
        hopeless: Callable[[ChildKind], None],
    ) -> None:
        self._workspace = workspace
        self._post = post
        self._on_ended = ended
        self._on_hopeless = hopeless
        self._lock = threading.Lock()
        self._children: dict[int, Child] = {}
        self._hung: set[int] = set()
        self._spent: dict[ChildKind, int] = {"worker": 0, "reader": 0}
        self._checked_in: set[int] = set()
        self._useful: set[int] = set()
        self._last_number = 0
        self._ending = False

    def want(self, kind: ChildKind) -> None:
        """Have a child of this kind, if there is none; from any thread."""
        self._post(partial(self._start_if_missing, kind))

    def check_in(self, number: int) -> bool:
        """A child says hello; returns whether it is one of ours."""
        with self._lock:
            if number not in self._children:
                return False
            self._checked_in.add(number)
            return True

    def useful(self, number: int) -> None:
        """A child has begun to do what it is for."""
        with self._lock:
            child = self._children.get(number)
            if child is not None:
                self._useful.add(number)
                self._spent[child.kind] = 0

    def kill(self, number: int) -> None:
        """End a child that hangs; what it had in work is blamed."""
        with self._lock:
            child = self._children.get(number)
            self._hung.add(number)
        if child is not None:
            _LOG.warning("the %s process hangs and is ended", child.kind)
            child.kill()

    def end_all(self) -> None:
        """Wait for the children to end after their connections have been closed; end those at once that do not."""
        with self._lock:
            self._ending = True
            children = list(self._children.values())
        waits = [threading.Thread(target=child.wait, daemon=True) for child in children]
        for wait in waits:
            wait.start()
        for wait, child in zip(waits, children, strict=True):
            wait.join(timeout=_END_TIMEOUT_S)
            if wait.is_alive():
                child.kill()
                wait.join(timeout=_END_TIMEOUT_S)

    def _start_if_missing(self, kind: ChildKind) -> None:
        with self._lock:
            if self._ending or any(child.kind == kind for child in self._children.values()):
                return
            self._last_number += 1
            number = self._last_number
        child = spawn_child(kind, self._workspace, number, os.getpid())
        with self._lock:
            self._children[number] = child
        threading.Thread(target=self._watch, args=(child,), name=f"watch-{kind}", daemon=True).start()

    def _watch(self, child: Child) -> None:
        status = child.wait()
        self._post(partial(self._ended, child, status))

    def _ended(self, child: Child, status: int) -> None:
        death = death_of(status)
        with self._lock:
            del self._children[child.number]
            if child.number in self._hung:
                self._hung.discard(child.number)
                death = "crashed"
            in_vain = child.number not in self._useful and (death != "ended" or child.number not in self._checked_in)
            self._checked_in.discard(child.number)
            self._useful.discard(child.number)
            if in_vain:
                self._spent[child.kind] += _COST[death]
            out = self._spent[child.kind] >= _PATIENCE
            if out:
                self._spent[child.kind] = 0
        if death != "ended":
            _LOG.warning("the %s process %s (exit status %d)", child.kind, death, status)
        if out:
            self._on_hopeless(child.kind)
        self._on_ended(child.kind, child.number, death)
