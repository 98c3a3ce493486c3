"""Pictures of hits as files."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from plipdesk.base.files import atomic_write
from plipdesk.search.query import Hit
from plipdesk.slides.opening import open_as_known
from plipdesk.slides.patches import read_patch
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.thumbnails import encode_png

_MOST_PX = 1024
"""Side of a saved picture; a hit with more level-0 pixels is reduced."""


def save_hit_pictures(hits: Sequence[Hit], folder: Path) -> list[Path]:
    """Write a PNG of each hit, named ``rank_slideid_x_y.png``, as large as its level-0 pixels but at most 1024.

    Raises:
        SlideProblem: a slide cannot be opened or read.
        EnvironmentProblem: the folder cannot be written to.
    """
    paths = []
    with contextlib.ExitStack() as stack:
        readers: dict[str, SlideReader] = {}
        for hit in hits:
            if hit.slide_id not in readers:
                reader = open_as_known(Path(hit.path), mpp_um=hit.mpp_um, channels=hit.channels)
                readers[hit.slide_id] = stack.enter_context(reader)
            side_px = max(1, min(_MOST_PX, round(hit.size0_px)))
            pixels = read_patch(readers[hit.slide_id], hit.x0_px, hit.y0_px, hit.size0_px, side_px)
            path = folder / f"{hit.rank}_{hit.slide_id}_{hit.x0_px}_{hit.y0_px}.png"
            with atomic_write(path) as stream:
                stream.write(encode_png(pixels))
            paths.append(path)
    return paths
