"""Stable names for settings: the same settings give the same id on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from plipdesk.base.progress import Json


def canonical_json(settings: Mapping[str, Json]) -> bytes:
    """Settings as bytes that depend on nothing but their content: sorted keys, no spaces, UTF-8."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def settings_id(settings: Mapping[str, Json], *, digits: int = 32) -> str:
    """Hex digits of the SHA-256 of the canonical JSON of ``settings``."""
    return hashlib.sha256(canonical_json(settings)).hexdigest()[:digits]
