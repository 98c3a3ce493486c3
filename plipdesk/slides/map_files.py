"""Maps of a slide as files: OME-TIFF of numbers, TIFF of labels, and PNG with a legend for the eye."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from plipdesk.base.errors import Bug
from plipdesk.base.files import atomic_write

Rgb = tuple[int, int, int]

_FONT_PX = 15
_PAD_PX = 8
_LEAST_LEGEND_PX = 190


def write_heatmap_ome(
    path: Path, planes: NDArray[np.float32], names: Sequence[str], *, pixel_um: float, description: str
) -> None:
    """Write maps float32 (c, h, w), one channel for each of ``names``, as OME-TIFF; NaN is where nothing was looked at.

    Raises:
        EnvironmentProblem: the place cannot be written to.
    """
    import tifffile

    if planes.ndim != 3 or len(planes) != len(names):
        raise Bug(f"Maps of shape {planes.shape} do not belong to {len(names)} names.", path=path)
    metadata: dict[str, Any] = {
        "axes": "CYX", "PhysicalSizeX": pixel_um, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": pixel_um,
        "PhysicalSizeYUnit": "µm", "Channel": {"Name": list(names)}, "Name": path.name, "Description": description,
    }  # fmt: skip
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, planes, ome=True, photometric="minisblack", compression="deflate", metadata=metadata,
        resolution=(10_000 / pixel_um, 10_000 / pixel_um), resolutionunit="CENTIMETER",
    )  # fmt: skip
    with atomic_write(path) as stream:
        stream.write(buffer.getbuffer())


def write_label_tiff(
    path: Path,
    labels: NDArray[np.integer],
    names: Sequence[str],
    colours: Sequence[Rgb],
    *,
    pixel_um: float,
    description: str,
) -> None:
    """Write labels (h, w) as a TIFF of one channel: 0 is outside (−1), 1 the first of ``names``, and so on.

    Up to 255 classes are 8 bits deep with their colours as a palette, more are 16 bits. The description is JSON with
    the names by number.

    Raises:
        EnvironmentProblem: the place cannot be written to.
    """
    import tifffile

    if labels.max(initial=-1) >= len(names) or len(names) > 65_534:
        raise Bug("A map holds labels without a name.", path=path)
    raised = labels + 1
    said = {"description": description, "labels": {"0": "outside"} | {str(n): name for n, name in enumerate(names, 1)}}
    options: dict[str, Any] = {"photometric": "minisblack"}
    data: NDArray[np.integer] = raised.astype(np.uint16)
    if len(names) < 256:
        palette = np.zeros((3, 256), dtype=np.uint16)
        palette[:, 0] = 65_535
        palette[:, 1 : len(colours) + 1] = np.array(colours, dtype=np.uint16).T * 257
        data = raised.astype(np.uint8)
        options = {"photometric": "palette", "colormap": palette}
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, data, compression="deflate", metadata=None, description=json.dumps(said, ensure_ascii=True),
        resolution=(10_000 / pixel_um, 10_000 / pixel_um), resolutionunit="CENTIMETER", **options,
    )  # fmt: skip
    with atomic_write(path) as stream:
        stream.write(buffer.getbuffer())


@dataclass(frozen=True)
class Legend:
    """What stands beside a picture: a title, a colour with words for each entry, and the notice below."""

    title: str
    entries: tuple[tuple[Rgb, str], ...]
    notice: str


def png_with_legend(picture: NDArray[np.uint8], legend: Legend) -> bytes:
    """A PNG of ``picture`` (h, w, 3) with its legend at the right and the notice below; the notice is also in the file.

    The legend's text is drawn large enough to be read at the picture's own size.
    """
    from PIL.PngImagePlugin import PngInfo

    font: Any = ImageFont.load_default(size=_FONT_PX)
    line_px = _FONT_PX + 6
    height, width = picture.shape[:2]
    texts = [legend.title, *(words for _, words in legend.entries)]
    beside = int(max(_LEAST_LEGEND_PX, *(font.getlength(text) for text in texts)) + line_px + 3 * _PAD_PX)
    needed = _PAD_PX * 3 + line_px * (len(legend.entries) + 1)
    tall = max(height, needed) + line_px + _PAD_PX
    canvas = Image.new("RGB", (width + beside, tall), (255, 255, 255))
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    x, y = width + _PAD_PX, _PAD_PX
    draw.text((x, y), legend.title, fill=(0, 0, 0), font=font)
    for colour, words in legend.entries:
        y += line_px
        draw.rectangle((x, y + 2, x + _FONT_PX, y + 2 + _FONT_PX), fill=colour, outline=(90, 90, 90))
        draw.text((x + line_px, y), words, fill=(0, 0, 0), font=font)
    draw.text((_PAD_PX, tall - line_px), legend.notice, fill=(0, 0, 0), font=font)
    said = PngInfo()
    said.add_itxt("Title", legend.title)
    said.add_itxt("Disclaimer", legend.notice)
    stream = io.BytesIO()
    canvas.save(stream, "PNG", pnginfo=said)
    return stream.getvalue()
