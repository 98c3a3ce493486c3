"""ICC profiles for the eye: applied where there is one, and never where it cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from plipdesk.slides.eye_colour import EyeColour
from plipdesk.slides.opening import open_slide


def picture(path: Path, profile: bytes | None) -> Path:
    pixels = np.full((64, 64, 3), (210, 120, 170), np.uint8)
    Image.fromarray(pixels).save(path, icc_profile=profile)
    return path


def test_the_slides_own_srgb_changes_nothing(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with open_slide(picture(tmp_path / "a.png", srgb)) as reader:
        colour = EyeColour.of(reader)
        assert colour is not None
        pixels = reader.read_region(0, 0, 0, 64, 64)
        assert np.abs(colour.apply(pixels).astype(int) - pixels).max() <= 1


def test_another_profile_is_what_pillow_makes_of_it(tmp_path: Path) -> None:
    srgb = ImageCms.createProfile("sRGB")
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for profile, usable in ((None, False), (lab, False), (ImageCms.ImageCmsProfile(srgb).tobytes(), True)):
        with open_slide(picture(tmp_path / "b.png", profile)) as reader:
            assert (EyeColour.of(reader) is not None) == usable


@pytest.mark.parametrize("profile", [b"nothing", b"\0" * 200])
def test_a_broken_profile_is_no_profile(tmp_path: Path, profile: bytes) -> None:
    with open_slide(picture(tmp_path / "c.png", profile)) as reader:
        assert EyeColour.of(reader) is None
