"""The report of a labelling: maps, tables, the surest and least sure patches, and how to get it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from plipdesk.base.errors import PlipdeskError
from plipdesk.base.progress import Json
from plipdesk.exchange.report import Picture, Row, Section, write_report
from plipdesk.labelling.exporting import Labelling
from plipdesk.labelling.features import names_and_colours
from plipdesk.labelling.labelled import LabelledSlide, table_of
from plipdesk.labelling.map_export import label_picture, slide_picture
from plipdesk.labelling.maps import SlideMap
from plipdesk.labelling.prompts import ClassPrompts
from plipdesk.labelling.tables import Table
from plipdesk.slides.opening import open_as_known
from plipdesk.slides.patches import read_patch
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.thumbnails import encode_jpeg

_COLUMNS = ("class", "patches", "area (mm²)", "share", "95 % interval", "mean score")
_PICTURE_PX = 1100
_PATCH_PX = 130
_EACH = 6
_MOST_CLASSES = 12


def write_labelling_report(
    path: Path, found: Labelling, prompts: ClassPrompts, learned: dict[str, Json], notes: Sequence[str]
) -> None:
    """Write the report of a labelling as one HTML file.

    Raises:
        EnvironmentProblem: the place cannot be written to.
    """
    sections = []
    if len(found.slides) > 1:
        whole = table_of(found.slides, found.labels, found.settings)
        sections.append(Section(f"All {len(found.slides)} slides together", columns=_COLUMNS, rows=_rows(whole, found)))
    sections += [_slide_section(one, found) for one in found.slides]
    sections.append(_how(found, prompts, learned, notes))
    title = f"Labels: {found.labels.title or found.labels.name}"
    write_report(path, title, sections)


def _slide_section(one: LabelledSlide, found: Labelling) -> Section:
    slide = one.slide
    picture = label_picture(one, found.labels, slide_picture(slide, _PICTURE_PX), SlideMap.of(one))
    table = one.table(found.labels, found.settings)
    facts = (
        ("slide id", slide.slide_id), ("case", slide.case or "not given"),
        ("pixels", f"{slide.width_px} × {slide.height_px}, {slide.mpp_um or float('nan'):.4g} µm ({slide.mpp_source})"),
        ("patches", f"{table.patches} at {one.row.patch_mpp_um:.4g} µm per pixel, {table.area_mm2:.2f} mm² in all"),
    )  # fmt: skip
    return Section(
        slide.name,
        facts=facts,
        columns=_COLUMNS,
        rows=_rows(table, found),
        pictures=(Picture(encode_jpeg(picture, quality=85), f"Labels on {slide.name}; colours as in the table."),),
        rows_of_pictures=tuple(_examples(one, found, table)),
    )


def _rows(table: Table, found: Labelling) -> tuple[Row, ...]:
    names, colours = names_and_colours(found.labels)
    colour = dict(zip(names, colours, strict=True))
    rows = []
    for row in table.rows:
        if not row.patches or row.share is None:
            continue
        interval = f"{100 * (row.share_low or 0):.1f} – {100 * (row.share_high or 0):.1f} %"
        score = "" if row.mean_score is None else f"{row.mean_score:.3f}"
        cells = (row.name, str(row.patches), f"{row.area_mm2:.2f}", f"{100 * row.share:.1f} %", interval, score)
        rows.append(Row(cells, colour[row.name], row.share))
    return tuple(rows)


def _examples(one: LabelledSlide, found: Labelling, table: Table) -> Iterator[tuple[str, tuple[Picture, ...]]]:
    """The surest and the least sure patches of the classes with most area; none where the slide cannot be read."""
    names = list(found.labels.names)
    largest = sorted((row for row in table.rows if row.name in names and row.patches), key=lambda row: -row.area_mm2)
    try:
        with open_as_known(Path(one.slide.path), mpp_um=one.slide.mpp_um, channels=one.slide.channels) as reader:
            for row in largest[:_MOST_CLASSES]:
                own = np.flatnonzero(one.decision.label == names.index(row.name))
                order = own[np.argsort(-one.score[own], kind="stable")]
                yield f"{row.name}: the surest", _pictures(reader, one, order[:_EACH].tolist())
                if len(order) > _EACH:
                    last = order[: _EACH - 1 : -1][:_EACH]
                    yield f"{row.name}: the least sure", _pictures(reader, one, last.tolist())
    except PlipdeskError:
        return


def _pictures(reader: SlideReader, one: LabelledSlide, patches: Sequence[int]) -> tuple[Picture, ...]:
    found = []
    for patch in patches:
        x0_px, y0_px = int(one.x0_px[patch]), int(one.y0_px[patch])
        pixels = read_patch(reader, x0_px, y0_px, one.size0_px, _PATCH_PX)
        found.append(Picture(encode_jpeg(pixels, quality=80), f"{float(one.score[patch]):.3f} at {x0_px}, {y0_px}"))
    return tuple(found)


def _how(found: Labelling, prompts: ClassPrompts, learned: dict[str, Json], notes: Sequence[str]) -> Section:
    settings = found.settings.model_dump(mode="json")
    facts = (
        ("label set", f"{found.labels.name}, version {found.labels.version} ({found.labels.fingerprint})"),
        ("source", found.labels.source or "not given"),
        ("encoder", f"{found.encoder_id} ({found.encoder_fingerprint})"),
        *((name.replace("_", " "), str(value)) for name, value in settings.items()),
        ("labelled examples", str(learned["examples"])),
    )
    rows = tuple(
        Row((name, "; ".join(own)), colour)
        for name, own, colour in zip(prompts.names, prompts.prompts, found.labels.colours, strict=True)
    )
    words = ("Intervals are a bootstrap over patches; neighbouring patches are alike, so that they are rather narrow.",)
    return Section("How this was made", (*words, *notes), facts, ("class", "prompts"), rows)
