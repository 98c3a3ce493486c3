"""Results as files: GeoJSON, CSV, maps, a report, DICOM. The rooms below know the formats; here they are filled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plipdesk.base.errors import UsageProblem
from plipdesk.exchange.csv_tables import Cell, write_csv
from plipdesk.exchange.qupath import Feature, write_features
from plipdesk.labelling.features import class_polygons, names_and_colours, patch_tiles
from plipdesk.labelling.label_sets import LabelSet
from plipdesk.labelling.labelled import LabelledSlide, table_of
from plipdesk.labelling.settings import LabelSettings

TABLE_COLUMNS = (
    "slide_id", "path", "case", "class", "patches", "area_mm2", "share", "share_low", "share_high", "mean_score",
    "labels", "labels_version", "encoder", "encoder_fingerprint",
)  # fmt: skip
PATCH_COLUMNS = ("slide_id", "path", "x0_px", "y0_px", "size0_px", "label", "score", "probability", "margin")
ALL_SLIDES = "all slides"


@dataclass(frozen=True)
class Outputs:
    """Where results go; None: not wanted. ``tiles``: GeoJSON of patches instead of merged polygons."""

    geojson: Path | None = None
    csv: Path | None = None
    patches_csv: Path | None = None
    heatmap: Path | None = None
    report: Path | None = None
    dicom: Path | None = None
    tiles: bool = False
    smooth_maps: bool = False
    with_patient: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Outputs:
        """Outputs from a request.

        Raises:
            UsageProblem: a relative path, or something unknown.
        """
        flags = {"tiles", "smooth_maps", "with_patient"}
        known = flags | {"geojson", "csv", "patches_csv", "heatmap", "report", "dicom"}
        if unknown := set(values) - known:
            raise UsageProblem(f"There is no such output: {', '.join(sorted(unknown))}.")
        found: dict[str, Any] = {}
        for name, value in values.items():
            if name in flags:
                found[name] = bool(value)
            elif value is not None:
                found[name] = Path(value)
                if not found[name].is_absolute():
                    raise UsageProblem(f"The place for {name} must be an absolute path.", path=value)
        return cls(**found)


@dataclass(frozen=True, eq=False)
class Labelling:
    """Everything that a result is told with."""

    labels: LabelSet
    settings: LabelSettings
    encoder_id: str
    encoder_fingerprint: str
    slides: Sequence[LabelledSlide]


def write_geojson(path: Path, found: Labelling, *, tiles: bool) -> int:
    """All slides in one FeatureCollection; each feature says in its metadata which slide it lies on."""

    def features() -> Iterator[Feature]:
        for one in found.slides:
            make = patch_tiles if tiles else class_polygons
            yield from make(one, found.labels, encoder=found.encoder_id)

    return write_features(path, features())


def write_table(path: Path, found: Labelling) -> int:
    """A row for each slide and class, then for all slides together where there are several."""

    def rows() -> Iterator[dict[str, Cell]]:
        tables = [(one.slide.slide_id, one.slide.path, one.slide.case, [one]) for one in found.slides]
        if len(found.slides) > 1:
            tables.append((ALL_SLIDES, "", "", list(found.slides)))
        for slide_id, place, case, slides in tables:
            for row in table_of(slides, found.labels, found.settings).rows:
                yield {
                    "slide_id": slide_id, "path": place, "case": case, "class": row.name, "patches": row.patches,
                    "area_mm2": row.area_mm2, "share": row.share, "share_low": row.share_low,
                    "share_high": row.share_high, "mean_score": row.mean_score, "labels": found.labels.name,
                    "labels_version": found.labels.version, "encoder": found.encoder_id,
                    "encoder_fingerprint": found.encoder_fingerprint,
                }  # fmt: skip

    return write_csv(path, TABLE_COLUMNS, rows())


def write_patches(path: Path, found: Labelling) -> int:
    """A row for each patch."""
    names, _ = names_and_colours(found.labels)

    def rows() -> Iterator[dict[str, Cell]]:
        for one in found.slides:
            for patch, label in enumerate(one.decision.label.tolist()):
                yield {
                    "slide_id": one.slide.slide_id, "path": one.slide.path, "x0_px": int(one.x0_px[patch]),
                    "y0_px": int(one.y0_px[patch]), "size0_px": one.size0_px, "label": names[label],
                    "score": float(one.score[patch]), "probability": float(one.decision.probability[patch]),
                    "margin": float(one.decision.margin[patch]),
                }  # fmt: skip

    return write_csv(path, PATCH_COLUMNS, rows())
