"""From a manifest's rows to what an image tower takes; pictures that cannot be read are counted, never fatal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.files import atomic_write
from plipdesk.base.ids import settings_id
from plipdesk.base.progress import JobContext
from plipdesk.datasets.manifest import ManifestRow
from plipdesk.slides.thumbnails import decode_picture
from plipdesk.training.augment import AugmentSettings, random_crop, recolour

Fit = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Resizes and crops a picture of any size to the encoder's square."""


def read_view(
    row: ManifestRow, fit: Fit, *, view: int, seed: Sequence[int], augment: AugmentSettings
) -> NDArray[np.uint8] | None:
    """View number ``view`` of a picture, (input_px, input_px, 3): 0 is plain, others are augmented by ``seed``.

    None where the file is missing or cannot be decoded.
    """
    try:
        pixels = decode_picture(row.image)
    except (EnvironmentProblem, OSError):
        return None
    if view == 0:
        return fit(pixels)
    rng = np.random.default_rng([*seed, view])
    return recolour(fit(random_crop(pixels, rng, augment)), rng, augment)


class ViewFeatures:
    """Features of several views of each picture, kept on disk one file per view, so a killed run goes on from there."""

    def __init__(
        self,
        folder: Path,
        rows: Sequence[ManifestRow],
        *,
        trunk_sha256: str,
        fit_settings: dict[str, object],
        augment: AugmentSettings,
        seed: int,
    ) -> None:
        self._rows, self._augment, self._seed = rows, augment, seed
        key = settings_id(
            {
                "pictures": [row.sha256 for row in rows],
                "trunk": trunk_sha256,
                "fit": str(sorted(fit_settings.items())),
                "augment": repr(augment),
                "seed": seed,
            },
            digits=16,
        )
        self._folder = folder / f"features-{key}"

    def view(
        self, view: int, fit: Fit, features: Callable[[NDArray[np.uint8]], NDArray[np.float32]], ctx: JobContext
    ) -> NDArray[np.float32]:
        """(n, d) features of one view; rows of pictures that cannot be read are NaN."""
        path = self._folder / f"view-{view}.npy"
        if path.exists():
            found: NDArray[np.float32] = np.load(path)
            return found
        parts: list[NDArray[np.float32]] = []
        block = 32
        for start in range(0, len(self._rows), block):
            ctx.check_cancel()
            ctx.report(start, len(self._rows), unit="pictures", note=f"view {view}")
            pixels = [
                read_view(row, fit, view=view, seed=(self._seed, start + place), augment=self._augment)
                for place, row in enumerate(self._rows[start : start + block])
            ]
            readable = [place for place, one in enumerate(pixels) if one is not None]
            if readable:
                computed = features(np.stack([one for one in pixels if one is not None]))
                part = np.full((len(pixels), computed.shape[1]), np.nan, dtype=np.float32)
                part[readable] = computed
            else:
                part = np.full((len(pixels), 0), np.nan, dtype=np.float32)
            parts.append(part)
        width = max(part.shape[1] for part in parts)
        whole = np.full((len(self._rows), width), np.nan, dtype=np.float32)
        done = 0
        for part in parts:
            whole[done : done + len(part), : part.shape[1]] = part
            done += len(part)
        with atomic_write(path) as stream:
            np.save(stream, whole)
        return whole
