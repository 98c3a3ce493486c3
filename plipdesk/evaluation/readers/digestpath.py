"""DigestPath 2019, colonoscopy tissue (Da et al. 2022), benign or malignant, cut as Huang et al. (2023) cut it.

Layout of the challenge: ``tissue-train-neg/*.jpg`` and ``tissue-train-pos-v1/NAME.jpg`` with ``NAME_mask.jpg``. Each
picture is shrunk 2 to 32 times and cut into crops of 224 pixels that overlap by 10 %; a crop needs half tissue
(background: all of red, green and blue at least 200). Malignant: half of the crop is marked; benign: nothing of it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.evaluation.data import ClassData, state_of_parts
from plipdesk.evaluation.readers.layout import missing, pictures_in
from plipdesk.evaluation.splits import by_group, by_picture
from plipdesk.slides.resizing import resized
from plipdesk.slides.thumbnails import decode_picture

CLASSES = ("benign", "malignant")
DOWNSAMPLES = (2, 4, 8, 16, 32)
CROP_PX = 224
_OVERLAP = 0.1
_BACKGROUND = 200
_LEAST_TISSUE = 0.5
LEAST_TUMOUR = 0.5
_MARKED = 10
"""Masks were saved as JPEG: what is darker than this is none."""


@dataclass(frozen=True)
class Crop:
    """A square of a shrunk picture; ``tumour``: share of its pixels that are marked."""

    path: Path
    downsample: int
    x_px: int
    y_px: int
    tumour: float


class CropPictures:
    """Crops in the order of their files: the shrunk picture last used is kept."""

    def __init__(self, folder: Path, crops: list[Crop]) -> None:
        self._folder, self.crops = folder, crops
        self._kept: tuple[tuple[Path, int], NDArray[np.uint8]] | None = None

    def __len__(self) -> int:
        return len(self.crops)

    def read(self, number: int) -> NDArray[np.uint8]:
        """The pixels of one crop."""
        crop = self.crops[number]
        key = (crop.path, crop.downsample)
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, shrunk(decode_picture(crop.path), crop.downsample))
        part = self._kept[1][crop.y_px : crop.y_px + CROP_PX, crop.x_px : crop.x_px + CROP_PX]
        return np.ascontiguousarray(part)

    def name(self, number: int) -> str:
        """File, downsample and place."""
        crop = self.crops[number]
        return f"{crop.path.relative_to(self._folder).as_posix()}@{crop.downsample}+{crop.x_px}+{crop.y_px}"

    def state(self) -> str:
        """Over files and crops."""
        return state_of_parts(self, self._folder, {crop.path for crop in self.crops})


def read_digestpath(data: Path) -> ClassData:
    """Read both folders; every picture is decoded once to find its crops. A picture that cannot be read is left out.

    Raises:
        EvaluationProblem: neither folder is there, or no crop was found.
    """
    negative, positive = data / "tissue-train-neg", data / "tissue-train-pos-v1"
    crops: list[Crop] = []
    notes: list[str] = []
    for folder, marked in ((negative, False), (positive, True)):
        for path in pictures_in(folder) if folder.is_dir() else []:
            if path.stem.endswith("_mask"):
                continue
            try:
                pixels = decode_picture(path)
                mask = decode_picture(path.with_name(f"{path.stem}_mask.jpg")) if marked else None
            except EnvironmentProblem as problem:
                notes.append(f"{path.name} was left out: {problem.message}")
                continue
            crops += crops_of(path, pixels, mask)
    if not crops:
        raise missing(
            data,
            "DigestPath's tissue-train-neg and tissue-train-pos-v1",
            "Unpack the colonoscopy tissue segmentation set of DigestPath 2019 there.",
        )
    labels = np.array([int(crop.tumour >= LEAST_TUMOUR) for crop in crops], dtype=np.int64)
    groups = tuple(crop.path.stem for crop in crops)
    leaking = "70 % of the patches learn, and patches of one slide lie on both sides"
    return ClassData(
        name="DigestPath",
        pictures=CropPictures(data, crops),
        labels=labels,
        classes=CLASSES,
        splits={"source": by_group(groups, labels), "paper": by_picture(len(crops), leaking, leaks=True)},
        groups=groups,
        notes=tuple(notes),
    )


def shrunk(pixels: NDArray[np.uint8], downsample: int) -> NDArray[np.uint8]:
    """``pixels`` (h, w, 3) at 1 / ``downsample``, bicubic as Pillow's default."""
    height, width = pixels.shape[:2]
    return resized(pixels, round(width / downsample), round(height / downsample))


def crops_of(path: Path, pixels: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> list[Crop]:
    """The crops of one picture that are benign or malignant; ``mask`` None: nothing is marked."""
    found = []
    for downsample in DOWNSAMPLES:
        height, width = round(pixels.shape[0] / downsample), round(pixels.shape[1] / downsample)
        if min(height, width) < CROP_PX:
            break
        small = shrunk(pixels, downsample)
        tissue: NDArray[np.bool_] = np.any(small < _BACKGROUND, axis=2)
        marked = np.zeros((height, width), dtype=bool)
        if mask is not None:
            rows = np.minimum((np.arange(height) + 0.5) * mask.shape[0] / height, mask.shape[0] - 1).astype(int)
            columns = np.minimum((np.arange(width) + 0.5) * mask.shape[1] / width, mask.shape[1] - 1).astype(int)
            marked = mask[rows][:, columns, 0] > _MARKED
        for y_px in _starts(height):
            for x_px in _starts(width):
                part = (slice(y_px, y_px + CROP_PX), slice(x_px, x_px + CROP_PX))
                if tissue[part].mean() < _LEAST_TISSUE:
                    continue
                tumour = float(marked[part].mean())
                if tumour == 0 or tumour >= LEAST_TUMOUR:
                    found.append(Crop(path, downsample, x_px, y_px, tumour))
    return found


def _starts(side_px: int) -> list[int]:
    starts = np.arange(0, side_px, CROP_PX * (1 - _OVERLAP)).astype(int)
    # The authors' comparison leaves out a crop that ends exactly at the edge.
    return [int(start) for start in starts if start + CROP_PX < side_px]
