"""The main job as a person sees it first: the demo's script on a drawn slide, with the embedded model, offscreen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.drawing import pyramidal_tiff
from tests.packaging.scripts import REPOSITORY


def test_the_demo_indexes_searches_and_draws_the_window_and_is_quick_the_second_time(tmp_path: Path) -> None:
    slide = pyramidal_tiff(tmp_path / "slide.tiff", width_px=1024, height_px=768)
    folder = tmp_path / "demo"
    command = [sys.executable, "packaging/demo.py", "--slide", str(slide), "--folder", str(folder), "--offscreen"]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    told = []
    for _run in range(2):
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told.append(done.stdout)
    assert "slide.tiff: indexed" in told[0]
    assert "new patches at" in told[0]
    assert "slide.tiff: unchanged" in told[1]
    for text in told:
        assert text.count("searched ") == 2
    pictures = sorted(folder.glob("*.png"))
    assert len(pictures) == 3
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size >= (1000, 600)
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 100, "an empty window was drawn"
