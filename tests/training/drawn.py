"""Tiny drawn pictures with words, and a recipe for a model small enough to learn them in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from plipdesk.base.files import sha256_of
from plipdesk.datasets.manifest import ManifestRow, write_manifest
from plipdesk.slides.thumbnails import encode_png
from plipdesk.training.recipe import Recipe

COLOURS = {
    "crimson": (200, 30, 60),
    "azure": (40, 120, 230),
    "olive": (120, 130, 20),
    "black": (10, 10, 10),
    "ivory": (250, 245, 230),
    "teal": (0, 130, 130),
}
SIDE = 16


def draw(folder: Path, *, per_colour: int = 8, broken: int = 0) -> Path:
    """Write pictures of one noisy colour each and their manifest; ``broken`` files hold no picture."""
    rng = np.random.default_rng(5)
    rows = []
    for name, colour in COLOURS.items():
        for place in range(per_colour):
            noise = rng.normal(0, 12, (SIDE, SIDE, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            rows.append(_row(folder, f"{name}-{place}", encode_png(pixels), name))
    rows += [_row(folder, f"broken-{place}", b"not a picture", "azure") for place in range(broken)]
    write_manifest(folder / "manifest.parquet", rows)
    return folder / "manifest.parquet"


def _row(folder: Path, name: str, content: bytes, tag: str) -> ManifestRow:
    path = folder / f"{name}.png"
    path.write_bytes(content)
    group = f"case-{name}"
    return ManifestRow(path, sha256_of(path), f"a square of {tag}", (tag,), group, "drawn", "train")


def recipe(**changes: Any) -> Recipe:
    """A recipe with a small vision transformer and text tower; ``changes`` replace fields of its one stage."""
    stage = {
        "name": "align",
        "kind": "align",
        "train": "everything",
        "steps": 40,
        "batch": 24,
        "logit_scale": 10.0,
        "augment": {"scale": 0.8, "stain": 0.0, "stain_shift": 0.0, "light": 0.0, "blur": 0.0},
        "optimiser": {"rate": 2e-3, "warmup_steps": 5, "weight_decay": 0.01},
        "checkpoint_every": 10,
        **changes,
    }
    return Recipe.model_validate(
        {
            "schema_version": 1,
            "name": "drawn",
            "seed": 3,
            "threads": 1,
            "start": "random",
            "architecture": {
                "embed_dim": 32,
                "custom_text": True,
                "vision_cfg": {"image_size": SIDE, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
                "text_cfg": {"context_length": 12, "width": 32, "heads": 2, "layers": 1, "proj_bias": True},
            },
            "preprocessing": {
                "input_px": SIDE,
                "mpp_um": 0.5,
                "mean": (0.5, 0.5, 0.5),
                "std": (0.25, 0.25, 0.25),
            },
            "tokenizer": {"merges": 40},
            "corpus": {"vocabulary": False},
            "stages": [stage],
            "card": {
                "id": "drawn",
                "name": "drawn",
                "languages": ["en"],
                "licence": "none",
                "source": "a test",
                "training_data": "drawn squares",
                "intended_use": "a test",
                "credit": "nobody",
                "notes": [],
            },
        }
    )
