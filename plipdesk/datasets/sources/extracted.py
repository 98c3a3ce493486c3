"""Pictures taken out of documents and archives, kept by what they hold."""

from __future__ import annotations

import hashlib
from pathlib import Path

from plipdesk.base.files import atomic_write


class Extracted:
    """A folder of pictures named by their SHA-256; the same picture taken out twice is kept once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, content: bytes, suffix: str) -> str:
        """Keep a picture; returns its name below the folder."""
        digest = hashlib.sha256(content).hexdigest()
        name = f"{digest[:2]}/{digest[2:34]}{suffix.lower()}"
        place = self.folder / name
        if not place.exists():
            with atomic_write(place) as stream:
                stream.write(content)
        return name
