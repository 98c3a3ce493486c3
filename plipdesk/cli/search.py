"""``plipdesk search``: ask by words, region, picture, slide or a mix of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from plipdesk.base.errors import UsageProblem
from plipdesk.base.geojson import read_outlines
from plipdesk.base.geometry import Box
from plipdesk.cli.asking import asks
from plipdesk.cli.commands import group
from plipdesk.cli.places import absolute, existing_file, slide_place
from plipdesk.search.query import PicturePart, RegionPart, SlidePart, TextPart

app = group("Find patches that look like words, a region, a picture, a slide, or a mix of them.")


@asks(app, "text")
def text(
    words: Annotated[str, typer.Argument(metavar="WORDS", help="What the tissue looks like.")],
) -> dict[str, Any]:
    """Find patches that look like WORDS."""
    if not words.strip():
        raise UsageProblem("There are no words to search for.", remedy="Write what the tissue looks like.")
    return {"texts": (TextPart(words),)}


@asks(app, "region")
def region(
    slide: Annotated[str, typer.Argument(metavar="SLIDE", help="Path, slide id or unique name.")],
    box: Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="A box in level-0 pixels.")] = None,
    polygon: Annotated[Path | None, typer.Option(metavar="FILE.geojson", help="An outline in level-0 pixels.")] = None,
) -> dict[str, Any]:
    """Find patches that look like a region of a slide."""
    if (box is None) == (polygon is None):
        raise UsageProblem("A region needs either --box or --polygon.")
    if box is not None:
        area = Box.parse(box)
        return {"regions": (RegionPart(slide_place(slide), (area.x0_px, area.y0_px, area.width_px, area.height_px)),)}
    assert polygon is not None
    outlines = read_outlines(absolute(polygon))
    return {"regions": tuple(RegionPart(slide_place(slide), polygon=outline.outer) for outline in outlines)}


@asks(app, "image")
def image(file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture.")]) -> dict[str, Any]:
    """Find patches that look like a picture."""
    return {"pictures": (PicturePart(path=str(existing_file(file))),)}


@asks(app, "slide")
def slide(
    slide: Annotated[str, typer.Argument(metavar="SLIDE", help="Path, slide id or unique name.")],
) -> dict[str, Any]:
    """Find slides that look like a slide."""
    return {"slides": (SlidePart(slide_place(slide)),)}


@asks(app, "mix")
def mix(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help='{"parts": [{"text": …, "weight": 1}, …]}')],
) -> dict[str, Any]:
    """Find patches that look like a weighted mix of words, regions, pictures and slides."""
    return parse_mix(existing_file(file))


def parse_mix(file: Path) -> dict[str, Any]:
    """The parts in a mix file: each has ``text``, ``image`` or ``slide`` (with ``box`` or ``polygon``) and ``weight``.

    Raises:
        UsageProblem: not JSON, or a part that is none of these.
    """
    try:
        parts = json.loads(file.read_text(encoding="utf-8"))["parts"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageProblem('This is not a mix: it must be JSON like {"parts": […]}.', path=file) from error
    found: dict[str, list[Any]] = {"texts": [], "pictures": [], "regions": [], "slides": []}
    for number, part in enumerate(parts if isinstance(parts, list) else [None]):
        try:
            weight = float(part.get("weight", 1.0))
            if "text" in part:
                found["texts"].append(TextPart(str(part["text"]), weight))
            elif "image" in part:
                picture = Path(part["image"])
                place = picture if picture.is_absolute() else file.parent / picture
                found["pictures"].append(PicturePart(path=str(existing_file(place)), weight=weight))
            elif "slide" in part and "box" in part:
                box = part["box"]
                area = Box.parse(box if isinstance(box, str) else ",".join(str(value) for value in box))
                corners = (area.x0_px, area.y0_px, area.width_px, area.height_px)
                found["regions"].append(RegionPart(slide_place(part["slide"]), corners, weight=weight))
            elif "slide" in part and "polygon" in part:
                outline = tuple((float(x), float(y)) for x, y in part["polygon"])
                found["regions"].append(RegionPart(slide_place(part["slide"]), polygon=outline, weight=weight))
            elif "slide" in part:
                found["slides"].append(SlidePart(slide_place(part["slide"]), weight))
            else:
                raise ValueError
        except (AttributeError, TypeError, ValueError, UsageProblem) as error:
            raise UsageProblem(
                f"Part {number + 1} of the mix is not understood.",
                path=file,
                remedy="Each part has text, image, or slide (with box or polygon), and a number as weight.",
            ) from error
    if not any(found.values()):
        raise UsageProblem("The mix has no parts.", path=file)
    return {kind: tuple(values) for kind, values in found.items()}
