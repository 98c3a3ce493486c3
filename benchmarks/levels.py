"""Why the same patch differs between neighbouring levels of a real slide: place, sharpness, or compression.

``python -m benchmarks.levels``. For pairs of levels that lie at, or are two and four times finer than, the scale of
the patches it tells how far the levels lie apart (phase correlation), how much power the coarser one has in each band
of frequencies against the finer one when that is averaged, and the cosines of plipdesk-mini, of its image tower before
the projection, and of a ViT-B/32 of random weights. Beside them stands the same for levels that were made here: one
picture without loss, halved, and each half compressed with the slide's own JPEG tables; what differs there is
compression alone.
"""

from __future__ import annotations

import io
import itertools
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import machine, table, write_result
from benchmarks.patches import PATCH_PX, REPOSITORY, tiling_of
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.slides.level_pixels import read_level
from plipdesk.slides.opening import open_slide
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.resampling import grid_for, read_squares, window
from tests.encoders.models import VIT_B_32, write_model

PATCHES = 8
BANDS = (0.0, 0.0625, 0.125, 0.25, 0.375, 0.5)
"""Borders of the bands, in waves per pixel of the coarser level."""
PAIRS = ((2.0, 0, 1), (4.0, 1, 2), (4.0, 0, 1), (8.0, 2, 3), (8.0, 1, 2), (8.0, 0, 1))
Pictures = NDArray[np.uint8]
Encode = Callable[[Pictures], NDArray[np.float32]]


def patches_at(reader: SlideReader, downsample: float, level: int) -> Pictures:
    """Some patches (n, p, p, 3) of a slide, read from one level."""
    tiling = tiling_of(reader, downsample, min_tissue=0.5)
    grid = grid_for(reader.info, downsample, level)
    found = []
    for number in np.unique(np.linspace(0, len(tiling.x0_px) - 1, PATCHES).astype(int)):
        corner = float(tiling.x0_px[number]), float(tiling.y0_px[number])
        wanted = window(grid, *corner, tiling.size0_px, tiling.size0_px, (PATCH_PX, PATCH_PX))
        found.append(read_squares(reader, grid, wanted.squares).cut(wanted, (PATCH_PX, PATCH_PX)))
    return np.stack(found)


def made_levels(reader: SlideReader, tables: dict[int, list[int]]) -> tuple[Pictures, Pictures]:
    """The same patches from two levels that are one picture, halved and compressed apart with the slide's tables."""
    tiling = tiling_of(reader, 4.0, min_tissue=0.5)
    fine, coarse = [], []
    for number in np.unique(np.linspace(0, len(tiling.x0_px) - 1, PATCHES).astype(int)):
        corner = int(tiling.x0_px[number]), int(tiling.y0_px[number])
        # Halved once, what level 0 lost to its own compression is mostly gone.
        picture = Image.fromarray(read_level(reader, 0, *corner, 4 * PATCH_PX, 4 * PATCH_PX)).reduce(2)
        fine.append(np.asarray(_compressed(picture, tables).reduce(2)))
        coarse.append(np.asarray(_compressed(picture.reduce(2), tables)))
    return np.stack(fine), np.stack(coarse)


def _compressed(picture: Image.Image, tables: dict[int, list[int]]) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", qtables=tables, subsampling=2)
    return Image.open(stream).convert("RGB")


def jpeg_tables(path: Path) -> dict[int, list[int]]:
    """The quantisation tables of a TIFF's tiles."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages[0]
        middle = len(page.dataoffsets) // 2
        tiff.filehandle.seek(page.dataoffsets[middle])
        tile = tiff.filehandle.read(page.databytecounts[middle])
        whole = page.jpegtables[:-2] + tile[2:] if page.jpegtables else tile
    picture: Any = Image.open(io.BytesIO(whole))
    return {number: list(values) for number, values in picture.quantization.items()}


def shift_px(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How far two grey pictures lie apart, by the slope of their phases at low frequencies, weighted by power."""
    hann = np.outer(np.hanning(len(one)), np.hanning(len(one)))
    cross = np.fft.fft2((one - one.mean()) * hann) * np.conj(np.fft.fft2((other - other.mean()) * hann))
    down, across = np.meshgrid(np.fft.fftfreq(len(one)), np.fft.fftfreq(len(one)), indexing="ij")
    low = (np.hypot(down, across) > 0.005) & (np.hypot(down, across) < 0.15)
    weight = np.sqrt(np.abs(cross[low]))
    waves = 2 * np.pi * np.stack([down[low], across[low]], axis=1)
    shift, *_ = np.linalg.lstsq(waves * weight[:, None], np.angle(cross[low]) * weight, rcond=None)
    return float(np.hypot(*shift))


