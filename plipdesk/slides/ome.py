"""What OME-XML says about a slide: which planes make it up and how large a pixel is. But for the channels'
names, names and notes are left unread.

After the OME-XML schema of 2016-06 (docs.openmicroscopy.org/ome-model).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from plipdesk.slides.errors import DamagedSlide, UnknownFormat

_UNIT_UM = {
    "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "Å": 1e-4,
}  # fmt: skip
_FLUORESCENT = ("EmissionWavelength", "ExcitationWavelength", "Fluor")
_MOST_AXIS = 1_000_000
_MOST_CHANNELS = 256
_MOST_BLOCKS = 65_536
_MOST_NAME = 40


@dataclass(frozen=True)
class OmeImage:
    """The main picture of an OME-TIFF.

    ``planes`` gives the TIFF directory (index in the main chain) of each group of ``samples_per_plane`` channels, at
    the middle focus and the first time. ``names``: what the channels are called, empty where nothing tells.
    """

    width_px: int
    height_px: int
    channels: int
    samples_per_plane: int
    planes: tuple[int, ...]
    mpp_um: tuple[float | None, float | None]
    objective_power: float | None
    fluorescent: bool
    focus_planes: int
    times: int
    names: tuple[str, ...]


def is_ome(description: str) -> bool:
    """Whether a TIFF's description is OME-XML."""
    return "<OME" in description[:4096] and description.rstrip().endswith("OME>")


def read_ome(description: str, path: Path | None) -> OmeImage:
    """Read the OME-XML of a TIFF's first directory; of several pictures the largest counts (others are labels).

    Raises:
        DamagedSlide: the XML is broken, or its numbers are.
        UnknownFormat: the pixels lie in other files.
    """
    if "<!DOCTYPE" in description or "<!ENTITY" in description:
        raise _damaged(path)
    try:
        root = ElementTree.fromstring(description)
        pixels = [
            (image, element) for image in root.iter() if _name(image) == "Image" for element in _all(image, "Pixels")
        ]
        image, main = max(pixels, key=lambda pair: int(pair[1].attrib["SizeX"]) * int(pair[1].attrib["SizeY"]))
        return _read_pixels(root, image, main, path)
    except (ElementTree.ParseError, KeyError, ValueError, ArithmeticError) as error:
        raise _damaged(path) from error


def _read_pixels(
    root: ElementTree.Element, image: ElementTree.Element, main: ElementTree.Element, path: Path | None
) -> OmeImage:
    sizes = {axis: int(main.attrib.get(f"Size{axis}", "1")) for axis in "XYZCT"}
    if min(sizes.values()) < 1 or max(sizes.values()) > _MOST_AXIS or sizes["C"] > _MOST_CHANNELS:
        raise ValueError("an axis has no plausible length")
    channels = _all(main, "Channel")
    samples = int(channels[0].attrib.get("SamplesPerPixel", "1")) if channels else 1
    if samples < 1 or sizes["C"] % samples:
        raise ValueError("the channels do not fit the samples")
    groups = sizes["C"] // samples
    order = [axis for axis in main.attrib.get("DimensionOrder", "XYCZT") if axis in "ZCT"]
    lengths = {"Z": sizes["Z"], "C": groups, "T": sizes["T"]}
    if sorted(order) != ["C", "T", "Z"]:
        raise ValueError("the order of dimensions is none")
    blocks = _plane_blocks(root, main, order, lengths, path)
    planes = tuple(
        _directory_of(blocks, _plane_number({"Z": sizes["Z"] // 2, "C": group, "T": 0}, order, lengths))
        for group in range(groups)
    )
    return OmeImage(
        width_px=sizes["X"],
        height_px=sizes["Y"],
        channels=sizes["C"],
        samples_per_plane=samples,
        planes=planes,
        mpp_um=(_physical_um(main.attrib, "X"), _physical_um(main.attrib, "Y")),
        objective_power=_objective_power(root, image),
        fluorescent=any(
            key in channel.attrib or "luorescence" in channel.attrib.get("ContrastMethod", "")
            for channel in channels
            for key in _FLUORESCENT
        ),
        focus_planes=sizes["Z"],
        times=sizes["T"],
        names=tuple(" ".join(channel.attrib.get("Name", "").split())[:_MOST_NAME] for channel in channels),
    )


def _plane_blocks(
    root: ElementTree.Element,
    main: ElementTree.Element,
    order: list[str],
    lengths: Mapping[str, int],
    path: Path | None,
) -> list[tuple[int, int, int]]:
    """(first plane, number of planes, first directory) for each stretch of planes that the XML places."""
    total = math.prod(lengths.values())
    own = root.attrib.get("UUID")
    strangers = {uuid.text for uuid in main.iter() if _name(uuid) == "UUID"} - {own}
    if len(strangers) > (0 if own else 1):
        raise UnknownFormat(
            "This OME-TIFF is spread over several files, which is not read.",
            path=path,
            remedy="Save it as one OME-TIFF file, for example with Bio-Formats.",
        )
    blocks = []
    for data in _all(main, "TiffData"):
        first = {axis: int(data.attrib.get(f"First{axis}", "0")) for axis in "ZCT"}
        count = int(data.attrib.get("PlaneCount", "1" if "IFD" in data.attrib else str(total)))
        blocks.append((_plane_number(first, order, lengths), count, int(data.attrib.get("IFD", "0"))))
    if len(blocks) > _MOST_BLOCKS:
        raise ValueError("the planes are scattered beyond reason")
    return blocks or [(0, total, 0)]


def _plane_number(place: Mapping[str, int], order: list[str], lengths: Mapping[str, int]) -> int:
    """The plane's number in the order of the file: the first axis of ``order`` runs fastest."""
    number, step = 0, 1
    for axis in order:
        number += place[axis] * step
        step *= lengths[axis]
    return number


def _directory_of(blocks: list[tuple[int, int, int]], plane: int) -> int:
    for first, count, directory in blocks:
        if first <= plane < first + count:
            return directory + plane - first
    raise ValueError("a plane is not in the file")


def _physical_um(attributes: Mapping[str, str], axis: str) -> float | None:
    if f"PhysicalSize{axis}" not in attributes:
        return None
    unit_um = _UNIT_UM.get(attributes.get(f"PhysicalSize{axis}Unit", "µm"))
    return None if unit_um is None else float(attributes[f"PhysicalSize{axis}"]) * unit_um


def _objective_power(root: ElementTree.Element, image: ElementTree.Element) -> float | None:
    """The nominal magnification of the objective that the picture names, else of the only one there is."""
    named = {settings.attrib.get("ID") for settings in _all(image, "ObjectiveSettings")}
    objectives = [element for element in root.iter() if _name(element) == "Objective"]
    chosen = [element for element in objectives if element.attrib.get("ID") in named] or objectives
    if len(chosen) != 1 or "NominalMagnification" not in chosen[0].attrib:
        return None
    return float(chosen[0].attrib["NominalMagnification"])


def _name(element: ElementTree.Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def _all(parent: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in parent if _name(element) == name]


def _damaged(path: Path | None) -> DamagedSlide:
    return DamagedSlide(
        "The OME-XML in this OME-TIFF is damaged.", path=path, remedy="Copy the file again, or export it anew."
    )
