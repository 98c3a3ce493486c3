"""µm per pixel: what a file says about it, and whether that is a measurement, a guess or nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from plipdesk.base.errors import UsageProblem
from plipdesk.slides.errors import MppProblem
from plipdesk.slides.protocol import MppSource

# What a scanner or a DICOM header states is believed within these; a coarse DICOM level alone has about 30 µm.
SCANNER_UM = (0.02, 500.0)
# A TIFF or picture resolution is a measurement where microscopes are: 100× oil to 2×.
RESOLUTION_UM = (0.04, 5.0)
# Above, up to a film scanner's 1,270 dpi, it may mean the tissue; beyond lie 72, 96, 300, 600 and 1,200 dpi, which mean
# screens and paper.
GUESSED_RESOLUTION_UM = (5.0, 20.0)
MAX_ANISOTROPY = 0.05
OBJECTIVE_POWERS = (0.5, 200.0)
# An objective of power p is taken to give 10 / p µm per pixel, as nearly all scanners do (20×: 0.5, 40×: 0.25).
POWER_TIMES_UM = 10.0


@dataclass(frozen=True)
class Mpp:
    """The level-0 MPP, where it comes from, and what a person should know about it."""

    mpp_um: float | None
    source: MppSource
    notes: tuple[str, ...] = ()


def settle_mpp(
    path: Path,
    *,
    given_um: float | None,
    scanner_um: tuple[float | None, float | None] = (None, None),
    resolution_um: tuple[float | None, float | None] = (None, None),
    objective_power: float | None = None,
) -> Mpp:
    """Choose the MPP from all that is known, best source first.

    A person's word, then ``scanner_um`` (x, y: scanner properties, DICOM pixel spacing, OME-XML physical size), then
    ``resolution_um`` (x, y: TIFF or picture resolution, plausible or not), then the objective power.

    Raises:
        UsageProblem: the given MPP is no MPP.
        MppProblem: the axes differ by more than 5 % and nobody gave the MPP.
    """
    if given_um is not None:
        if not (math.isfinite(given_um) and SCANNER_UM[0] <= given_um <= SCANNER_UM[1]):
            raise UsageProblem(
                f"{given_um} is no MPP.", path=path, remedy="Give µm per pixel at full resolution, for example 0.25."
            )
        return Mpp(given_um, "given")
    measured = _mean_of_axes(path, scanner_um, SCANNER_UM) or _mean_of_axes(path, resolution_um, RESOLUTION_UM)
    if measured is not None:
        return measured
    if objective_power is not None and OBJECTIVE_POWERS[0] <= objective_power <= OBJECTIVE_POWERS[1]:
        mpp_um = POWER_TIMES_UM / objective_power
        return Mpp(
            mpp_um,
            "guessed",
            (f"The MPP of {mpp_um:.4g} µm is guessed from the {objective_power:g}× objective.",),
        )
    coarse = _mean_of_axes(path, resolution_um, GUESSED_RESOLUTION_UM)
    if coarse is not None:
        note = f"The MPP of {coarse.mpp_um:.4g} µm is guessed from the picture's resolution, which is unusual."
        return Mpp(coarse.mpp_um, "guessed", (note, *coarse.notes))
    return Mpp(None, "unknown")


def _mean_of_axes(path: Path, axes_um: tuple[float | None, float | None], bounds_um: tuple[float, float]) -> Mpp | None:
    """The mean of both axes as a measurement, or None where no axis lies within the bounds."""
    low_um, high_um = bounds_um
    usable = [axis for axis in axes_um if axis is not None and math.isfinite(axis) and low_um <= axis <= high_um]
    if not usable:
        return None
    mean_um = sum(usable) / len(usable)
    spread = (max(usable) - min(usable)) / mean_um
    if spread > MAX_ANISOTROPY:
        raise MppProblem(
            f"The pixels are not square: {axes_um[0]:.4g} µm wide and {axes_um[1]:.4g} µm high.",
            path=path,
            remedy="Give the MPP by hand if the file is wrong; otherwise export it with square pixels.",
        )
    if spread > 0.001:
        note = (
            f"The pixels are {axes_um[0]:.4g} µm wide and {axes_um[1]:.4g} µm high; "
            f"the mean of {mean_um:.4g} µm is used."
        )
        return Mpp(mean_um, "measured", (note,))
    return Mpp(mean_um, "measured")
