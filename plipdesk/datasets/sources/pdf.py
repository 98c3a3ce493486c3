"""PDF: pictures with the captions that stand below or above them, through PDFium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.datasets.pair import Medium, Post, file_safe
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble
from plipdesk.slides.errors import TooLarge
from plipdesk.slides.limits import check_picture_size
from plipdesk.slides.thumbnails import encode_png

PLATFORM = "pdf"
_CAPTION = re.compile(r"^\s*(?:fig(?:ure)?s?|plate|image|photo|abb(?:ildung)?|tafel)\b\.?\s*[\dA-Z]", re.IGNORECASE)
_MAX_BYTES = 2 << 30
_MOST_PAGES = 20_000
# Ornaments, logos and rules are smaller, on paper or in pixels.
_LEAST_SIDE_PT, _LEAST_SIDE_PX = 40.0, 64
_MOST_GAP_PT = 120.0
_MOST_LINES = 60
# PDFium writes U+0002 for a hyphen at a line's end.
_HYPHENS = ("-", "\x02", "\xad")
# A caption that is not over or under a picture belongs to its row all the same, if nothing else does.
_ASIDE_PT = 200.0


@dataclass
class _Box:
    """A rectangle on the page in points, the origin below on the left."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: _Box) -> float:
        """The width that both share."""
        return min(self.right, other.right) - max(self.left, other.left)


@dataclass
class _Line(_Box):
    words: str = ""


def posts(path: Path, trouble: Trouble, extracted: Extracted) -> Iterator[Post]:
    """Every captioned figure of a PDF, or of a folder of them.

    Raises:
        SourceProblem: no PDF is here, or the one that was named is damaged.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*.pdf"))
    if not files:
        raise SourceProblem("There is no PDF here.", path=path, remedy="Give a PDF, or a folder of them.")
    for file in files:
        try:
            yield from _of_file(file, trouble, extracted)
        except SourceProblem as problem:
            if len(files) == 1:
                raise
            trouble.add("damaged file", file.name, problem.message)


def _of_file(file: Path, trouble: Trouble, extracted: Extracted) -> Iterator[Post]:
    import pypdfium2

    if file.stat().st_size > _MAX_BYTES:
        raise SourceProblem("This PDF is too large.", path=file, remedy="Split it.")
    try:
        document = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        raise SourceProblem(
            "This PDF is damaged or locked with a password.", path=file, remedy="Save it anew, without a password."
        ) from error
    try:
        title = str(document.get_metadata_dict().get("Title") or "")
        for number in range(min(len(document), _MOST_PAGES)):
            try:
                page = document[number]
            except pypdfium2.PdfiumError:
                trouble.add("broken page", f"{file.name}, page {number + 1}")
                continue
            try:
                yield from _of_page(page, number, file, title, trouble, extracted)
            except pypdfium2.PdfiumError as error:
                trouble.add("broken page", f"{file.name}, page {number + 1}", str(error)[:100])
            finally:
                page.close()
    finally:
        document.close()


def _of_page(page: Any, number: int, file: Path, title: str, trouble: Trouble, extracted: Extracted) -> Iterator[Post]:
    images = list(_images(page, f"{file.name}, page {number + 1}", trouble))
    if not images:
        return
    captions = _captions(_lines(page))
    chosen: dict[int, list[int]] = {}
    for place, (box, _) in enumerate(images):
        caption = _nearest(box, captions)
        if caption is None:
            trouble.add("picture without a caption", f"{file.name}, page {number + 1}")
        else:
            chosen.setdefault(caption, []).append(place)
    group = file_safe(file.stem)
    for caption, places in sorted(chosen.items()):
        media = []
        for place in places:
            pixels = _pixels(images[place][1])
            key = f"p{number + 1}-{place + 1}"
            media.append(Medium(key, extracted=extracted.keep(encode_png(pixels), ".png")))
        yield Post(
            platform=PLATFORM,
            id=file_safe(f"{group}-p{number + 1}-{caption + 1}"),
            family="local",
            text=captions[caption].words,
            group=f"pdf:{title or file.stem}",
            media=media,
        )


def _images(page: Any, where: str, trouble: Trouble) -> Iterator[tuple[_Box, Any]]:
    import pypdfium2.raw as raw

    for thing in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=5):
        box = _Box(*thing.get_bounds())
        width_px, height_px = thing.get_px_size()
        if (
            min(box.right - box.left, box.top - box.bottom) < _LEAST_SIDE_PT
            or min(width_px, height_px) < _LEAST_SIDE_PX
        ):
            continue
        try:
            check_picture_size(width_px, height_px, None)
        except TooLarge:
            trouble.add("picture too large", where)
            continue
        yield box, thing


def _pixels(thing: Any) -> NDArray[np.uint8]:
    """The stored pixels (h, w, 3) of a picture, without mask and turning."""
    bitmap = thing.get_bitmap(render=False)
    pixels: NDArray[np.uint8] = np.array(bitmap.to_numpy(), dtype=np.uint8)
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels[..., 2::-1] if bitmap.mode.startswith("BGR") else pixels[..., :3])


def _lines(page: Any) -> list[_Line]:
    """Runs of text, joined to lines where they stand side by side, from top to bottom."""
    text = page.get_textpage()
    try:
        runs = [_Line(*text.get_rect(place)) for place in range(min(text.count_rects(), 20_000))]
        for run in runs:
            run.words = " ".join(text.get_text_bounded(run.left, run.bottom, run.right, run.top).split())
    finally:
        text.close()
    lines: list[_Line] = []
    for run in sorted((run for run in runs if run.words), key=lambda run: (-round(run.bottom), run.left)):
        last = lines[-1] if lines else None
        height = run.top - run.bottom
        if last and abs(last.bottom - run.bottom) < height / 2 and -height < run.left - last.right < 1.5 * height:
            last.right, last.top = max(last.right, run.right), max(last.top, run.top)
            last.words = f"{last.words} {run.words}"
        else:
            lines.append(run)
    return lines


def _captions(lines: list[_Line]) -> list[_Line]:
    """Blocks of lines that begin like a caption, each up to the first gap below it."""
    found = []
    for place, first in enumerate(lines):
        if not _CAPTION.match(first.words):
            continue
        block = _Line(first.left, first.bottom, first.right, first.top, first.words)
        height = first.top - first.bottom
        for line in lines[place + 1 :]:
            gap = block.bottom - line.top
            if gap < -height or block.overlap(line) <= 0:
                continue
            if gap > 0.9 * height or _CAPTION.match(line.words) or block.words.count(" ") > 40 * _MOST_LINES:
                break
            joined = block.words[:-1] if block.words.endswith(_HYPHENS) else f"{block.words} "
            block.words, block.bottom = joined + line.words, line.bottom
            block.left, block.right = min(block.left, line.left), max(block.right, line.right)
        found.append(block)
    return found


def _nearest(image: _Box, captions: list[_Line]) -> int | None:
    """The caption below the picture, else the one above it; both within reach and over or under it."""
    best: tuple[float, int] | None = None
    for place, caption in enumerate(captions):
        aside = 0.0 if image.overlap(caption) > 0 else _ASIDE_PT
        below, above = image.bottom - caption.top, caption.bottom - image.top
        # One below is preferred, as captions usually stand there.
        distance = below if below > -10 else above * 1.5 if above > -10 else None
        if distance is not None and distance < _MOST_GAP_PT and (best is None or distance + aside < best[0]):
            best = (distance + aside, place)
    return None if best is None else best[1]
