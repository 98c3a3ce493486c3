"""What the viewer's status line says: where the cursor is, what colour is there, and how large everything is."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from plipdesk.desktop import words
from plipdesk.desktop.viewer.camera import Camera, Viewport
from plipdesk.desktop.viewer.scale import length_label
from plipdesk.engine import messages as m


def _tr(text: str) -> str:
    return QCoreApplication.translate("viewer", text)


def scale_text(slide: m.SlideOpened | None, camera: Camera | None, view: Viewport) -> str:
    """Magnification and µm per pixel of the display, and by how much the slide is turned."""
    if slide is None or camera is None:
        return ""
    turned = f"  ↻ {camera.rotation_deg:g}°" if camera.rotation_deg else ""
    if slide.mpp_um is None:
        return _tr("µm per pixel not known") + turned
    mpp_um = slide.mpp_um / (camera.zoom * view.device_ratio)
    power = words.magnification(camera.magnification(slide.mpp_um, view))
    guess = " " + _tr("(estimated)") if slide.mpp_source == "guessed" else ""
    return _tr("{power} · {mpp} µm/px{guess}").format(power=power, mpp=f"{mpp_um:.3g}", guess=guess) + turned


def place_text(slide: m.SlideOpened | None, at: tuple[float, float] | None, colour: tuple[int, int, int] | None) -> str:
    """The place under the cursor in pixels and in lengths, and its colour; without a cursor the slide's size."""
    if slide is None:
        return ""
    if at is None:
        return _tr("{w} × {h} px").format(w=words.count(slide.width_px), h=words.count(slide.height_px))
    place = _tr("x {x}, y {y} px").format(x=words.count(round(at[0])), y=words.count(round(at[1])))
    if slide.mpp_um is not None:
        lengths = [length_label(max(0.0, part * slide.mpp_um)) for part in at]
        place += f" ({lengths[0]}, {lengths[1]})"
    if colour is not None:
        place += " · " + _tr("RGB {r} {g} {b}").format(r=colour[0], g=colour[1], b=colour[2])
    return place
