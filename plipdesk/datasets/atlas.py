"""The manifest of the histopathology atlas tiles, overviews and textbook micrographs.

Credit: Serdar Balci, Memorial Pathology, Histopathology Atlas, doi:10.5281/zenodo.6382734 (tiles MIT, texts CC BY 4.0);
OpenStax (micrographs, CC BY 4.0).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from plipdesk.base.files import sha256_of
from plipdesk.datasets.manifest import ManifestProblem, ManifestRow, write_manifest

TRAIN, HELD_OUT = "train", "heldout"
_REMEDY = "Give the folder that holds tiles/, overviews/ and micrographs/ with their CSV files."


def build_atlas_manifest(data_dir: Path, heldout: Collection[str], out: Path) -> int:
    """Write the manifest of the atlas in ``data_dir`` to ``out``; returns the number of rows.

    Tiles carry tags and captions; overviews and micrographs captions only. Cases in ``heldout`` form the split
    ``heldout``, all others ``train``. Rows come sorted by path, so the file is the same each time.

    Raises:
        ManifestProblem: a list of the atlas is missing or malformed, or a held-out case is unknown.
    """
    rows = [*_tiles(data_dir, heldout), *_overviews(data_dir, heldout), *_micrographs(data_dir)]
    unknown = set(heldout) - {row.group for row in rows}
    if unknown:
        raise ManifestProblem(f"Held-out cases are not in the atlas: {', '.join(sorted(unknown))}.", path=data_dir)
    write_manifest(out, sorted(rows, key=lambda row: (row.source, str(row.image))))
    return len(rows)


def _tiles(data_dir: Path, heldout: Collection[str]) -> Iterator[ManifestRow]:
    path = data_dir / "tiles" / "annotations.jsonl"
    try:
        notes = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        for note in notes:
            case = str(note["path"]).split("/")[0]
            image = data_dir / "tiles" / note["path"]
            yield _row(image, note["caption"], tuple(note["tags"]), case, "atlas-tiles", heldout)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestProblem(f"The atlas tiles cannot be listed: {error}", path=path, remedy=_REMEDY) from error


def _overviews(data_dir: Path, heldout: Collection[str]) -> Iterator[ManifestRow]:
    for line in _csv(data_dir / "overviews" / "captions.csv"):
        yield _row(
            data_dir / "overviews" / line["file"], line["caption_en"], (), line["case"], "atlas-overviews", heldout
        )


def _micrographs(data_dir: Path) -> Iterator[ManifestRow]:
    for line in _csv(data_dir / "micrographs" / "captions.csv"):
        words = f"{line['title']}. {line['caption']}"
        yield _row(data_dir / "micrographs" / line["file"], words, (), f"openstax-{line['file']}", "openstax", ())


def _csv(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestProblem("A list of the atlas cannot be read.", path=path, remedy=_REMEDY) from error


def _row(
    image: Path, caption: str, tags: tuple[str, ...], group: str, source: str, heldout: Collection[str]
) -> ManifestRow:
    split = HELD_OUT if group in heldout else TRAIN
    return ManifestRow(image.resolve(), sha256_of(image), caption, tags, group, source, split)
