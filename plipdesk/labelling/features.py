"""Labelled patches as objects on a slide: merged polygons of each class, or a tile for each patch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from plipdesk.base.geometry import cells_as_polygons
from plipdesk.exchange.notice import NOTICE
from plipdesk.exchange.qupath import Feature, polygons, square
from plipdesk.labelling.label_sets import NONE_OF_THESE, UNSURE, LabelSet
from plipdesk.labelling.labelled import LabelledSlide
from plipdesk.labelling.palette import NONE_COLOUR, UNSURE_COLOUR, rgb


def names_and_colours(labels: LabelSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and colours by number, with those of "none of these" and "unsure" after the classes'."""
    return (*labels.names, NONE_OF_THESE, UNSURE), (*labels.colours, NONE_COLOUR, UNSURE_COLOUR)


def class_polygons(labelled: LabelledSlide, labels: LabelSet, *, encoder: str) -> Iterator[Feature]:
    """One annotation for each connected area of a class, with its area and mean score.

    Where patches overlap, the class with most probability among them has the place.
    """
    names, colours = names_and_colours(labels)
    decision, cells = labelled.decision, labelled.cells
    found = cells.votes(decision.label, decision.probability.astype(np.float64), len(names))
    area_mm2 = (labelled.own_area_mm2.sum() / max(1e-12, _covered_px2(labelled))) if len(decision.label) else 0.0
    for number in np.unique(found[found >= 0]).tolist():
        mask = decision.label == number
        for outer, holes in cells_as_polygons(found == number, cells.x_edges, cells.y_edges):
            inside_px2 = _ring_area(outer) - sum(_ring_area(hole) for hole in holes)
            yield Feature(
                geometry=polygons([(outer, holes)]),
                object_type="annotation",
                classes=(names[number],),
                class_colour=rgb(colours[number]),
                measurements={
                    "Area mm^2": inside_px2 * area_mm2,
                    "Mean score of the class": float(labelled.score[mask].mean()) if mask.any() else float("nan"),
                },
                metadata=_metadata(labelled, labels, encoder),
            )


def patch_tiles(labelled: LabelledSlide, labels: LabelSet, *, encoder: str) -> Iterator[Feature]:
    """A tile for each patch, with its score, probability and margin, and the probability of every class."""
    names, colours = names_and_colours(labels)
    decision = labelled.decision
    metadata = _metadata(labelled, labels, encoder)
    several = decision.members
    for patch in range(len(decision.label)):
        label = int(decision.label[patch])
        classes: tuple[str, ...] = (names[label],)
        if several is not None and several[patch].any():
            classes = tuple(labels.names[number] for number in np.flatnonzero(several[patch]))
        measurements = {
            "Score": float(labelled.score[patch]),
            "Probability": float(decision.probability[patch]),
            "Margin": float(decision.margin[patch]),
        }
        measurements |= {f"P {name}": float(decision.shares[patch, i]) for i, name in enumerate(labels.names)}
        yield Feature(
            geometry=square(float(labelled.x0_px[patch]), float(labelled.y0_px[patch]), labelled.size0_px),
            object_type="tile",
            classes=classes,
            class_colour=rgb(colours[label]),
            measurements=measurements,
            metadata=metadata,
        )


def _metadata(labelled: LabelledSlide, labels: LabelSet, encoder: str) -> dict[str, str]:
    return {
        "slide_id": labelled.slide.slide_id,
        "labels": f"{labels.name} {labels.version}",
        "encoder": encoder,
        "notice": NOTICE,
    }


def _covered_px2(labelled: LabelledSlide) -> float:
    cells = labelled.cells
    return float(cells.cell_areas_px2[cells.spread() > 0.5].sum())


def _ring_area(ring: Sequence[tuple[float, float]]) -> float:
    """Area of a ring, whichever way it runs."""
    area = sum(x * ring[place - 1][1] - y * ring[place - 1][0] for place, (x, y) in enumerate(ring))
    return abs(area) / 2
