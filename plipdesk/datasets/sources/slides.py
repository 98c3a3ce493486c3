"""Slides, DICOM included, with QuPath's annotations: class names become captions by a template.

For ``case.svs`` there is a ``case.geojson`` beside it. How words are made of classes may be said in
``captions.json``: ``{"template": "An H&E image of {name}.", "names": {"Tumor": "tubular adenoma"}, "licence": "…"}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.datasets.pair import Medium, Post, file_safe
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble
from plipdesk.exchange.qupath import Feature, read_features
from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.opening import open_slide
from plipdesk.slides.patches import read_patch
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.thumbnails import encode_png

PLATFORM = "slides"
_ANNOTATIONS = ".geojson"
_WORDS = "captions.json"
_TEMPLATE = "An H&E image of {name}."
# At this MPP a picture shows what captions usually speak of; larger regions are shown coarser.
_MPP_UM = 0.5
_LEAST_PX, _MOST_PX = 224, 1024
_MAX_WORDS_BYTES = 1 << 20


@dataclass(frozen=True)
class _Wording:
    template: str = _TEMPLATE
    names: dict[str, str] = field(default_factory=dict)
    licence: str = ""


def posts(path: Path, trouble: Trouble, extracted: Extracted) -> Iterator[Post]:
    """One picture for each annotation that has a class, cut from the slide of the same name.

    Raises:
        SourceProblem: no annotations are here, or ``captions.json`` is wrong.
    """
    folder = path if path.is_dir() else path.parent
    files = [path] if path.is_file() else sorted(path.rglob(f"*{_ANNOTATIONS}"))
    if not files:
        raise SourceProblem("There are no annotations here.", path=path, remedy="Export them from QuPath as GeoJSON.")
    wording = _wording(folder)
    for file in files:
        slide = _slide_of(file)
        if slide is None:
            trouble.add("annotations without their slide", file.name)
            continue
        try:
            features = read_features(file)
            reader = open_slide(slide)
        except EnvironmentProblem as problem:
            trouble.add("slide or annotations cannot be read", file.name, problem.message)
            continue
        try:
            yield from _of_slide(reader, slide, features, wording, trouble, extracted)
        finally:
            reader.close()


def _wording(folder: Path) -> _Wording:
    file = folder / _WORDS
    if not file.exists():
        return _Wording()
    try:
        if file.stat().st_size > _MAX_WORDS_BYTES:
            raise ValueError("too large")
        said: Any = json.loads(file.read_text(encoding="utf-8"))
        names = {str(name): str(words) for name, words in said.get("names", {}).items()}
        made = _Wording(str(said.get("template", _TEMPLATE)), names, str(said.get("licence", "")))
        if "{name}" not in made.template:
            raise ValueError("the template has no {name}")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise SourceProblem(
            f"The wording of captions cannot be used: {error}.", path=file, remedy="See docs/datasets.md."
        ) from error
    return made


def _slide_of(file: Path) -> Path | None:
    stem = file.name[: -len(_ANNOTATIONS)]
    for other in sorted(file.parent.iterdir()):
        if other != file and other.stem == stem and other.suffix.lower() not in (_ANNOTATIONS, ".json", ".txt", ".csv"):
            return other
    # QuPath may name the export after the whole file.
    whole = file.parent / stem
    return whole if whole.exists() else None


def _of_slide(
    reader: SlideReader, slide: Path, features: list[Feature], wording: _Wording, trouble: Trouble, extracted: Extracted
) -> Iterator[Post]:
    for number, feature in enumerate(features):
        name = feature.class_name
        where = f"{slide.name}, annotation {number + 1}"
        if not name:
            trouble.add("annotation without a class", where)
            continue
        try:
            pixels = _picture(reader, feature)
        except SlideProblem as problem:
            trouble.add("region cannot be read", where, problem.message)
            continue
        yield Post(
            platform=PLATFORM,
            id=file_safe(f"{slide.stem}-{number + 1}"),
            family="local",
            text=wording.template.format_map(_Only(wording.names.get(name, name.replace(":", ",").lower()))),
            group=f"slide:{slide.stem}",
            licence=wording.licence,
            tags=(name,),
            media=[Medium(f"a{number + 1}", extracted=extracted.keep(encode_png(pixels), ".png"))],
        )


class _Only(dict[str, str]):
    """What a template may name: ``{name}``; any other word in braces stays as it is."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def _picture(reader: SlideReader, feature: Feature) -> Any:
    """The square around an annotation, at ``_MPP_UM`` or so much coarser that it has at most ``_MOST_PX``."""
    points = list(_points(feature.geometry["coordinates"]))
    xs, ys = [x for x, _ in points], [y for _, y in points]
    scale = _MPP_UM / reader.info.mpp_um if reader.info.mpp_um else 1.0
    size0_px = max(max(xs) - min(xs), max(ys) - min(ys), _LEAST_PX * scale)
    size0_px = min(size0_px, float(max(reader.info.width_px, reader.info.height_px)))
    out_px = int(min(_MOST_PX, max(_LEAST_PX, size0_px / scale)))
    x0_px, y0_px = (min(xs) + max(xs) - size0_px) / 2, (min(ys) + max(ys) - size0_px) / 2
    return read_patch(reader, x0_px, y0_px, size0_px, out_px)


def _points(coordinates: Any) -> Iterator[tuple[float, float]]:
    if coordinates and isinstance(coordinates[0], int | float):
        yield float(coordinates[0]), float(coordinates[1])
    else:
        for inner in coordinates:
            yield from _points(inner)
