"""The labels over the slide: a layer of the viewer, drawn anew when a slider moves."""

from __future__ import annotations

import numpy as np

from plipdesk.desktop.state.label_view import LabelView
from plipdesk.desktop.state.labels import LabelledPatches, heat_range, label_colours
from plipdesk.desktop.viewer.overlay_kinds import PictureOverlay
from plipdesk.desktop.viewer.rasters import heat_colours, patch_raster

KEY = "labels"
ORDER = 20


def label_overlay(found: LabelledPatches, view: LabelView, title: str) -> PictureOverlay | None:
    """The layer; None where there is no patch."""
    if view.shown == "heat":
        low, high = heat_range(found, view.number)
        values = found.shares[:, view.number].astype(np.float64)
        colours = heat_colours(values, low=low, high=high, alpha=255)
        colours[values < view.threshold, 3] = 0
    else:
        colours = label_colours(found, view.threshold)
    raster = patch_raster(found.x0_px, found.y0_px, found.size0_px, colours)
    if raster is None:
        return None
    smooth = view.smooth and view.shown == "heat"
    return PictureOverlay(KEY, title, raster, smooth=smooth, order=ORDER, opacity=view.opacity)
