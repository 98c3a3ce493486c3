"""What a tool must offer so that the canvas hands it mouse and keys instead of moving the slide."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent

from plipdesk.desktop.state.shapes import Point
from plipdesk.desktop.viewer.overlays import Glass


class Touch(Protocol):
    """A tool at work. Points are in level-0 pixels; ``zoom`` of the glass tells how large a screen pixel is there."""

    @property
    def cursor(self) -> Qt.CursorShape:
        """The mouse's shape while the tool is chosen."""

    def press(self, at: Point, /) -> bool:
        """The left button went down; False: the slide is to be dragged instead."""

    def move(self, at: Point, /) -> bool:
        """The mouse moved, pressed or not; True: draw anew."""

    def release(self, at: Point, /) -> None:
        """The left button went up."""

    def double(self, at: Point, /) -> bool:
        """A double click; False: the slide is zoomed instead."""

    def key(self, event: QKeyEvent, middle: Point, /) -> bool:
        """A key, with the middle of the view; False: the key is for the canvas."""

    def paint(self, glass: Glass) -> None:
        """Draw what is being drawn, above all layers."""

    def leave(self) -> None:
        """Another tool is chosen, or another slide: drop what is unfinished."""
