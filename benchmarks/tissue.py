"""Tissue detection against the outlines drawn by eye: Dice per field, and how long it takes.

``python -m benchmarks.tissue [FOLDER]``. FOLDER gets each field as a picture: found tissue green, outlines red.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import machine, table, write_result
from plipdesk.slides.opening import open_slide
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.tissue import TissueMask, detect_tissue
from tests.slides.tissue_fields import Field, all_fields, dice, draw_ink, fill, truth

REPOSITORY = Path(__file__).resolve().parent.parent


def opened(field: Field, data: Path, folder: Path) -> SlideReader:
    """The field's slide, with the field's ink drawn over it."""
    path = data / field.source
    if not field.ink:
        return open_slide(path)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    inked = folder / f"{field.name}.png"
    Image.fromarray(draw_ink(pixels, field.ink)).save(inked)
    return open_slide(inked)


def picture(field: Field, reader: SlideReader, found: TissueMask) -> Image.Image:
    """The field with what was found (green) and the rim of what was outlined (red)."""
    height, width = found.mask.shape
    pixels = np.asarray(Image.fromarray(reader.thumbnail(max(height, width))).resize((width, height))).astype(
        np.float32
    )
    pixels[found.mask] = 0.6 * pixels[found.mask] + (0, 102, 0)
    if field.tissue is not None:
        expected = truth(field, found.mask.shape, found.downsample)
        padded = np.pad(expected, 1, mode="edge")
        around = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        pixels[expected & ~around] = (255, 0, 0)
    return Image.fromarray(pixels.astype(np.uint8))


def main() -> int:
    """Measure, print and write ``results/tissue.json``."""
    data = Path(os.environ.get("PLIPDESK_REALDATA", REPOSITORY.parent / "shared" / "data"))
    if not (data / "slides").is_dir():
        print(f"Tissue detection is measured on real slides; none at {data}: set PLIPDESK_REALDATA.")
        return 0
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    about = machine()
    rows, scores, covered = [], {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for field in all_fields():
            with opened(field, data, Path(scratch)) as reader:
                cpu_s = time.process_time()
                found = detect_tissue(reader)
                cpu_s = time.process_time() - cpu_s
                if pictures is not None:
                    pictures.mkdir(parents=True, exist_ok=True)
                    picture(field, reader, found).save(pictures / f"{field.name}.png")
            shape, downsample = found.mask.shape, found.downsample
            if field.tissue is None:
                assert field.not_tissue is not None
                share = [float(found.mask[fill([each], shape, downsample)].mean()) for each in field.not_tissue]
                covered[field.name] = [round(value, 3) for value in share]
                continue
            x, y, width, height = (round(number / downsample) for number in field.field_px)
            inside = (slice(y, y + height), slice(x, x + width))
            scores[field.name] = round(dice(found.mask[inside], truth(field, shape, downsample)[inside]), 4)
            kind = f"{field.stain}{', pale' if field.pale else ''}{', ink' if field.ink else ''}"
            rows.append((field.name, kind, f"{scores[field.name]:.3f}", f"{shape[1]} × {shape[0]}", f"{cpu_s:.2f}"))
    mean, least = statistics.mean(scores.values()), min(scores.values())
    print(table(rows, ("field", "stain", "Dice", "looked at", "CPU s with reading")))
    print(f"\nmean {mean:.3f}, least {least:.3f} of {len(scores)} fields")
    for name, shares in covered.items():
        print(f"no tissue in {name}: taken for tissue all the same: {', '.join(f'{share:.1%}' for share in shares)}")
    document = {"machine": about, "dice": scores, "mean": round(mean, 4), "least": least, "wrongly_tissue": covered}
    write_result("tissue", document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
