"""The tiles of one slide: asked of the reader coarse before sharp, kept within a bound, drawn without seams."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from PySide6.QtCore import QObject, QRectF, Qt, Signal
from PySide6.QtGui import QImage, QPainter, QPixmap, QTransform

from plipdesk.desktop.link import Link
from plipdesk.desktop.pictures import pixmap_of
from plipdesk.desktop.state.lru import Lru
from plipdesk.desktop.viewer.camera import Camera, Rect, Viewport
from plipdesk.desktop.viewer.drawing import draw_unread
from plipdesk.desktop.viewer.look import Look
from plipdesk.desktop.viewer.pyramid import Pyramid, TileKey
from plipdesk.desktop.viewer.scheduler import TileScheduler
from plipdesk.engine import messages as m

CACHE_BYTES = 256 * 1024 * 1024
DRESSED_BYTES = 64 * 1024 * 1024
TILE_BYTES = 512 * 512 * 4
OVERDRAW_PX = 0.6
"""By how much a turned tile is drawn larger, so that no seam shows between neighbours."""
_views = itertools.count(1)


class TileStore(QObject):
    """Fetches and draws; :attr:`arrived` when there is something new to draw."""

    arrived = Signal()
    top_changed = Signal(object)
    """The picture of the whole slide (a QPixmap)."""

    def __init__(self, link: Link, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._link = link
        # What one view no longer needs must not drop what another waits for.
        self._view = next(_views)
        self._slide: m.SlideOpened | None = None
        self._tiles: Lru[TileKey, QPixmap] = Lru(CACHE_BYTES)
        self._dressed: Lru[TileKey, QPixmap] = Lru(DRESSED_BYTES)
        self._tickets: set[int] = set()
        self._seen: tuple[Rect, float] | None = None
        self.look = Look()
        self.scheduler: TileScheduler | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is being fetched, not even ahead."""
        return not self._tickets

    def at_rest(self) -> bool:
        """Whether all that the view can show is there, sharp."""
        return self.scheduler is not None and self.scheduler.at_rest()

    def open(self, slide: m.SlideOpened) -> None:
        """Another slide."""
        self._slide = slide
        self._begin(slide)

    def close(self) -> None:
        """No slide."""
        self._slide = self._seen = None
        if self.scheduler is not None:
            self.scheduler.look(Rect(-2, -2, 1, 1), 1)
        self._tiles.clear()
        self._dressed.clear()

    def set_look(self, look: Look) -> None:
        """Show pixels in another way; only another use of the profile needs them read again."""
        again = look.icc != self.look.icc and self._slide is not None and self._slide.has_icc
        self.look = look
        self._dressed.clear()
        if again and self._slide is not None:
            self._begin(self._slide)
            if self._seen is not None:
                self.see(*self._seen)
        elif (top := self.top()) is not None:
            self.top_changed.emit(top)
        self.arrived.emit()

    def see(self, seen: Rect, device_zoom: float) -> None:
        """The view shows ``seen`` (level-0 pixels) at so many device pixels per level-0 pixel."""
        self._seen = (seen, device_zoom)
        if self.scheduler is not None:
            self.scheduler.look(seen, device_zoom)
            self._tiles.budget = max(CACHE_BYTES, round(1.25 * self.scheduler.cache_tiles * TILE_BYTES))
            self._pump()

    def top(self) -> QPixmap | None:
        """The whole slide in one tile, if it has come."""
        return None if self.scheduler is None else self._looking(self.scheduler.pyramid.top)

    def colour_at(self, x0_px: float, y0_px: float) -> tuple[int, int, int] | None:
        """Red, green and blue of the sharpest tile there is at a point of the slide."""
        if self.scheduler is None:
            return None
        pyramid = self.scheduler.pyramid
        if not (0 <= x0_px < pyramid.width0_px and 0 <= y0_px < pyramid.height0_px):
            return None
        level = self.scheduler.visible[0].level if self.scheduler.visible else pyramid.top_level
        side = pyramid.tile_px * 2.0**level
        key = TileKey(level, int(x0_px // side), int(y0_px // side))
        for up in range(pyramid.top_level - level + 1):
            candidate = pyramid.ancestor(key, up)
            pixmap = self._looking(candidate)
            if pixmap is not None:
                rect = pyramid.rect(candidate)
                x = min(pixmap.width() - 1, int((x0_px - rect.x) / rect.width * pixmap.width()))
                y = min(pixmap.height() - 1, int((y0_px - rect.y) / rect.height * pixmap.height()))
                colour = pixmap.copy(x, y, 1, 1).toImage().pixelColor(0, 0)
                return colour.red(), colour.green(), colour.blue()
        return None

    # --- fetching ---

    def _begin(self, slide: m.SlideOpened) -> None:
        for ticket in self._tickets:
            self._link.forget(ticket)
        self._tickets.clear()
        self._tiles.clear()
        self._dressed.clear()
        generation = 0 if self.scheduler is None else self.scheduler.generation + 1
        pyramid = Pyramid(slide.width_px, slide.height_px)
        self.scheduler = TileScheduler(pyramid, self._tiles.__contains__, generation=generation)
        self._tiles.pinned.add(pyramid.top)

    def _pump(self) -> None:
        scheduler, slide = self.scheduler, self._slide
        if scheduler is None or slide is None:
            return
        for key in scheduler.due():
            rect = scheduler.pyramid.rect(key)
            width_px, height_px = scheduler.pyramid.size_px(key)
            request = m.ReadRegion(
                slide.path,
                rect.x,
                rect.y,
                rect.width,
                rect.height,
                width_px,
                height_px,
                generation=scheduler.generation,
                icc=self.look.icc and slide.has_icc,
                view=self._view,
            )
            self._ask(scheduler, key, request)

    def _ask(self, scheduler: TileScheduler, key: TileKey, request: m.ReadRegion) -> None:
        ticket = 0

        def done(reply: m.Message) -> None:
            self._tickets.discard(ticket)
            if isinstance(reply, m.Pixels) and reply.width_px > 0:
                self._tiles.put(key, pixmap_of(reply), reply.width_px * reply.height_px * 4)
                scheduler.answered(key, "pixels")
                if key == scheduler.pyramid.top:
                    self.top_changed.emit(self._looking(key))
                self.arrived.emit()
            else:
                scheduler.answered(key, "dropped")
            self._pump()

        def failed(_failure: m.Failed) -> None:
            self._tickets.discard(ticket)
            scheduler.answered(key, "failed")
            self.arrived.emit()
            self._pump()

        ticket = self._link.ask(request, done, failed, channel="viewer")
        self._tickets.add(ticket)

    def _looking(self, key: TileKey) -> QPixmap | None:
        """The tile as it is to be shown."""
        plain = self._tiles.get(key)
        if plain is None or self.look.neutral:
            return plain
        dressed = self._dressed.get(key)
        if dressed is None:
            image = plain.toImage().convertToFormat(QImage.Format.Format_RGB888)
            width, height = image.width(), image.height()
            rgb = self.look.applied(bytes(image.constBits()))
            image = QImage(rgb, width, height, image.bytesPerLine(), QImage.Format.Format_RGB888)
            # The conversion copies: the picture must not point into the bytes.
            dressed = QPixmap.fromImage(image.convertToFormat(QImage.Format.Format_RGB32))
            self._dressed.put(key, dressed, 4 * width * height)
        return dressed

    # --- drawing ---

    def draw(self, painter: QPainter, camera: Camera, view: Viewport) -> None:
        """Draw the best tiles there are, coarse ones below sharp ones."""
        scheduler = self.scheduler
        if scheduler is None:
            return
        pyramid = scheduler.pyramid
        drawn: dict[TileKey, QPixmap] = {}
        unread = []
        for key in scheduler.visible:
            if key in scheduler.unreadable:
                unread.append(key)
            for up in range(pyramid.top_level - key.level + 1):
                candidate = pyramid.ancestor(key, up)
                pixmap = drawn.get(candidate) or self._looking(candidate)
                if pixmap is not None:
                    drawn[candidate] = pixmap
                    break
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        place = _turned(painter, camera, view) if camera.rotation_deg else _straight(painter, camera, view)
        painter.fillRect(place(Rect(0, 0, pyramid.width0_px, pyramid.height0_px)), Qt.GlobalColor.white)
        for key in sorted(drawn, key=lambda key: -key.level):
            pixmap = drawn[key]
            painter.drawPixmap(place(pyramid.rect(key)), pixmap, QRectF(pixmap.rect()))
        for key in unread:
            draw_unread(painter, place(pyramid.rect(key)))
        painter.restore()


def _straight(painter: QPainter, camera: Camera, view: Viewport) -> Callable[[Rect], QRectF]:
    """Places rectangles in device pixels with whole edges, so that neighbouring tiles leave no seam."""
    ratio = view.device_ratio
    painter.scale(1 / ratio, 1 / ratio)

    def place(rect: Rect) -> QRectF:
        left, top = camera.to_screen(rect.x, rect.y, view)
        right, bottom = camera.to_screen(rect.right, rect.bottom, view)
        x, y = round(left * ratio), round(top * ratio)
        return QRectF(x, y, round(right * ratio) - x, round(bottom * ratio) - y)

    return place


def _turned(painter: QPainter, camera: Camera, view: Viewport) -> Callable[[Rect], QRectF]:
    """Places rectangles in level-0 pixels under a rotated painter, a little larger than they are."""
    painter.setTransform(transform_of(camera, view), True)
    more = OVERDRAW_PX / (camera.zoom * view.device_ratio)

    def place(rect: Rect) -> QRectF:
        return QRectF(rect.x - more, rect.y - more, rect.width + 2 * more, rect.height + 2 * more)

    return place


def transform_of(camera: Camera, view: Viewport) -> QTransform:
    """From level-0 pixels to screen pixels."""
    cosine, sine = camera.turn
    zoom = camera.zoom
    x, y = camera.to_screen(0, 0, view)
    return QTransform(zoom * cosine, zoom * sine, -zoom * sine, zoom * cosine, x, y)