def band_power(grey: NDArray[np.float32]) -> NDArray[np.float64]:
    """Power of a grey picture in each band."""
    hann = np.outer(np.hanning(len(grey)), np.hanning(len(grey)))
    power = np.abs(np.fft.fft2((grey - grey.mean()) * hann)) ** 2
    waves = np.hypot(*np.meshgrid(np.fft.fftfreq(len(grey)), np.fft.fftfreq(len(grey)), indexing="ij"))
    return np.array([power[(waves >= low) & (waves < high)].sum() for low, high in itertools.pairwise(BANDS)])


def compared(fine: Pictures, coarse: Pictures, encoders: dict[str, Encode]) -> dict[str, Any]:
    """What differs between the same patches from a finer and a coarser level."""
    grey = [pictures.astype(np.float32).mean(axis=3) for pictures in (fine, coarse)]
    shifts = [shift_px(one, other) for one, other in zip(*grey, strict=True)]
    power = [np.sum([band_power(picture) for picture in each], axis=0) for each in grey]
    cosines = {}
    for name, encode in encoders.items():
        cosine = np.sum(encode(fine) * encode(coarse), axis=1)
        cosines[name] = f"{np.median(cosine):.4f} ({cosine.min():.4f})"
    return {
        "shift_px": round(float(np.median(shifts)), 3),
        "correlation": round(float(np.corrcoef(fine.ravel(), coarse.ravel())[0, 1]), 4),
        "power": " ".join(f"{ratio:.2f}" for ratio in power[1] / power[0]),
        **cosines,
    }


def encoders_of(folder: Path) -> dict[str, Encode]:
    """plipdesk-mini, its image tower before the projection, and a ViT-B/32 of random weights."""
    import torch
    from safetensors.torch import load_file

    from plipdesk.encoders.architecture import build_model

    embedded = find_encoder(None, None)
    assert embedded.folder is not None
    model: Any = build_model(embedded.card.architecture)
    weights = load_file(embedded.folder / embedded.card.files["weights"].name)
    model.load_state_dict({name: part.float() if part.is_floating_point() else part for name, part in weights.items()})
    trunk = model.eval().visual.trunk
    mean, std = (np.array(values, dtype=np.float32) for values in (embedded.card.mean, embedded.card.std))

    def tower(pictures: Pictures) -> NDArray[np.float32]:
        pixels = ((pictures.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)
        with torch.inference_mode():
            found: NDArray[np.float32] = trunk(torch.from_numpy(pixels)).numpy()
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    write_model(folder / "models" / "vit-b-32", VIT_B_32)
    random = load_encoder(find_encoder("vit-b-32", folder / "models"), runtime="onnx")
    return {"mini": load_encoder(embedded).encode_patches, "tower": tower, "random ViT": random.encode_patches}


def main() -> int:
    """Measure, print and write ``results/levels.json``."""
    data = Path(os.environ.get("PLIPDESK_REALDATA", REPOSITORY.parent / "shared" / "data")) / "slides"
    if not data.is_dir():
        print(f"Levels are compared on real slides; none at {data}: set PLIPDESK_REALDATA.")
        return 0
    about, rows, document = machine(), [], dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder:
        encoders = encoders_of(Path(folder))
        for path in sorted(data.glob("*.tif")):
            with open_slide(path) as reader:
                found = {
                    f"{downsample:g} from {fine}, {coarse}": compared(
                        patches_at(reader, downsample, fine), patches_at(reader, downsample, coarse), encoders
                    )
                    for downsample, fine, coarse in PAIRS
                    if coarse < len(reader.info.levels)
                }
                found["made here"] = compared(*made_levels(reader, jpeg_tables(path)), encoders)
            document[path.stem] = found
            rows += [(path.stem, which, *each.values()) for which, each in found.items()]
    print(table(rows, ("slide", "downsample, levels", "shift px", "correlation", "power by band", *encoders)))
    write_result("levels", {"machine": about, "slides": document})
    return 0


if __name__ == "__main__":
    sys.exit(main())
