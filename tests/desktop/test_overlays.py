"""Layers over the slide: listed, switched, drawn where they belong, and quick with many objects."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QColor, QImage, QPainter

from plipdesk.desktop.viewer.camera import Camera, Rect, Viewport
from plipdesk.desktop.viewer.overlay_kinds import PictureOverlay, SquaresOverlay
from plipdesk.desktop.viewer.overlays import Glass, Overlay, OverlayStack
from plipdesk.desktop.viewer.rasters import Raster

VIEW = Viewport(400, 300)


def painted(layer: Overlay, camera: Camera, opacity: float = 1.0) -> QImage:
    image = QImage(400, 300, QImage.Format.Format_RGB32)
    image.fill(QColor("white"))
    stack = OverlayStack()
    layer.opacity = opacity
    stack.put(layer)
    painter = QPainter(image)
    stack.paint(Glass(painter, camera, VIEW))
    painter.end()
    return image


def picture(**options: Any) -> PictureOverlay:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (255, 0, 0, 255)
    rgba[1, 1] = (0, 0, 255, 255)
    return PictureOverlay("heat", "Heat map", Raster(rgba, Rect(0, 0, 2000, 2000)), **options)


def test_a_picture_lies_over_its_part_of_the_slide(qapp: Any) -> None:
    image = painted(picture(), Camera(4000, 3000, 1000, 1000, 0.1))
    assert image.pixelColor(150, 100).name() == "#ff0000"
    assert image.pixelColor(250, 200).name() == "#0000ff"
    assert image.pixelColor(250, 100).name() == "#ffffff"
    faint = painted(picture(), Camera(4000, 3000, 1000, 1000, 0.1), opacity=0.5)
    assert faint.pixelColor(150, 100).green() == pytest.approx(128, abs=2)


def test_a_picture_turns_with_the_slide(qapp: Any) -> None:
    image = painted(picture(), Camera(4000, 3000, 1000, 1000, 0.1).turned(90))
    assert image.pixelColor(250, 100).name() == "#ff0000"
    assert image.pixelColor(150, 200).name() == "#0000ff"


def test_squares_are_outlined_near_and_tinted_from_afar(qapp: Any) -> None:
    x0, y0 = np.meshgrid(np.arange(0, 100_000, 100), np.arange(0, 100_000, 100))
    places = x0.ravel().astype(np.int32), y0.ravel().astype(np.int32)
    squares = SquaresOverlay("patches", "Patches", *places, 100.0, "#00ff00")
    near = painted(squares, Camera(100_000, 100_000, 200, 150, 1.0))
    assert near.pixelColor(100, 50).green() > near.pixelColor(100, 50).red()
    assert near.pixelColor(50, 50).name() == "#ffffff"
    far = Camera(100_000, 100_000, 50_000, 50_000, 0.002)
    began = time.perf_counter()
    image = painted(squares, far)
    assert time.perf_counter() - began < 0.5
    assert image.pixelColor(200, 150).green() > image.pixelColor(200, 150).red()


def test_the_stack_keeps_what_the_person_chose(qapp: Any, qtbot: Any) -> None:
    stack = OverlayStack()
    stack.put(picture(order=5))
    stack.put(
        SquaresOverlay("hits", "Hits", np.array([1], np.int32), np.array([1], np.int32), 10.0, "#ffd400", order=1)
    )
    assert [layer.key for layer in stack.layers()] == ["hits", "heat"]
    with qtbot.waitSignal(stack.changed):
        stack.choose("heat", visible=False, opacity=0.25)
    stack.put(picture())
    again = stack.get("heat")
    assert again is not None
    assert (again.visible, again.opacity) == (False, 0.25)
    stack.take("heat")
    assert stack.get("heat") is None
    stack.choose("nothing", opacity=1)
    stack.clear()
    assert stack.layers() == []
