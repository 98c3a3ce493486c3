"""What other panels lay over the slide: layers with a name, a switch and an opacity.

A panel makes an :class:`Overlay` (those in :mod:`plipdesk.desktop.viewer.overlay_kinds` cover squares, pictures and
masks) and puts it into the viewer's :class:`OverlayStack`; the canvas and the overview draw it, and the layers popup
lists it. Overlays draw what the glass shows and nothing else: a hundred thousand objects must not slow a movement.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, QPointF, QRectF, Signal
from PySide6.QtGui import QPainter, QPolygonF, QTransform

from plipdesk.desktop.viewer.camera import Camera, Rect, Viewport
from plipdesk.desktop.viewer.tiles import transform_of


@dataclass(frozen=True)
class Glass:
    """The pane that overlays are drawn on, in screen pixels; the painter's opacity is the layer's."""

    painter: QPainter
    camera: Camera
    view: Viewport
    overview: bool = False
    """Whether this is the small picture of the whole slide."""

    @property
    def seen(self) -> Rect:
        """What is shown, in level-0 pixels."""
        return self.camera.seen(self.view)

    @property
    def zoom(self) -> float:
        """Screen pixels per level-0 pixel."""
        return self.camera.zoom

    def transform(self) -> QTransform:
        """From level-0 pixels to screen pixels."""
        return transform_of(self.camera, self.view)

    def point(self, x0_px: float, y0_px: float) -> QPointF:
        """A point of the slide on the screen."""
        return QPointF(*self.camera.to_screen(x0_px, y0_px, self.view))

    def frame(self, rect: Rect) -> QPolygonF:
        """A rectangle of the slide on the screen."""
        corners = QRectF(rect.x, rect.y, rect.width, rect.height)
        return self.transform().map(QPolygonF(corners))


class Overlay:
    """A layer. ``key`` names it for good, ``title`` is what a person reads; higher ``order`` is drawn later.

    ``on_overview``: also drawn on the small picture of the whole slide.
    """

    def __init__(
        self,
        key: str,
        title: str,
        *,
        order: int = 0,
        visible: bool = True,
        opacity: float = 1.0,
        on_overview: bool = False,
    ) -> None:
        self.key = key
        self.title = title
        self.order = order
        self.visible = visible
        self.opacity = opacity
        self.on_overview = on_overview

    def paint(self, glass: Glass) -> None:
        """Draw what the glass shows of the layer."""
        raise NotImplementedError


class OverlayStack(QObject):
    """The layers of one view of one slide."""

    changed = Signal()
    """Something must be drawn anew."""
    listed = Signal()
    """A layer came, went, or was switched."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers: dict[str, Overlay] = {}
        self._visible: dict[str, bool] = {}
        self._opacity: dict[str, float] = {}

    def layers(self) -> list[Overlay]:
        """From the lowest to the topmost."""
        return sorted(self._layers.values(), key=lambda layer: layer.order)

    def get(self, key: str) -> Overlay | None:
        """The layer of this key."""
        return self._layers.get(key)

    def put(self, layer: Overlay) -> None:
        """Add a layer, or replace the one of its key; what the person chose for that key (switch, opacity) stays."""
        layer.visible = self._visible.get(layer.key, layer.visible)
        layer.opacity = self._opacity.get(layer.key, layer.opacity)
        self._layers[layer.key] = layer
        self._tell()

    def take(self, key: str) -> None:
        """Remove a layer, if it is there."""
        if self._layers.pop(key, None) is not None:
            self._tell()

    def clear(self) -> None:
        """Remove all layers: another slide is shown."""
        self._layers.clear()
        self._tell()

    def choose(self, key: str, *, visible: bool | None = None, opacity: float | None = None) -> None:
        """The person switches a layer or makes it fainter."""
        layer = self._layers.get(key)
        if layer is None:
            return
        if opacity is not None:
            layer.opacity = self._opacity[key] = min(max(opacity, 0.0), 1.0)
        if visible is not None:
            layer.visible = self._visible[key] = visible
            self.listed.emit()
        self.changed.emit()

    def paint(self, glass: Glass) -> None:
        """Draw every layer that is switched on."""
        for layer in self.layers():
            if layer.visible and layer.opacity > 0 and (layer.on_overview or not glass.overview):
                glass.painter.save()
                glass.painter.setOpacity(layer.opacity)
                layer.paint(glass)
                glass.painter.restore()

    def _tell(self) -> None:
        self.listed.emit()
        self.changed.emit()
