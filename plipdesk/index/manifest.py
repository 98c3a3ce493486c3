"""The one file that says which graphs are kept, over which rows, in which projection.

Layout: eight bytes of magic, four with the length of a JSON text, the text, the float32 numbers of the projections, and
the SHA-256 of all that. The graphs it names belong to it; a graph that it does not name is a leftover.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plipdesk.base.files import atomic_write
from plipdesk.base.ids import canonical_json
from plipdesk.index.errors import IndexProblem
from plipdesk.index.projection import Projection
from plipdesk.index.segment import IndexSettings, SavedGraph
from plipdesk.index.view import Piece

FORMAT = 1
MANIFEST_NAME = "manifest.bin"
MAX_BYTES = 256 << 20
_MAGIC = b"PLIPIDX\0"
_PREFIX = struct.Struct("<8sI")
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class SegmentRecord:
    """What is kept of one segment."""

    graph: SavedGraph
    fitted_rows: int
    pieces: tuple[Piece, ...]
    """Together they have as many rows as the graph."""
    projection: Projection


def write_manifest(
    folder: Path, records: Sequence[SegmentRecord], *, dim: int, encoder_fingerprint: str, settings: IndexSettings
) -> None:
    """Replace the manifest in ``folder``; from then on the graphs it names are the kept ones."""
    text = canonical_json(
        {
            **_identity(dim, encoder_fingerprint, settings),
            "segments": [
                {
                    "file": record.graph.file,
                    "rows": record.graph.rows,
                    "sha256": record.graph.sha256,
                    "fitted_rows": record.fitted_rows,
                    "pieces": [[piece.part_id, piece.first_row, piece.rows] for piece in record.pieces],
                }
                for record in records
            ],
        }
    )
    content = _PREFIX.pack(_MAGIC, len(text)) + text
    for record in records:
        content += record.projection.mean.astype("<f4").tobytes() + record.projection.axes.astype("<f4").tobytes()
    with atomic_write(folder / MANIFEST_NAME) as stream:
        stream.write(content)
        stream.write(hashlib.sha256(content).digest())


def read_manifest(
    folder: Path, *, dim: int, encoder_fingerprint: str, settings: IndexSettings
) -> tuple[SegmentRecord, ...]:
    """What is kept in ``folder`` for this encoder and these settings; nothing if nothing was ever kept.

    Raises:
        IndexProblem: the manifest is damaged, of another version, encoder or setting.
    """
    path = folder / MANIFEST_NAME
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _unusable(path, "it is too large")
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unusable(path, f"it cannot be read ({error.strerror})") from error
    if len(content) < _PREFIX.size + _DIGEST_BYTES:
        raise _unusable(path, "it is too short")
    content, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    magic, length = _PREFIX.unpack_from(content)
    if magic != _MAGIC or hashlib.sha256(content).digest() != digest or _PREFIX.size + length > len(content):
        raise _unusable(path, "its checksum is wrong")
    try:
        document = json.loads(content[_PREFIX.size : _PREFIX.size + length])
        if {key: document[key] for key in _identity(0, "", settings)} != _identity(dim, encoder_fingerprint, settings):
            raise _unusable(path, "it belongs to another version, encoder or setting")
        numbers = np.frombuffer(content, dtype="<f4", offset=_PREFIX.size + length).astype(np.float32)
        axes = min(dim, settings.length - 1)
        per_segment = dim * (1 + axes)
        if len(numbers) != per_segment * len(document["segments"]) or not np.isfinite(numbers).all():
            raise _unusable(path, "its projections are not whole")
        return tuple(
            _record(path, entry, Projection(block[:dim], block[dim:].reshape(dim, axes)))
            for entry, block in zip(
                document["segments"], numbers.reshape(len(document["segments"]), per_segment), strict=True
            )
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unusable(path, "its content is not understood") from error


def _identity(dim: int, encoder_fingerprint: str, settings: IndexSettings) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "encoder": encoder_fingerprint,
        "dim": dim,
        "length": settings.length,
        "links": settings.links,
        "build_breadth": settings.build_breadth,
    }


def _record(path: Path, entry: Mapping[str, Any], projection: Projection) -> SegmentRecord:
    graph = SavedGraph(entry["file"], entry["rows"], entry["sha256"])
    pieces = tuple(Piece(*numbers) for numbers in entry["pieces"])
    whole = [graph.rows, entry["fitted_rows"]]
    for piece in pieces:
        whole += [piece.part_id, piece.first_row, piece.rows]
    plain_name = isinstance(graph.file, str) and graph.file == Path(graph.file).name and graph.file != MANIFEST_NAME
    if (
        not plain_name
        or any(type(number) is not int or not 0 <= number < 2**53 for number in whole)
        or sum(piece.rows for piece in pieces) != graph.rows
    ):
        raise _unusable(path, "a segment is not described as it must be")
    return SegmentRecord(graph, entry["fitted_rows"], pieces, projection)


def _unusable(path: Path, why: str) -> IndexProblem:
    return IndexProblem(f"The search index cannot be used: {why}.", path=path, remedy="It is rebuilt from the vectors.")
