"""The settings of an indexing job, as they come from a window or a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plipdesk.base.errors import UsageProblem
from plipdesk.base.progress import Json
from plipdesk.encoders.card import EncoderCard
from plipdesk.slides.tiling import TilingSettings

_MPP_RANGE_UM = (0.01, 100.0)
_MAX_OVERLAP = 0.9


@dataclass(frozen=True)
class IndexSettings:
    """What to index, and how.

    ``mpp_um`` is the slides' level-0 MPP where the person gives it; ``patch_mpp_um`` the MPPs of the tilings (none: the
    encoder's own); ``overlap`` the share of a patch's side that neighbours have in common; ``tissue`` is ``auto``,
    ``all`` or the path of a GeoJSON file; ``channels`` one (grey) or three (red, green, blue) of what is no 8-bit
    colour; ``keep_old`` leaves patches that were cut otherwise beside the new ones. ``loosely``: nobody said how to
    cut, so that what is cut already, by whatever overlap and tissue, may stay as it is.
    """

    paths: tuple[Path, ...]
    collection: str | None
    case: str | None
    encoder: str | None
    mpp_um: float | None
    patch_mpp_um: tuple[float, ...]
    overlap: float
    tissue: str
    recursive: bool
    channels: tuple[int, ...] | None = None
    keep_old: bool = False
    loosely: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Json]) -> IndexSettings:
        """Read and check a job's parameters.

        Raises:
            UsageProblem: a number is out of range, or no path is given.
        """
        settings = cls(
            paths=tuple(Path(path) for path in params["paths"]),
            collection=params.get("collection"),
            case=params.get("case"),
            encoder=params.get("encoder"),
            mpp_um=params.get("mpp_um"),
            patch_mpp_um=tuple(float(mpp) for mpp in params.get("patch_mpp_um") or ()),
            overlap=float(params.get("overlap") or 0.0),
            tissue=params.get("tissue") or "auto",
            recursive=bool(params.get("recursive")),
            channels=tuple(int(channel) for channel in params.get("channels") or ()) or None,
            keep_old=bool(params.get("keep_old")),
            loosely=params.get("overlap") is None and params.get("tissue") is None,
        )
        low, high = _MPP_RANGE_UM
        given = [*settings.patch_mpp_um, *([] if settings.mpp_um is None else [settings.mpp_um])]
        for mpp_um in given:
            if not low <= mpp_um <= high:
                raise UsageProblem(f"{mpp_um} µm per pixel is out of range.", remedy=f"Give {low} to {high:g}.")
        if not 0.0 <= settings.overlap <= _MAX_OVERLAP:
            raise UsageProblem(f"An overlap of {settings.overlap} cannot be.", remedy=f"Give 0 to {_MAX_OVERLAP}.")
        chosen = settings.channels
        if chosen is not None and (len(chosen) not in (1, 3) or min(chosen) < 0):
            raise UsageProblem(
                f"The channels {', '.join(map(str, chosen))} cannot be chosen.",
                remedy="Choose one (shown in grey) or three (red, green, blue); the first is 0.",
            )
        if not settings.paths:
            raise UsageProblem("Nothing to index was given.", remedy="Name slides or folders.")
        return settings

    @property
    def mask_needs_no_slide(self) -> bool:
        """Whether the tilings can be named before the slide is opened, since its tissue is not drawn by hand."""
        return self.tissue in ("auto", "all")

    def tilings(
        self, card: EncoderCard, mask_sha256: str | None, channels: tuple[int, ...] | None = None
    ) -> tuple[TilingSettings, ...]:
        """The tilings to make of a slide for an encoder; ``channels``: what the slide is read by, if not as it is."""
        return tuple(
            TilingSettings(
                patch_px=card.input_px,
                patch_mpp_um=mpp_um,
                overlap=self.overlap,
                tissue=self.tissue if self.tissue in ("auto", "all") else "drawn",
                mask_sha256=mask_sha256,
                channels=channels,
            )
            for mpp_um in dict.fromkeys(self.patch_mpp_um or (card.mpp_um,))
        )
