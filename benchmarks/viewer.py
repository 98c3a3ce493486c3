"""The viewer on a slide of more than 50,000 × 50,000 pixels: frames a second, and how soon a view is sharp.

The slide is drawn tile by tile (a pool of JPEG tiles, laid out by a seed; each level from the same pool, so that all
levels cost what real ones cost) and kept in the system's temporary folder. The real window with its real reader process
then follows a scripted path as fast as it can paint: jumps to places not seen before, and pans and zooms from there.
After each the clock runs until the view is painted sharp. Then another path while the engine indexes slides. The
baseline reads what the canvas shows with OpenSlide for each frame, as a plain viewer does, along the first path.
Painted offscreen: a display server's share is not in it.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import machine, percentile, write_result
from benchmarks.window import real_slides

SIDE_PX = 50_176
TILE_PX = 512
POOL = 48
SEED = 7
MPP_UM = 0.25
LEGS = 16
LEG_FRAMES = 40
GOAL_FPS, GOAL_SHARP_MS, GOAL_BUSY_MS = 50.0, 300.0, 600.0


def draw_slide(path: Path) -> float:
    """Write the slide; returns the seconds it took."""
    import tifffile
    from PIL import Image

    began = time.perf_counter()
    random = np.random.default_rng(SEED)
    pool = []
    for _ in range(POOL):
        coarse = random.normal(0, 1, (TILE_PX // 16, TILE_PX // 16))
        texture = np.kron(coarse, np.ones((16, 16)))[..., None] * 14 + random.normal(0, 5, (TILE_PX, TILE_PX, 1))
        nuclei = np.kron(random.random((TILE_PX // 8, TILE_PX // 8)) < 0.1, np.ones((8, 8), bool))
        pixels = np.array([214, 140, 180]) + texture
        pixels[nuclei] *= (0.5, 0.4, 0.65)
        stream = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=75)
        pool.append(stream.getvalue())

    def tiles(count: int) -> Iterator[bytes]:
        for number in random.integers(0, POOL, count):
            yield pool[number]

    with tifffile.TiffWriter(path.with_suffix(".part"), bigtiff=True) as tiff:
        side = SIDE_PX
        while side >= TILE_PX // 2:
            across = -(-side // TILE_PX)
            tiff.write(
                tiles(across * across),
                shape=(side, side, 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="ycbcr",
                compression="jpeg",
                subsampling=(2, 2),
                subfiletype=0 if side == SIDE_PX else 1,
                resolution=(40_000 * side / SIDE_PX, 40_000 * side / SIDE_PX),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
            side //= 2
    path.with_suffix(".part").replace(path)
    return time.perf_counter() - began


@dataclass(frozen=True)
class Leg:
    """A jump to a place that was not seen before, at an objective, then a movement from there: the same each time."""

    x0_px: float
    y0_px: float
    power: float
    steps: tuple[tuple[str, float, float], ...]


def path_of_legs(seed: int) -> list[Leg]:
    """Pans (screen pixels a frame) and zooms (factors a frame) in turns."""
    random = np.random.default_rng(seed)
    legs = []
    for number in range(LEGS):
        if number % 2:
            angle, speed = random.uniform(0, 2 * np.pi), random.uniform(6, 24)
            step = ("pan", speed * float(np.cos(angle)), speed * float(np.sin(angle)))
        else:
            step = ("zoom", (1.03, 0.97)[number // 2 % 2], 0.0)
        x, y = random.uniform(0.2, 0.8, 2) * SIDE_PX
        legs.append(Leg(float(x), float(y), float(random.choice([5.0, 10.0, 20.0])), (step,) * LEG_FRAMES))
    return legs


class Viewer:
    """Drives the product's window."""

    def __init__(self, workspace: Path, slide: Path) -> None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        from plipdesk.base.paths import Workspace
        from plipdesk.desktop.main import application_object, open_desk
        from plipdesk.desktop.viewer.pane import SlideToShow

        self.application = application_object("plipdesk")
        self.window = open_desk(self.application, Workspace(workspace)).window
        self.window.resize(1600, 1000)
        self.window.library_dock.hide()
        self.window.results.hide()
        self.window.show()
        self.wait(lambda: self.window.link.is_connected and self.window.library.encoder is not None)
        self.window._open(SlideToShow(str(slide), slide.name), None)
        self.canvas = self.window.viewer.canvas
        self.wait(self.canvas.at_rest)
        self.canvas.to_objective(5)
        self.wait(self.canvas.at_rest)

    def wait(self, holds: Any, limit_s: float = 60.0) -> None:
        """Let the event loop run until something holds."""
        deadline = time.monotonic() + limit_s
        while not holds():
            self.application.processEvents()
            time.sleep(0.001)
            if time.monotonic() > deadline:
                raise SystemExit("The window did not come to rest.")

    def run(self, seed: int) -> dict[str, Any]:
        """Follow a path once, over parts of the slide that were not seen before."""
        canvas = self.canvas
        frames_ms, sharp_ms, jump_ms, blank = [], [], [], 0
        for leg in path_of_legs(seed):
            began = time.perf_counter()
            canvas._move(canvas.camera.at_magnification(leg.power, MPP_UM, canvas.view).moved_to(leg.x0_px, leg.y0_px))
            self.wait(canvas.at_rest)
            canvas.repaint()
            jump_ms.append(1000 * (time.perf_counter() - began))
            for kind, first, second in leg.steps:
                began = time.perf_counter()
                if kind == "pan":
                    canvas._move(canvas.camera.panned(first, second))
                else:
                    canvas.zoom_by(first)
                canvas.repaint()
                self.application.processEvents()
                frames_ms.append(1000 * (time.perf_counter() - began))
            ended = time.perf_counter()
            self.wait(canvas.at_rest)
            canvas.repaint()
            sharp_ms.append(1000 * (time.perf_counter() - ended))
            blank += _blank(canvas)
        jumps = {"median_sharp_after_jump_ms": round(statistics.median(jump_ms), 1)}
        jumps["p95_sharp_after_jump_ms"] = round(percentile(jump_ms, 0.95), 1)
        return _figures(frames_ms, sharp_ms) | jumps | {"blank_tiles_at_rest": blank}


