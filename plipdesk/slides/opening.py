"""The one way to open a slide, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openslide import OpenSlide, OpenSlideError

from plipdesk.base.errors import UsageProblem
from plipdesk.slides.errors import ChannelsNeeded, DamagedSlide, UnknownFormat
from plipdesk.slides.files import opened
from plipdesk.slides.openslide_reader import OpenSlideReader, require_openslide
from plipdesk.slides.picture_reader import HEAD_BYTES, PictureReader, picture_format
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.tiff_plan import PICTURE_COMPRESSIONS, ome_of, plan_tiff, refuse_unless_colour
from plipdesk.slides.tiff_reader import TiffReader
from plipdesk.slides.tiff_structure import TiffStructure, read_structure

MRXS = ".mrxs"
GENERIC = "generic-tiff"
UNCOMPRESSED = 1


def open_slide(path: Path, *, mpp_um: float | None = None, channels: Sequence[int] | None = None) -> SlideReader:
    """Open a slide or picture of any format.

    OpenSlide comes first; a TIFF that it refuses, or of whose pyramid it sees one level only, is read through
    tifffile; PNG, JPEG, BMP and WebP are slides of one level.

    Args:
        path: the file; of formats with many files the one that stands for all (MRXS, VMS, any file of a DICOM series).
        mpp_um: the level-0 MPP given by a person; it overrides whatever the file says.
        channels: one (grey) or three (red, green, blue) channels of a fluorescence, multi-channel or deep TIFF; see
            :class:`~plipdesk.slides.tiff_reader.TiffReader` for how they become 8-bit.

    Raises:
        SlideProblem: it cannot be read; the sentence says why and what to do.
        UsageProblem: the MPP or the channels make no sense.
        EnvironmentProblem: the OpenSlide library is too old.
    """
    path = path.absolute()
    with opened(path) as stream:
        head = stream.read(HEAD_BYTES)
        if not head:
            raise DamagedSlide("The file is empty.", path=path, remedy="Copy it again from where it came.")
        kind = picture_format(head)
        structure = read_structure(stream, path) if kind == "tiff" else None
    require_openslide()
    if structure is not None:
        return _open_tiff(path, structure, mpp_um, channels)
    # The file of an MRXS slide is a JPEG or bitmap preview; the slide lies in the folder beside it.
    if kind is not None and path.suffix.lower() != MRXS:
        return PictureReader(path, kind, mpp_um=mpp_um, channels=channels)
    if openslide_format(path) is None:
        raise _unknown(path)
    if channels is not None:
        raise UsageProblem("Channels cannot be chosen in this format.", path=path, remedy="Leave the channels out.")
    return OpenSlideReader(path, mpp_um=mpp_um)


def open_as_known(path: Path, *, mpp_um: float | None = None, channels: Sequence[int] | None = None) -> SlideReader:
    """Open a slide as it is where it is 8-bit colour; ``channels`` counts only where the file needs a choice.

    Raises:
        ChannelsNeeded: it needs one, and there is none.
        SlideProblem, UsageProblem, EnvironmentProblem: as :func:`open_slide`.
    """
    try:
        return open_slide(path, mpp_um=mpp_um)
    except ChannelsNeeded as refusal:
        if channels is None or not refusal.choosable:
            raise
        return open_slide(path, mpp_um=mpp_um, channels=channels)


def openslide_format(path: Path) -> str | None:
    """OpenSlide's name of the format; None where it does not know the file."""
    try:
        return OpenSlide.detect_format(path)
    except OpenSlideError:
        return None


def _open_tiff(
    path: Path, structure: TiffStructure, mpp_um: float | None, channels: Sequence[int] | None
) -> SlideReader:
    vendor = openslide_format(path)
    if structure.is_ndpi or vendor not in (None, GENERIC):
        if channels is not None:
            raise UsageProblem("Channels cannot be chosen in this format.", path=path, remedy="Leave the channels out.")
        if not structure.is_ndpi:
            refuse_unless_colour(structure, None, path, choosable=False)
        return OpenSlideReader(path, mpp_um=mpp_um, structure=structure)
    ome = ome_of(structure, path)
    if channels is None:
        refuse_unless_colour(structure, ome, path)
    with opened(path) as stream:
        plan = plan_tiff(stream, structure, ome, path, channels)
    main = structure.directories[0]
    if plan is None and main.compression not in PICTURE_COMPRESSIONS:
        raise UnknownFormat(
            f"This TIFF file is compressed in a way that is not read (number {main.compression}).",
            path=path,
            remedy="Export it with JPEG, LZW or deflate compression.",
        )
    if vendor == GENERIC and channels is None and main.orientation == 1:
        try:
            reader = OpenSlideReader(path, mpp_um=mpp_um, structure=structure)
        except DamagedSlide:
            pass  # what OpenSlide cannot open, tifffile or Pillow may
        else:
            # tifffile reads what OpenSlide sees fewer levels of; where they see the same, OME-TIFF, whose pixel size
            # stands in the XML, and uncompressed tiles, which OpenSlide's libtiff refuses unless they fill whole KiB.
            more = -1 if plan is None else len(plan.levels) - len(reader.info.levels)
            if more < 0 or (more == 0 and ome is None and main.compression != UNCOMPRESSED):
                return reader
            reader.close()
    if plan is not None:
        return TiffReader(path, plan, mpp_um=mpp_um)
    return PictureReader(path, "tiff", mpp_um=mpp_um)


def _unknown(path: Path) -> UnknownFormat:
    if path.suffix.lower() == MRXS:
        return UnknownFormat(
            f"The folder {path.stem} that belongs to this MRXS slide is missing or incomplete.",
            path=path,
            remedy="Copy the slide's file and its folder together, side by side.",
        )
    return UnknownFormat(
        "This file is no slide and no picture that plipdesk reads, or it is badly damaged.",
        path=path,
        remedy="Copy it again, or export it as a pyramidal TIFF, SVS or DICOM slide.",
    )
