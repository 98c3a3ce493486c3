"""Pictures of slides and patches, fetched from the reader process when they are first seen."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage, QPixmap

from plipdesk.desktop.link import Channel, Link
from plipdesk.desktop.state.lru import Lru
from plipdesk.engine import messages as m

BUDGET_BYTES = 96 * 1024 * 1024
OPEN_LIMIT = 3
"""Few at a time: what is scrolled past is then hardly ever read."""
QUEUE_LIMIT = 200

PictureRequest = m.ReadRegion | m.ReadThumbnail


def pixmap_of(pixels: m.Pixels, device_ratio: float = 1.0) -> QPixmap:
    """The reader's pixels as a pixmap; only for the window's thread."""
    image = QImage(pixels.rgb, pixels.width_px, pixels.height_px, 3 * pixels.width_px, QImage.Format.Format_RGB888)
    # The conversion copies: the picture must not point into the message's memory.
    pixmap = QPixmap.fromImage(image.convertToFormat(QImage.Format.Format_RGB32))
    pixmap.setDevicePixelRatio(device_ratio)
    return pixmap


class PictureStore(QObject):
    """Pictures by the request that draws them. What was asked for last is fetched first, and a few at a time."""

    arrived = Signal(object)
    """A picture can now be drawn, or turned out to be unreadable (the request)."""

    def __init__(self, link: Link, channel: Channel = "pictures", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._channel = channel
        self._pixmaps: Lru[PictureRequest, QPixmap] = Lru(BUDGET_BYTES)
        self._reasons: dict[PictureRequest, str] = {}
        self._queue: dict[PictureRequest, None] = {}
        self._open: set[PictureRequest] = set()

    def picture(self, request: PictureRequest) -> QPixmap | None:
        """The picture, or None: then it is fetched, and :attr:`arrived` tells."""
        found = self._pixmaps.get(request)
        if found is None and request not in self._open and request not in self._reasons:
            self._queue.pop(request, None)
            self._queue[request] = None
            if len(self._queue) > QUEUE_LIMIT:
                del self._queue[next(iter(self._queue))]
            self._pump()
        return found

    def reason(self, request: PictureRequest) -> str | None:
        """Why the picture cannot be read, if it cannot."""
        return self._reasons.get(request)

    def forget_reasons(self) -> None:
        """Try again what could not be read: files may have come back."""
        self._reasons.clear()

    @property
    def idle(self) -> bool:
        """Whether nothing is being fetched."""
        return not self._open and not self._queue

    def _pump(self) -> None:
        while self._queue and len(self._open) < OPEN_LIMIT:
            request, _ = self._queue.popitem()
            self._open.add(request)
            self._link.ask(
                request,
                lambda reply, request=request: self._on_picture(request, reply),  # type: ignore[misc]
                lambda failure, request=request: self._on_refused(request, failure),  # type: ignore[misc]
                channel=self._channel,
            )

    def _on_picture(self, request: PictureRequest, reply: m.Message) -> None:
        self._open.discard(request)
        if isinstance(reply, m.Pixels) and reply.width_px > 0:
            self._pixmaps.put(request, pixmap_of(reply), len(reply.rgb) * 4 // 3)
            self.arrived.emit(request)
        self._pump()

    def _on_refused(self, request: PictureRequest, failure: m.Failed) -> None:
        self._open.discard(request)
        self._reasons[request] = failure.message
        self.arrived.emit(request)
        self._pump()
