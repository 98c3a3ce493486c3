"""The webdataset: tar files of a split, each sample a picture, its caption and its facts under one name."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from plipdesk.base.files import atomic_write
from plipdesk.base.progress import JobContext
from plipdesk.datasets.dataset import FinishedPair

_SAMPLES = 2_000


def write_shards(root: Path, folder: Path, pairs: Sequence[FinishedPair], context: JobContext) -> list[str]:
    """Write ``pairs`` in their order as ``SPLIT-000000.tar`` …; returns the files' names.

    Equal pairs give equal bytes.

    Raises:
        DiskFull: no room left.
        Cancelled: on request.
    """
    shutil.rmtree(folder, ignore_errors=True)
    names = []
    done = 0
    for split in sorted({pair.split for pair in pairs}):
        some = [pair for pair in pairs if pair.split == split]
        for number, start in enumerate(range(0, len(some), _SAMPLES)):
            context.check_cancel()
            name = f"{split}-{number:06}.tar"
            with atomic_write(folder / name) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
                for pair in some[start : start + _SAMPLES]:
                    _add(tar, root, pair)
            done += len(some[start : start + _SAMPLES])
            context.report(done, len(pairs), unit="pairs", note="writing shards")
            names.append(name)
    return names


def _add(tar: tarfile.TarFile, root: Path, pair: FinishedPair) -> None:
    facts = {
        "id": pair.id, "source": pair.source, "hashtag": pair.hashtag, "group": pair.group, "sha256": pair.sha256,
        "tags": list(pair.tags), "link": pair.link, "licence": pair.licence,
    }  # fmt: skip
    members = (
        (pair.image.rpartition(".")[2], (root / pair.image).read_bytes()),
        ("txt", pair.caption.encode()),
        ("json", json.dumps(facts, ensure_ascii=False, sort_keys=True).encode()),
    )
    for ending, content in members:
        entry = tarfile.TarInfo(f"{pair.id}.{ending}")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
