"""What messages are made of, besides rows: see :mod:`plipdesk.engine.messages`, which offers them under its name."""

from __future__ import annotations

import msgspec

from plipdesk.base.progress import Json


class PatchPlaces(msgspec.Struct, frozen=True):
    """The patches of one tiling: int32 left and top edges in level-0 pixels as little-endian bytes, and their side."""

    tiling_id: str
    encoder_id: str
    tiling: dict[str, Json]
    size0_px: float
    x0_px: bytes
    y0_px: bytes


class LevelSize(msgspec.Struct, frozen=True):
    """A level of the pyramid."""

    width_px: int
    height_px: int
    downsample: float
