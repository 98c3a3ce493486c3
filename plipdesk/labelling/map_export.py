"""Maps of a labelled slide as files: what to look at (PNG), and numbers for other programs (OME-TIFF, label TIFF)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import PlipdeskError
from plipdesk.base.files import atomic_write
from plipdesk.catalogue.rows import SlideRow
from plipdesk.exchange.notice import NOTICE
from plipdesk.labelling.features import names_and_colours
from plipdesk.labelling.label_sets import LabelSet
from plipdesk.labelling.labelled import LabelledSlide
from plipdesk.labelling.labeller import Labeller, PatchScores
from plipdesk.labelling.maps import SlideMap, colour_ramp, interpolated, label_colours, over_picture
from plipdesk.labelling.palette import rgb
from plipdesk.slides.map_files import Legend, png_with_legend, write_heatmap_ome, write_label_tiff
from plipdesk.slides.opening import open_as_known

Pixels = NDArray[np.uint8]

PICTURE_PX = 1400
_FINER = 4
_STEPS = 9


def slide_picture(slide: SlideRow, longest_px: int) -> Pixels:
    """The slide's thumbnail, or a white field where it cannot be read now: maps do not need the slide."""
    try:
        with open_as_known(Path(slide.path), mpp_um=slide.mpp_um, channels=slide.channels) as reader:
            return reader.thumbnail(longest_px)
    except PlipdeskError:
        scale = longest_px / max(slide.width_px, slide.height_px)
        size = (max(1, round(slide.height_px * scale)), max(1, round(slide.width_px * scale)), 3)
        return np.full(size, 255, dtype=np.uint8)


def label_picture(labelled: LabelledSlide, labels: LabelSet, picture: Pixels, slide_map: SlideMap) -> Pixels:
    """The label map over a picture of the slide."""
    names, colours = names_and_colours(labels)
    numbers = slide_map.labels(len(names))
    return over_picture(
        picture, label_colours(numbers, colours), numbers >= 0, slide_px=_size(labelled.slide),
        pixel0_px=slide_map.pixel0_px,
    )  # fmt: skip


def label_legend(labelled: LabelledSlide, labels: LabelSet, title: str) -> Legend:
    """The legend of a label map: the classes that occur, the largest first, with their share."""
    names, colours = names_and_colours(labels)
    area = np.bincount(labelled.decision.label, weights=labelled.own_area_mm2, minlength=len(names))
    order = [number for number in np.argsort(-area, kind="stable").tolist() if area[number] > 0]
    total = max(float(area.sum()), 1e-12)
    entries = tuple((rgb(colours[n]), f"{names[n]}  {100 * area[n] / total:.1f} %") for n in order)
    return Legend(title, entries, NOTICE)


def file_stem(slide: SlideRow) -> str:
    """What names of files about a slide begin with; slides of one name do not overwrite each other."""
    return f"{_plain(Path(slide.name).stem)}_{slide.slide_id[:8]}"


def _size(slide: SlideRow) -> tuple[int, int]:
    return slide.width_px, slide.height_px


def write_maps(
    folder: Path, labelled: LabelledSlide, labeller: Labeller, scores: PatchScores, *, smooth: bool
) -> list[Path]:
    """All maps of one slide, named after it: ``_labels.png``, ``_labels.tif``, ``_heatmap.ome.tif``, and of each class
    ``_heatmap_<class>.png``. ``smooth``: heat maps are drawn smoothly between the patches' middles.

    Raises:
        EnvironmentProblem: the folder cannot be written to.
    """
    labels, slide = labeller.labels, labelled.slide
    stem = file_stem(slide)
    slide_map = SlideMap.of(labelled)
    pixel_um = slide_map.pixel0_px * _level0_mpp_um(labelled)
    names, colours = names_and_colours(labels)
    said = f"{labels.name} {labels.version}, slide {slide.slide_id}, {labeller.settings.score}. {NOTICE}"
    picture = slide_picture(slide, PICTURE_PX)
    written = [folder / f"{stem}_labels.tif", folder / f"{stem}_labels.png", folder / f"{stem}_heatmap.ome.tif"]
    write_label_tiff(
        written[0], slide_map.labels(len(names)), names, [rgb(colour) for colour in colours], pixel_um=pixel_um,
        description=said,
    )  # fmt: skip
    shown = label_picture(labelled, labels, picture, slide_map)
    with atomic_write(written[1]) as stream:
        stream.write(png_with_legend(shown, label_legend(labelled, labels, slide.name)))
    by_class = labeller.class_scores(scores, labelled.decision)
    factor = _FINER if smooth and slide_map.cell.size * _FINER**2 <= 16_000_000 else 1
    planes = np.empty((len(labels.names), slide_map.shape[0] * factor, slide_map.shape[1] * factor), dtype=np.float32)
    for number in range(len(labels.names)):
        values = slide_map.values(by_class[:, number])
        planes[number] = interpolated(values, factor) if factor > 1 else values
    write_heatmap_ome(written[2], planes, labels.names, pixel_um=pixel_um / factor, description=said)
    for number, name in enumerate(labels.names):
        title = f"{slide.name}: {name} ({labeller.settings.score})"
        path = folder / f"{stem}_heatmap_{number + 1:02d}_{_plain(name)}.png"
        with atomic_write(path) as stream:
            stream.write(_heat_png(planes[number], title, labelled, picture, slide_map.pixel0_px / factor))
        written.append(path)
    return written


def _heat_png(values: NDArray[np.float32], title: str, labelled: LabelledSlide, picture: Pixels, side: float) -> bytes:
    known = np.isfinite(values)
    low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 1.0)
    shown = over_picture(picture, colour_ramp(values, low, high), known, slide_px=_size(labelled.slide), pixel0_px=side)
    steps = np.linspace(high, low, _STEPS).astype(np.float32)
    colours = colour_ramp(steps, low, high)
    entries = tuple(
        ((int(colour[0]), int(colour[1]), int(colour[2])), f"{step:.3f}")
        for colour, step in zip(colours, steps.tolist(), strict=True)
    )
    return png_with_legend(shown, Legend(title, entries, NOTICE))


def _level0_mpp_um(labelled: LabelledSlide) -> float:
    row = labelled.row
    return float(row.tiling["patch_px"] * row.patch_mpp_um / row.size0_px)


def _plain(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "unnamed"
