"""Tissue as it was found, with what a person added to it and took away from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from plipdesk.base.errors import EnvironmentProblem, NotFound
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.tissue import TissueMask, all_tissue, detect_tissue

MASK_PX = 2048
"""The longer side of a corrected mask, at least: a brush's edge is kept to a fraction of a patch."""
MAX_FILE_BYTES = 64 * 1024 * 1024


class CorrectionProblem(EnvironmentProblem):
    """A file with corrections of a tissue mask cannot be used."""

    kind = "corrections"


def corrected_tissue(path: Path, reader: SlideReader) -> TissueMask:
    """The tissue of a slide after a file of corrections: ``{"base": "auto", "steps": [{"add": …, "polygons": …}]}``.

    The steps follow each other; ``polygons`` are lists of rings (outer, then holes) in level-0 pixels.

    Raises:
        NotFound: the file is gone.
        CorrectionProblem: it is no such file.
        SlideProblem: the slide cannot be read.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError("too large")
        document = json.loads(path.read_text(encoding="utf-8"))
        steps = [(bool(step["add"]), _polygons(step["polygons"])) for step in document["steps"]]
        base = document["base"]
    except FileNotFoundError as error:
        raise NotFound("The corrections of this slide's tissue are gone.", path=path) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorrectionProblem(
            "The corrections of a slide's tissue cannot be read.",
            path=path,
            remedy="Remove the file, and correct the tissue again.",
        ) from error
    found = all_tissue(reader.info) if base == "all" else detect_tissue(reader)
    mask, downsample = _enlarged(found)
    height, width = mask.shape
    for add, polygons in steps:
        canvas = Image.new("1", (width, height))
        draw = ImageDraw.Draw(canvas)
        for rings in polygons:
            for number, ring in enumerate(rings):
                draw.polygon([(x / downsample - 0.5, y / downsample - 0.5) for x, y in ring], fill=int(number == 0))
        step = np.asarray(canvas)
        mask = mask | step if add else mask & ~step
    return TissueMask(mask, downsample, "drawn", found.width0_px, found.height0_px)


def _enlarged(found: TissueMask) -> tuple[NDArray[np.bool_], float]:
    """The same tissue in smaller squares, each a whole part of those found, so that nothing of it changes."""
    longest = max(found.width0_px, found.height0_px)
    times = max(1, round(min(MASK_PX, longest) / max(found.mask.shape)))
    downsample = found.downsample / times
    mask = np.kron(found.mask, np.ones((times, times), dtype=bool))
    # Beyond the slide there is nothing to enlarge.
    height, width = (int(np.ceil(side / downsample - 1e-9)) for side in (found.height0_px, found.width0_px))
    return mask[:height, :width], downsample


def _polygons(document: Any) -> list[list[list[tuple[float, float]]]]:
    polygons = [[[(float(x), float(y)) for x, y in ring] for ring in rings] for rings in document]
    if any(len(ring) < 3 for rings in polygons for ring in rings):
        raise ValueError("a ring has fewer than three points")
    return polygons
