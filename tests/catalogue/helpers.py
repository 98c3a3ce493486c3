"""Rows for the catalogue's tests."""

from __future__ import annotations

from plipdesk.catalogue.rows import EmbeddingRow, SlideRow

ENCODER = "e" * 32


def slide(number: int = 1, **changes: object) -> SlideRow:
    """A slide with a made-up identity."""
    values: dict[str, object] = {
        "slide_id": f"{number:032x}",
        "path": f"/slides/{number}.svs",
        "name": f"{number}.svs",
        "format": "aperio",
        "vendor": "aperio",
        "width_px": 4000,
        "height_px": 3000,
        "mpp_um": 0.5,
        "mpp_source": "measured",
        "objective_power": 20.0,
        "file_bytes": 1000 + number,
        "file_mtime_ns": 5,
    }
    return SlideRow(**(values | changes))  # type: ignore[arg-type]


def embedding(number: int = 1, *, tiling_id: str = "t" * 16, encoder: str = ENCODER, **changes: object) -> EmbeddingRow:
    """The row of a vectors file of slide ``number``."""
    slide_id = f"{number:032x}"
    values: dict[str, object] = {
        "slide_id": slide_id,
        "tiling_id": tiling_id,
        "encoder_fingerprint": encoder,
        "encoder_id": "null",
        "tiling": {"patch_px": 64, "patch_mpp_um": 0.5, "tissue": "auto"},
        "patch_mpp_um": 0.5,
        "size0_px": 64.0,
        "file": f"vectors/{slide_id[:2]}/{slide_id}-{tiling_id}-{encoder[:16]}.safetensors",
        "patches": 10,
        "dim": 32,
        "tissue_mm2": 1.5,
        "seconds": 0.1,
    }
    return EmbeddingRow(**(values | changes))  # type: ignore[arg-type]
