"""Reading patches: how many a second, and how well the same patch agrees between neighbouring levels.

``python -m benchmarks.patches``. Rates are of one thread, in wall and in CPU seconds, beside a plain loop over
OpenSlide that reads patch by patch. The levels of a real slide were compressed one by one, so they differ by more than
resampling: the correlation of pixels is told beside the best that any linear kernel of 8 × 8 reaches.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import machine, table, write_result
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.protocol import Encoder
from plipdesk.slides.opening import open_slide
from plipdesk.slides.patches import iter_patches
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.resampling import grid_for, read_squares, window
from plipdesk.slides.tiling import Tiling, TilingSettings, plan_tiling
from plipdesk.slides.tissue import tissue_mask
from tests.encoders.models import VIT_B_32, write_model

REPOSITORY = Path(__file__).resolve().parent.parent
PATCH_PX = 224
PATCHES = 600
KERNEL_PX = 8


def tiling_of(reader: SlideReader, downsample: float, *, min_tissue: float = 0.15) -> Tiling:
    """Patches that take ``downsample`` level-0 pixels per pixel."""
    mpp_um = reader.info.mpp_um or 0.5
    wanted = TilingSettings(PATCH_PX, mpp_um * downsample, min_tissue=min_tissue)
    return plan_tiling(reader.info, tissue_mask(reader, "auto"), wanted, mpp_um=mpp_um)


def rates(path: Path, downsample: float) -> dict[str, Any]:
    """Patches a second of a plain loop and of ours, on one thread."""
    from openslide import OpenSlide

    with open_slide(path) as reader:
        tiling = tiling_of(reader, downsample)
        some = Tiling(tiling.settings, tiling.x0_px[:PATCHES], tiling.y0_px[:PATCHES], tiling.size0_px)
        level = grid_for(reader.info, downsample).level
    count, side_px = len(some.x0_px), round(some.size0_px / 2**level)
    with OpenSlide(path) as slide:
        plain = time.process_time()
        for corner in zip(some.x0_px.tolist(), some.y0_px.tolist(), strict=True):
            np.asarray(slide.read_region(corner, level, (side_px, side_px)).convert("RGB"))
        plain = time.process_time() - plain
    with open_slide(path) as reader:
        cpu, wall = time.process_time(), time.perf_counter()
        read = sum(len(each.pixels) for each in iter_patches(reader, some, batch=64, reader_threads=1))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert read == count
    return {
        "patches": count,
        "plain_loop_per_cpu_s": round(count / plain),
        "per_cpu_s": round(count / cpu),
        "per_s": round(count / wall),
    }


def agreement(path: Path, downsample: float, encoders: dict[str, Encoder]) -> dict[str, Any]:
    """Cosine of embeddings and correlation of pixels, of patches read from the best level and from the next finer."""
    with open_slide(path) as reader:
        tiling = tiling_of(reader, downsample, min_tissue=0.8)
        best = grid_for(reader.info, downsample).level
        chosen = np.unique(np.linspace(0, len(tiling.x0_px) - 1, 16).astype(int))
        read: dict[int, NDArray[np.uint8]] = {}
        for level in (best - 1, best):
            grid = grid_for(reader.info, downsample, level)
            patches = []
            for number in chosen:
                corner = float(tiling.x0_px[number]), float(tiling.y0_px[number])
                wanted = window(grid, *corner, tiling.size0_px, tiling.size0_px, (PATCH_PX, PATCH_PX))
                patches.append(read_squares(reader, grid, wanted.squares).cut(wanted, (PATCH_PX, PATCH_PX)))
            read[level] = np.stack(patches)
        ceiling = best_linear_correlation(reader, tiling, chosen, best)
    cosines: dict[str, float] = {}
    for name, encoder in encoders.items():
        cosine = np.sum(encoder.encode_patches(read[best]) * encoder.encode_patches(read[best - 1]), axis=1)
        cosines[f"{name}_median"] = round(float(np.median(cosine)), 4)
        cosines[f"{name}_least"] = round(float(cosine.min()), 4)
    return {
        "levels": [best - 1, best],
        **cosines,
        "pixel_correlation": round(float(np.corrcoef(read[best].ravel(), read[best - 1].ravel())[0, 1]), 4),
        "best_linear_correlation": round(ceiling, 4),
    }


def best_linear_correlation(reader: SlideReader, tiling: Tiling, chosen: NDArray[np.int64], level: int) -> float:
    """Correlation of a level's own grey values with the best linear mix of the finer level's pixels around each."""
    half = KERNEL_PX // 2
    mixes, values = [], []
    for number in chosen[:: max(1, len(chosen) // 6)]:
        scale = 2**level
        x, y = int(tiling.x0_px[number]) // scale, int(tiling.y0_px[number]) // scale
        coarse = read_squares(reader, grid_for(reader.info, scale, level), (x, y, x + 128, y + 128)).pixels
        around = (2 * x - half, 2 * y - half, 2 * x + 256 + half, 2 * y + 256 + half)
        fine = read_squares(reader, grid_for(reader.info, scale / 2, level - 1), around).pixels.mean(axis=2)
        values.append(coarse.mean(axis=2).ravel())
        shifts = [(dy, dx) for dy in range(1, KERNEL_PX + 1) for dx in range(1, KERNEL_PX + 1)]
        mixes.append(np.stack([fine[dy : dy + 256 : 2, dx : dx + 256 : 2].ravel() for dy, dx in shifts], axis=1))
    mix, value = np.concatenate(mixes), np.concatenate(values)
    mix = np.concatenate([mix, np.ones((len(mix), 1))], axis=1)
    weights, *_ = np.linalg.lstsq(mix, value, rcond=None)
    return float(np.corrcoef(mix @ weights, value)[0, 1])


def main() -> int:
    """Measure, print and write ``results/patches.json``."""
    data = Path(os.environ.get("PLIPDESK_REALDATA", REPOSITORY.parent / "shared" / "data"))
    if not (data / "slides").is_dir():
        print(f"Patches are read from real slides; none at {data}: set PLIPDESK_REALDATA.")
        return 0
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        # Random weights hear every pixel alike; plipdesk-mini listens to textures, which JPEG changes most.
        write_model(Path(folder) / "models" / "vit-b-32", VIT_B_32)
        vit = load_encoder(find_encoder("vit-b-32", Path(folder) / "models"), runtime="onnx")
        vit.encode_patches(np.zeros((1, PATCH_PX, PATCH_PX, 3), dtype=np.uint8))
    encoders = {"mini": load_encoder(find_encoder(None, None)), "random_vit": vit}
    speed, agree = {}, {}
    for path in sorted((data / "slides").glob("*.tif")):
        speed[path.stem] = {f"downsample {factor:g}": rates(path, factor) for factor in (1.0, 1.3)}
        agree[path.stem] = {f"downsample {factor:g}": agreement(path, factor, encoders) for factor in (2.0, 2.6)}
    for encoder in encoders.values():
        encoder.close()
    for title, results in (("patches a second, one thread", speed), ("agreement of levels", agree)):
        keys = list(next(iter(next(iter(results.values())).values())))
        rows = [(name, at, *(each[key] for key in keys)) for name, ats in results.items() for at, each in ats.items()]
        print(f"{title}\n{table(rows, ('slide', 'at', *keys))}\n")
    write_result("patches", {"machine": about, "rates": speed, "agreement": agree})
    return 0


if __name__ == "__main__":
    sys.exit(main())
