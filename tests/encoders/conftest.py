from __future__ import annotations

from pathlib import Path

import pytest

from tests.encoders.models import SMALL_LITE, SMALL_VIT, write_model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one random model of each kind; do not change it."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "small-vit", SMALL_VIT)
    write_model(folder / "small-lite", SMALL_LITE, half=True)
    return folder
