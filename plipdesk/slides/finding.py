"""Which files are slides: folders opened, the parts of one slide counted as one."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from plipdesk.slides.dicom_series import files_of_series, series_of
from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.files import opened, reading_problem

SCANNER_ENDINGS = frozenset(
    {".svs", ".avs", ".czi", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".dcm"}
)
TIFF_ENDINGS = frozenset({".tif", ".tiff", ".btf", ".tf8", ".tf2"})
PICTURE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
# DICOM files may end in anything, a number of their own included, but not in these.
NOT_DICOM = SCANNER_ENDINGS - {".dcm"} | TIFF_ENDINGS | PICTURE_ENDINGS
MRXS_INDEX = "Slidedat.ini"
MRXS_PART_ENDINGS = frozenset({".dat", ".ini"})
# Pictures of the label are saved beside slides under such names; they may show the patient's name.
_LABEL_ENDINGS = ("label", "macro", "barcode")
# A Hamamatsu text file that names its parts is a few kilobytes long.
_MAX_VMS_BYTES = 1024 * 1024


def is_slide_name(path: Path) -> bool:
    """Whether the name ends like a slide or picture that plipdesk reads (DICOM files may have no ending: unknown)."""
    return path.suffix.lower() in SCANNER_ENDINGS | TIFF_ENDINGS | PICTURE_ENDINGS


def find_slides(paths: Sequence[Path], *, recursive: bool) -> list[Path]:
    """The slides among ``paths``: absolute, in the order given, each once; those of a folder by name.

    A folder stands for its direct files, with ``recursive`` for all below it. Left out of folders: hidden files, what
    does not end like a slide, what belongs to another file (the folder of an MRXS, the pictures of a VMS, label
    pictures beside a slide), folders that may not be read. A DICOM series counts as its first file. A file that is
    named itself is kept whatever its ending; an MRXS folder stands for its slide.

    Raises:
        NotFound: a path that does not exist.
        SlideProblem: a named folder that may not be read.
    """
    found: dict[Path, Path] = {}
    series: set[tuple[Path, str]] = set()
    for path in (path.absolute() for path in paths):
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except (OSError, ValueError) as error:
            raise reading_problem(path, error) from error
        if not is_folder:
            candidates: Iterable[Path] = [path]
        elif (owner := _mrxs_of_folder(path)) is not None:
            candidates = [owner]
        else:
            candidates = _slides_in(path, recursive=recursive)
        for candidate in candidates:
            number = _series_if_dicom(candidate)
            if number is not None:
                key = (candidate.parent, number)
                if key in series:
                    continue
                series.add(key)
            found.setdefault(candidate.resolve(), candidate)
    return list(found.values())


def files_of(path: Path) -> list[Path]:
    """All files that make up the slide ``path``, itself first, the others by name.

    Raises:
        SlideProblem: it cannot be read.
    """
    ending = path.suffix.lower()
    others: Iterable[Path] = ()
    if ending == ".mrxs":
        folder = path.with_suffix("")
        # Only the scanner's own files: what a file manager leaves in the folder is no part of the slide.
        others = sorted(part for part in folder.glob("*.*") if part.suffix.lower() in MRXS_PART_ENDINGS)
    elif ending in (".vms", ".vmu"):
        others = sorted(_parts_of_vms(path))
    elif ending not in NOT_DICOM:
        others = files_of_series(path)
    return [path, *(part for part in others if part != path)]


def _slides_in(folder: Path, *, recursive: bool) -> Iterator[Path]:
    """The slides of one folder, then those of the folders below it; a folder reached twice by links counts once."""
    seen: set[Path] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        place = current.resolve()
        if place in seen:
            continue
        seen.add(place)
        try:
            entries = sorted(current.iterdir(), key=lambda entry: (entry.name.casefold(), entry.name))
        except OSError as error:
            if current == folder:
                raise reading_problem(current, error) from error
            continue
        entries = [entry for entry in entries if not entry.name.startswith(".")]
        files = [entry for entry in entries if entry.is_file()]
        yield from _without_companions(files)
        if recursive:
            below = (entry for entry in entries if entry.is_dir() and _mrxs_of_folder(entry) is None)
            waiting.extend(reversed(list(below)))


def _without_companions(files: list[Path]) -> Iterator[Path]:
    companions: set[Path] = set()
    for file in files:
        if file.suffix.lower() in (".vms", ".vmu"):
            companions.update(_parts_of_vms(file))
    slides = {file.stem.casefold() for file in files if file.suffix.lower() in SCANNER_ENDINGS | TIFF_ENDINGS}
    for file in files:
        if file in companions or _is_label_of(file, slides):
            continue
        unnamed = not file.suffix or file.suffix[1:].isdigit()
        if is_slide_name(file) or (unnamed and _series_if_dicom(file) is not None):
            yield file


def _is_label_of(file: Path, slides: set[str]) -> bool:
    if file.suffix.lower() not in PICTURE_ENDINGS | TIFF_ENDINGS:
        return False
    stem = file.stem.casefold()
    return any(
        stem.endswith(ending) and stem[: -len(ending)].rstrip("_-. ") in slides - {stem} for ending in _LABEL_ENDINGS
    )


def _mrxs_of_folder(folder: Path) -> Path | None:
    """The slide whose data lie in ``folder``, if it is such a folder."""
    with contextlib.suppress(OSError):
        if (folder / MRXS_INDEX).is_file():
            for owner in (folder.with_name(folder.name + ending) for ending in (".mrxs", ".MRXS")):
                if owner.is_file():
                    return owner
    return None


def _parts_of_vms(path: Path) -> set[Path]:
    """The files that a Hamamatsu VMS or VMU names, as far as they lie beside it."""
    try:
        with opened(path) as stream:
            text = stream.read(_MAX_VMS_BYTES).decode("utf-8", "replace")
    except SlideProblem:
        return set()
    values = (line.partition("=")[2].strip() for line in text.splitlines() if "=" in line)
    names = {value for value in values if value and value == os.path.basename(value)}  # noqa: PTH119
    return {part for part in (path.parent / name for name in names) if part != path and part.is_file()}


def _series_if_dicom(path: Path) -> str | None:
    if path.suffix.lower() in NOT_DICOM:
        return None
    try:
        return series_of(path)
    except SlideProblem:
        return None
