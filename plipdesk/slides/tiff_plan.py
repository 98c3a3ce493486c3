"""Which planes of a TIFF make up the slide: the levels of its pyramid and, where somebody chose them, its channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from plipdesk.base.errors import UsageProblem
from plipdesk.slides.errors import ChannelsNeeded, DamagedSlide
from plipdesk.slides.limits import MAX_PIECE_BYTES
from plipdesk.slides.ome import OmeImage, is_ome, read_ome
from plipdesk.slides.tiff_structure import TiffDirectory, TiffStructure, read_sub_directories

# Uncompressed, LZW, JPEG, deflate (2), PackBits, JPEG 2000 RGB (2), Zstandard, WebP.
READ_COMPRESSIONS = frozenset({1, 5, 7, 8, 32946, 32773, 33005, 34712, 50000, 50001})
# A level whose shape differs by more is another picture: a label or a macro.
MAX_SHAPE_DIFFERENCE = 0.02
# What Pillow reads beyond these: CCITT (3), old JPEG, LZMA.
PICTURE_COMPRESSIONS = READ_COMPRESSIONS | {2, 3, 4, 6, 34925}
UNSIGNED = 1
FLOATING_POINT = 3
EXPORT_REMEDY = "Export it as 8-bit RGB, or as an OME-TIFF and choose one or three of its channels."
# Of so many channels each is named when somebody has to choose; of more only their number is told.
MOST_NAMED = 12


@dataclass(frozen=True)
class Plane:
    """One directory, by its place in the file, and one sample of it (None: all of them, as colour)."""

    directory: TiffDirectory
    main_index: int
    sub_index: int | None
    sample: int | None


@dataclass(frozen=True)
class TiffPlan:
    """The planes of every level, finest first: one in colour, or one for each chosen channel."""

    format: str
    levels: tuple[tuple[Plane, ...], ...]
    channels: tuple[int, ...] | None
    scanner_um: tuple[float | None, float | None]
    objective_power: float | None
    notes: tuple[str, ...]


def ome_of(structure: TiffStructure, path: Path | None) -> OmeImage | None:
    """The OME-XML of the file, if it has one.

    Raises:
        SlideProblem: the XML is damaged, or the pixels lie in other files.
    """
    description = structure.directories[0].description
    return read_ome(description, path) if is_ome(description) else None


def refuse_unless_colour(
    structure: TiffStructure, ome: OmeImage | None, path: Path | None, *, choosable: bool = True
) -> None:
    """Refuse fluorescence, many channels and more than 8 bits, in words; ``choosable``: channels can be chosen instead.

    Raises:
        ChannelsNeeded: somebody has to choose what to look at.
    """
    main = structure.directories[ome.planes[0]] if ome and ome.planes[0] < len(structure.directories) else None
    main = main or structure.directories[0]
    what = None
    if main.sample_format == FLOATING_POINT:
        what = f"holds floating-point numbers of {main.bits} bits"
    elif main.bits > 8:
        what = f"holds {main.bits}-bit pixels"
    elif main.sample_format != UNSIGNED:
        what = "holds signed numbers"
    elif (main.samples - len(main.extra_samples) > 3 and main.photometric in (1, 2, 6)) or main.samples > 4 + (
        main.photometric == 5
    ):
        what = f"holds {main.samples} channels"
    elif ome is not None and ome.fluorescent:
        what = "is a fluorescence picture"
    elif ome is not None and len(ome.planes) > 1:
        what = f"holds {ome.channels} separate channels"
    elif ome is None and main.imagej_channels > 1:
        what = f"holds {main.imagej_channels} separate channels"
    elif ome is None and main.samples == 1 and any(_alike(other, main) for other in structure.directories[1:]):
        what = "holds several grey pictures of one size, which are probably channels"
    if what is not None:
        pages, samples = _pages_of_channels(structure, ome)
        count = len(pages) * samples if choosable else 0
        raise ChannelsNeeded(
            f"The file {what}; only 8-bit RGB is read as it is.",
            path=path,
            remedy=_choice(count, ome.names if ome is not None else ()) if count else EXPORT_REMEDY,
            choosable=count,
        )


def plan_tiff(
    stream: BinaryIO, structure: TiffStructure, ome: OmeImage | None, path: Path | None, channels: Sequence[int] | None
) -> TiffPlan | None:
    """Name the planes to read; None where the colours are of a kind that Pillow must translate (palette, CMYK, …).

    Raises:
        UsageProblem: channels that the file does not have.
        DamagedSlide: planes that the OME-XML names are not there.
    """
    indices = ome.planes if ome is not None else (0,)
    if max(indices) >= len(structure.directories):
        raise DamagedSlide(
            "The OME-TIFF names pictures that it does not hold.", path=path, remedy="Copy it again, or export it anew."
        )
    main = structure.directories[indices[0]]
    if channels is None:
        choice: list[tuple[int, int | None]] = [(indices[0], None)]
        if not _plain(main):
            return None
    else:
        choice = _chosen(structure, ome, channels, path)
    levels = [tuple(Plane(structure.directories[index], index, None, sample) for index, sample in choice)]
    subs = {index: read_sub_directories(stream, path, structure.directories[index]) for index, _ in choice}
    for number, smaller in enumerate(subs[choice[0][0]]):
        if not _is_level(main, levels[-1][0].directory, smaller):
            continue
        if any(len(subs[index]) <= number or not _alike(subs[index][number], smaller) for index, _ in choice):
            break
        levels.append(tuple(Plane(subs[index][number], index, number, sample) for index, sample in choice))
    if len(levels) == 1 and len(choice) == 1:
        for index, smaller in enumerate(structure.directories):
            if smaller.reduced and _is_level(main, levels[-1][0].directory, smaller):
                levels.append((Plane(smaller, index, None, choice[0][1]),))
    return TiffPlan(
        format="ome-tiff" if ome is not None else "tiff",
        levels=tuple(levels),
        channels=None if channels is None else tuple(channels),
        scanner_um=ome.mpp_um if ome is not None else (None, None),
        objective_power=ome.objective_power if ome is not None else None,
        notes=_notes(
            structure, ome, channels, levels=len(levels), deep=main.bits > 8 or main.sample_format != UNSIGNED
        ),
    )


def _plain(main: TiffDirectory) -> bool:
    """Whether the pixels are grey or RGB after decoding, in pieces that can be decoded one by one."""
    colours = main.photometric in (0, 1, 2) or (main.photometric == 6 and main.compression == 7)
    enough = main.samples in ((1, 2) if main.photometric in (0, 1) else (3, 4))
    return colours and enough and main.bits == 8 and main.orientation == 1 and _decodable(main)


def _decodable(directory: TiffDirectory) -> bool:
    return directory.compression in READ_COMPRESSIONS and directory.piece_bytes <= MAX_PIECE_BYTES


def _chosen(
    structure: TiffStructure, ome: OmeImage | None, channels: Sequence[int], path: Path | None
) -> list[tuple[int, int | None]]:
    """(directory, sample) of each chosen channel; without OME-XML, pictures of one shape count as channels."""
    pages, samples = _pages_of_channels(structure, ome)
    if ome is not None and any(structure.directories[index].samples != samples for index in pages):
        raise DamagedSlide(
            "The OME-XML and the pictures of this OME-TIFF disagree.",
            path=path,
            remedy="Copy it again, or export it anew.",
        )
    count = len(pages) * samples
    if len(channels) not in (1, 3) or any(not 0 <= channel < count for channel in channels):
        raise UsageProblem(
            f"The channels {', '.join(map(str, channels))} cannot be chosen.",
            path=path,
            remedy=f"Choose one or three out of 0 to {count - 1}.",
        )
    for channel in channels:
        directory = structure.directories[pages[channel // samples]]
        if not _decodable(directory):
            raise ChannelsNeeded(
                "The channels of this file are stored in a way that is not read.",
                path=path,
                remedy="Export it as a tiled OME-TIFF with LZW or deflate compression.",
            )
    return [(pages[channel // samples], channel % samples) for channel in channels]


def _pages_of_channels(structure: TiffStructure, ome: OmeImage | None) -> tuple[tuple[int, ...], int]:
    """The directories that hold channels, and how many channels each."""
    if ome is not None:
        return ome.planes, ome.samples_per_plane
    first = structure.directories[0]
    return tuple(index for index, other in enumerate(structure.directories) if _alike(other, first)), first.samples


def _choice(count: int, names: Sequence[str]) -> str:
    """The remedy for a file of ``count`` channels; channels are counted from 0."""
    named = ""
    if len(names) == count and any(names) and count <= MOST_NAMED:
        named = " (" + ", ".join(f"{number} {name}".strip() for number, name in enumerate(names)) + ")"
    if count == 1:
        return "Take it as it is, in grey, with --channels 0; or export it as 8-bit RGB."
    how, example = ("one or three", "0,1,2") if count >= 3 else ("one", "0")
    return f"Choose {how} of its {count} channels{named} with --channels {example}; or export it as 8-bit RGB."


def _alike(one: TiffDirectory, other: TiffDirectory) -> bool:
    def shape(directory: TiffDirectory) -> tuple[int, ...]:
        return directory.width_px, directory.height_px, directory.samples, directory.bits, directory.sample_format

    return shape(one) == shape(other)


def _is_level(main: TiffDirectory, finer: TiffDirectory, other: TiffDirectory) -> bool:
    """Whether ``other`` is the next level below ``finer``: smaller, of the same shape and the same kind of pixels."""
    across, down = main.width_px / other.width_px, main.height_px / other.height_px
    tolerance = MAX_SHAPE_DIFFERENCE + 1 / min(other.width_px, other.height_px)
    return (
        other.width_px < finer.width_px
        and other.height_px < finer.height_px
        and abs(across - down) <= tolerance * max(across, down)
        and (other.samples, other.bits, other.sample_format) == (main.samples, main.bits, main.sample_format)
        and _decodable(other)
    )


def _notes(
    structure: TiffStructure, ome: OmeImage | None, channels: Sequence[int] | None, *, levels: int, deep: bool
) -> tuple[str, ...]:
    notes = []
    if ome is not None and ome.focus_planes > 1:
        notes.append(f"Of {ome.focus_planes} focus planes the middle one is read.")
    if ome is not None and ome.times > 1:
        notes.append(f"Of {ome.times} points in time the first is read.")
    if ome is None and channels is None and levels == 1 and len(structure.directories) > 1:
        notes.append(f"The file holds {len(structure.directories)} pictures; the first is read.")
    if channels is not None:
        notes.append(
            f"Channel {channels[0]} is shown as grey."
            if len(channels) == 1
            else f"The channels {', '.join(map(str, channels))} are shown as red, green and blue."
        )
        if deep:
            notes.append("Of each channel the 0.1 and 99.9 percentile become black and white.")
    return tuple(notes)
