"""Posts spread over files by the thread they belong to, so that a thread can be joined without holding all of them.

A post goes to the bucket of its own id, a reply (also) to that of the post it answers. Each bucket is a file of
MessagePack records with their lengths; a source's buckets count only once its report lies beside them.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from plipdesk.base.files import atomic_write, disk_problems_in_words
from plipdesk.base.progress import JobContext
from plipdesk.datasets.pair import Post
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.kinds import Source
from plipdesk.datasets.sources.trouble import Trouble

_REPORT = "report.json"
_FLUSH_BYTES = 1 << 18
_BYTES_PER_BUCKET = 48 << 20
_MOST_BUCKETS = 256
_TOLD_EVERY = 2000


class Record(msgspec.Struct, array_like=True):
    """A post, and whether it stands here as an answer to another one."""

    as_reply: bool
    post: Post


def buckets_for(total_bytes: int) -> int:
    """How many buckets keep each one small enough to be held in memory."""
    return min(_MOST_BUCKETS, 1 + total_bytes // _BYTES_PER_BUCKET)


def gather(
    source: Source, number: int, folder: Path, buckets: int, extracted: Extracted, context: JobContext
) -> Trouble:
    """Read a source into buckets in ``folder``, or only its report where that was done before.

    Raises:
        SourceProblem: nothing of the source can be read.
        Cancelled: on request.
    """
    trouble = Trouble()
    report = folder / _REPORT
    if report.exists():
        trouble.merge(json.loads(report.read_text(encoding="utf-8")))
        return trouble
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    encode = msgspec.msgpack.Encoder().encode
    waiting = [bytearray() for _ in range(buckets)]

    def put(key: str, record: Record) -> None:
        place = zlib.crc32(key.encode("utf-8", "surrogatepass")) % buckets
        content = encode(record)
        waiting[place] += len(content).to_bytes(4, "little") + content
        if len(waiting[place]) > _FLUSH_BYTES:
            _append(folder, place, waiting[place])

    for read, post in enumerate(source.posts(trouble, extracted), start=1):
        if read % _TOLD_EVERY == 0:
            context.check_cancel()
            context.report(read, 0, unit="posts", note=f"reading {source.path.name}")
        post.root = number
        if post.family == "local" and number:
            # Two folders may hold files of the same name.
            own_group = post.group.endswith(f":{post.id}")
            post.id = f"{number}-{post.id}"
            post.group = f"{post.platform}:{post.id}" if own_group else post.group
        trouble.seen["posts read"] += 1
        if post.media:
            put(f"{post.platform}:{post.id}", Record(False, post))
        if post.reply_to:
            put(f"{post.platform}:{post.reply_to}", Record(True, post))
        elif not post.media:
            trouble.seen["posts without a picture"] += 1
    for place in range(buckets):
        _append(folder, place, waiting[place])
    with atomic_write(report) as stream:
        stream.write(json.dumps(trouble.document(), ensure_ascii=False).encode())
    return trouble


def _append(folder: Path, place: int, content: bytearray) -> None:
    if content:
        file = folder / f"{place:03}.bucket"
        with disk_problems_in_words(file), file.open("ab") as stream:
            stream.write(content)
        content.clear()


def records(file: Path) -> Iterator[Record]:
    """The records of a bucket, or none where there is no such file."""
    if not file.exists():
        return
    decode = msgspec.msgpack.Decoder(Record).decode
    for content in framed(file.read_bytes()):
        yield decode(content)


def framed(content: bytes) -> Iterator[memoryview]:
    """The records of a file of lengths and contents."""
    view, place = memoryview(content), 0
    while place < len(view):
        length = int.from_bytes(view[place : place + 4], "little")
        yield view[place + 4 : place + 4 + length]
        place += 4 + length


def write_framed(path: Path, items: list[Any]) -> None:
    """Write ``items`` (structs) as one file of lengths and contents, whole or not at all."""
    encode = msgspec.msgpack.Encoder().encode
    with atomic_write(path) as stream:
        for item in items:
            content = encode(item)
            stream.write(len(content).to_bytes(4, "little"))
            stream.write(content)
