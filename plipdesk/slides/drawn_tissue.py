"""Tissue that a person outlined, from a GeoJSON file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from plipdesk.base.geojson import OutlineProblem, read_outlines
from plipdesk.base.geometry import polygons_on_slide
from plipdesk.slides.protocol import SlideInfo
from plipdesk.slides.tissue import TissueMask

# The longer side of a drawn mask: 100,000 level-0 pixels are drawn to 49 pixels' precision, a tenth of a patch.
DRAWN_MASK_PX = 2048


def mask_from_geojson(path: Path, info: SlideInfo) -> TissueMask:
    """The union of all polygons in a GeoJSON file (level-0 pixels, holes cut out, crossings repaired) on a slide.

    Raises:
        NotFound: no such file.
        OutlineProblem: not GeoJSON, no polygon in it, or all of them outside of the slide.
    """
    polygons = polygons_on_slide(
        [(outline.outer, outline.holes) for outline in read_outlines(path)], info.width_px, info.height_px
    )
    if not polygons:
        raise OutlineProblem(
            f"The outlines lie outside of the slide, which has {info.width_px:,} × {info.height_px:,} pixels.",
            path=path,
            remedy="Draw them on this slide, in level-0 pixels, or choose another file.",
        )
    longest_px = max(info.width_px, info.height_px)
    downsample = longest_px / min(longest_px, DRAWN_MASK_PX)
    width, height = (max(1, round(side_px / downsample)) for side_px in (info.width_px, info.height_px))
    total = np.zeros((height, width), dtype=bool)
    for outer, holes in polygons:
        canvas = Image.new("1", (width, height))
        draw = ImageDraw.Draw(canvas)
        for ring, inside in ((outer, 1), *((hole, 0) for hole in holes)):
            # A mask pixel's centre lies half a pixel from its corner; ImageDraw counts from centres.
            draw.polygon([(x / downsample - 0.5, y / downsample - 0.5) for x, y in ring], fill=inside)
        total |= np.asarray(canvas)
    return TissueMask(total, downsample, "drawn", info.width_px, info.height_px)
