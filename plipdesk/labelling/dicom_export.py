"""Labels of slides that came as DICOM, as DICOM: Segmentation, Parametric Map and Bulk Simple Annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plipdesk.exchange.dicom import (
    Segment,
    source_slide,
    write_bulk_annotations,
    write_parametric_map,
    write_segmentation,
)
from plipdesk.exchange.errors import ExchangeProblem
from plipdesk.labelling.features import names_and_colours
from plipdesk.labelling.labelled import LabelledSlide
from plipdesk.labelling.labeller import Labeller, PatchScores
from plipdesk.labelling.map_export import file_stem
from plipdesk.labelling.maps import SlideMap
from plipdesk.labelling.palette import rgb
from plipdesk.slides.dicom_series import files_of_series

_VENDOR = "dicom"


def came_as_dicom(labelled: LabelledSlide) -> bool:
    """Whether a slide's files are DICOM."""
    return labelled.slide.vendor == _VENDOR or labelled.slide.format == _VENDOR


def write_dicom(
    folder: Path, labelled: LabelledSlide, labeller: Labeller, scores: PatchScores, *, with_patient: bool
) -> list[Path]:
    """The label map, the heat maps and the patches of one slide: ``_seg.dcm``, ``_pm.dcm`` and ``_ann.dcm``.

    Raises:
        ExchangeProblem: the slide did not come as DICOM, or cannot be pointed to.
        SlideProblem: its files cannot be read.
        EnvironmentProblem: the folder cannot be written to.
    """
    slide = labelled.slide
    if not came_as_dicom(labelled):
        raise ExchangeProblem(
            "This slide did not come as DICOM, so that there is nothing DICOM results could point to.",
            path=slide.path,
            remedy="Export as GeoJSON or TIFF instead.",
        )
    source = source_slide(files_of_series(Path(slide.path)), with_patient=with_patient)
    names, colours = names_and_colours(labeller.labels)
    segments = [Segment(number, name, rgb(colours[number])) for number, name in enumerate(names)]
    slide_map = SlideMap.of(labelled)
    # The slide's pixels as its reader counts them; of its largest level there are as many.
    side_px = slide_map.pixel0_px * source.width_px / slide.width_px
    stem = folder / file_stem(slide)
    written = [stem.with_name(f"{stem.name}_{kind}.dcm") for kind in ("seg", "pm", "ann")]
    write_segmentation(written[0], source, slide_map.labels(len(names)), segments, pixel0_px=side_px)
    by_class = labeller.class_scores(scores, labelled.decision)
    planes = np.stack([slide_map.values(by_class[:, number]) for number in range(len(labeller.labels.names))])
    write_parametric_map(
        written[1], source, planes, labeller.labels.names, pixel0_px=side_px, quantity=labeller.settings.score
    )
    write_bulk_annotations(
        written[2], source, labelled.x0_px, labelled.y0_px, labelled.size0_px, labelled.decision.label,
        labelled.score, segments,
    )  # fmt: skip
    return written
