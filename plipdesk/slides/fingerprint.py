"""A slide's identity: what its bytes are, not where they lie or what they are called."""

from __future__ import annotations

import hashlib
from pathlib import Path

from plipdesk.slides.errors import DamagedSlide
from plipdesk.slides.files import opened, reading_problem
from plipdesk.slides.finding import files_of

# A slide is read in whole up to this size; above, this is about what is read of it, shared out among its files.
READ_BYTES = 4 * 1024 * 1024
# No file of a slide is looked at with less: a thousand-file DICOM series reads 32 MB.
MIN_FILE_BYTES = 32 * 1024
BLOCK_BYTES = 64 * 1024
_VERSION = b"plipdesk slide 1"


def fingerprint(path: Path) -> str:
    """32 hex digits that name the content of a slide, wherever it lies and whatever it is called.

    Of each file that makes up the slide the exact size is taken and, where it is small, every byte; of a larger one
    its head and its tail (a quarter of what is read each) and 64 KiB blocks spread over all that lies between, at
    places that only the size decides. The files' digests are sorted before they are joined, so that names play no part:
    a renamed MRXS with its renamed folder, or any file of a DICOM series, gives the same answer.

    Limits: a large file that was changed in the middle, between the blocks, without changing its length, keeps its
    fingerprint; so it tells slides apart and finds them again, but proves nothing about tampering or damage. A slide
    saved anew, or a series of which a file is missing, is another slide.

    Raises:
        SlideProblem: a file is not there, is empty, or cannot be read.
    """
    with opened(path) as stream:
        if not stream.read(1):
            raise DamagedSlide("The file is empty.", path=path, remedy="Copy it again from where it came.")
    files = files_of(path)
    share = max(MIN_FILE_BYTES, READ_BYTES // len(files))
    digests = sorted(_digest(file, share) for file in files)
    return hashlib.sha256(_VERSION + b"".join(digests)).hexdigest()[:32]


def _digest(path: Path, budget: int) -> bytes:
    """SHA-256 of one file's size and of about ``budget`` bytes of it."""
    with opened(path) as stream:
        try:
            size = stream.seek(0, 2)
            digest = hashlib.sha256(size.to_bytes(8, "little"))
            for start, length in _blocks(size, budget):
                stream.seek(start)
                digest.update(stream.read(length))
        except OSError as error:
            raise reading_problem(path, error) from error
    return digest.digest()


def _blocks(size: int, budget: int) -> list[tuple[int, int]]:
    """(start, length) of what is read of a file of ``size`` bytes, in order, never overlapping."""
    if size <= budget:
        return [(0, size)]
    edge = budget // 4
    middle = size - 2 * edge
    count = max(1, (budget - 2 * edge) // BLOCK_BYTES)
    length = min(BLOCK_BYTES, middle // count)
    stretch = middle // count
    blocks = [(0, edge)]
    for number in range(count):
        # A place within each stretch, drawn from the size, so that no regular gap hides a regular change.
        seed = hashlib.sha256(f"{size} {number}".encode()).digest()
        offset = int.from_bytes(seed[:8], "little") % (stretch - length + 1)
        blocks.append((edge + number * stretch + offset, length))
    return [*blocks, (size - edge, edge)]