def _blank(canvas: Any) -> int:
    """Sharp tiles of the view that are not there."""
    scheduler = canvas.tiles.scheduler
    return sum(key not in canvas.tiles._tiles for key in scheduler.visible)


def plain(slide: Path, width_px: int, height_px: int) -> dict[str, Any]:
    """The same path, each frame read with OpenSlide in the window's own thread."""
    from openslide import OpenSlide
    from PIL import Image

    from plipdesk.desktop.viewer.camera import Camera, Viewport

    handle = OpenSlide(slide)
    view = Viewport(width_px, height_px)
    whole = Camera.fitting(SIDE_PX, SIDE_PX, view)
    frames_ms: list[float] = []
    for leg in path_of_legs(SEED):
        camera = whole.at_magnification(leg.power, MPP_UM, view).moved_to(leg.x0_px, leg.y0_px)
        # A tenth of the frames is enough: each costs about the same, and all of them would take minutes.
        for number, (kind, first, second) in enumerate(leg.steps):
            middle = (width_px / 2, height_px / 2)
            camera = camera.panned(first, second) if kind == "pan" else camera.zoomed(first, *middle, view)
            if number % 10:
                continue
            began = time.perf_counter()
            seen = camera.seen(view)
            level = handle.get_best_level_for_downsample(1 / camera.zoom)
            shrink = handle.level_downsamples[level]
            size = max(1, round(seen.width / shrink)), max(1, round(seen.height / shrink))
            region = handle.read_region((round(seen.x), round(seen.y)), level, size).convert("RGB")
            region.resize((width_px, height_px), Image.Resampling.BILINEAR)
            frames_ms.append(1000 * (time.perf_counter() - began))
    handle.close()
    return _figures(frames_ms, [])


def _figures(frames_ms: list[float], sharp_ms: list[float]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "frames": len(frames_ms),
        "frames_per_second": round(1000 / statistics.mean(frames_ms), 1),
        "median_frame_ms": round(statistics.median(frames_ms), 2),
        "p95_frame_ms": round(percentile(frames_ms, 0.95), 2),
        "longest_frame_ms": round(max(frames_ms), 1),
    }
    if sharp_ms:
        found |= {
            "median_sharp_after_ms": round(statistics.median(sharp_ms), 1),
            "p95_sharp_after_ms": round(percentile(sharp_ms, 0.95), 1),
            "longest_sharp_after_ms": round(max(sharp_ms), 1),
        }
    return found


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle-only", action="store_true", help="leave out what is measured while indexing runs")
    options = parser.parse_args()
    slide = Path(tempfile.gettempdir()) / f"plipdesk-benchmark-viewer-{SIDE_PX}.tif"
    made_s = None if slide.exists() else round(draw_slide(slide), 1)
    with tempfile.TemporaryDirectory() as folder:
        viewer = Viewer(Path(folder) / "workspace", slide)
        size = viewer.canvas.width(), viewer.canvas.height()
        idle = viewer.run(SEED)
        busy: dict[str, Any] | None = None
        if not options.idle_only:
            viewer.window.add_paths(real_slides() or [str(slide)])
            viewer.wait(lambda: viewer.window.jobs.state.running() is not None and _encoding(viewer.window))
            busy = viewer.run(SEED + 1) | {"indexing_all_the_while": viewer.window.jobs.state.running() is not None}
        viewer.window.closing.stop_and_close() if viewer.window.jobs.state.active() else viewer.window.close()
        viewer.wait(lambda: not viewer.window.isVisible())
    baseline = plain(slide, *size)
    result = {
        "machine": machine(),
        "slide": {"side_px": SIDE_PX, "file_mb": round(slide.stat().st_size / 1e6), "drawn_in_s": made_s},
        "canvas_px": size,
        "idle": idle,
        "while_indexing": busy,
        "plain_baseline": baseline,
        "times_the_baseline": round(idle["frames_per_second"] / baseline["frames_per_second"], 1),
        "met": idle["frames_per_second"] >= GOAL_FPS
        and max(idle["p95_sharp_after_ms"], idle["p95_sharp_after_jump_ms"]) <= GOAL_SHARP_MS
        and idle["blank_tiles_at_rest"] == 0
        and (busy is None or max(busy["p95_sharp_after_ms"], busy["p95_sharp_after_jump_ms"]) <= GOAL_BUSY_MS),
    }
    write_result("viewer", result)
    return 0


def _encoding(window: Any) -> bool:
    """Whether patches are being encoded, so that the machine is as busy as it gets."""
    return any(view.progress is not None and view.progress.done > 0 for view in window.jobs.state.views.values())


if __name__ == "__main__":
    raise SystemExit(main())
