"""The little of DAG-CBOR and CAR that a Bluesky repository is written in (https://ipld.io/specs).

Strict: definite lengths only, every length held against what is left before memory is taken, bounded depth.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

_MOST_DEPTH = 64
_LINK_TAG = 42


class Malformed(Exception):
    """The bytes are no DAG-CBOR."""


def link_text(cid: bytes) -> str:
    """A CID as text, the way Bluesky names blobs (base32, lower case)."""
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def car_blocks(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Each block of a CAR (version 1) file with its CID as text.

    Raises:
        Malformed: the file is none, or is cut short.
    """
    length, place = _varint(content, 0)
    if not 0 < length <= len(content) - place:
        raise Malformed
    place += length
    while place < len(content):
        length, place = _varint(content, place)
        end = place + length
        if not length > 0 or end > len(content):
            raise Malformed
        digest_place = _varint(content, _varint(content, place)[1])[1]
        size, start = _varint(content, _varint(content, digest_place)[1])
        if start + size > end:
            raise Malformed
        yield link_text(content[place : start + size]), content[start + size : end]
        place = end


def decode(content: bytes) -> Any:
    """One DAG-CBOR item: links become ``{"$link": text}``.

    Raises:
        Malformed: anything else, or something after it.
    """
    value, place = _item(content, 0, 0)
    if place != len(content):
        raise Malformed
    return value


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 63, 7):
        if place >= len(content):
            raise Malformed
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise Malformed


def _item(content: bytes, place: int, depth: int) -> tuple[Any, int]:
    if place >= len(content) or depth > _MOST_DEPTH:
        raise Malformed
    major, short = content[place] >> 5, content[place] & 0x1F
    place += 1
    if major == 7:
        return _simple(content, place, short)
    number, place = _argument(content, place, short)
    if major == 0:
        return number, place
    if major == 1:
        return -1 - number, place
    if number > len(content) - place and major != 6:
        raise Malformed
    if major in (2, 3):
        piece = content[place : place + number]
        if major == 2:
            return piece, place + number
        try:
            return piece.decode(), place + number
        except UnicodeDecodeError as error:
            raise Malformed from error
    if major == 4:
        items = []
        for _ in range(number):
            value, place = _item(content, place, depth + 1)
            items.append(value)
        return items, place
    if major == 5:
        found = {}
        for _ in range(number):
            key, place = _item(content, place, depth + 1)
            if not isinstance(key, str):
                raise Malformed
            found[key], place = _item(content, place, depth + 1)
        return found, place
    value, place = _item(content, place, depth + 1)
    if number != _LINK_TAG or not isinstance(value, bytes) or value[:1] != b"\0":
        raise Malformed
    return {"$link": link_text(value[1:])}, place


def _argument(content: bytes, place: int, short: int) -> tuple[int, int]:
    if short < 24:
        return short, place
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(short)
    if size is None or place + size > len(content):
        raise Malformed
    return int.from_bytes(content[place : place + size]), place + size


def _simple(content: bytes, place: int, short: int) -> tuple[Any, int]:
    if short in (20, 21, 22):
        return {20: False, 21: True, 22: None}[short], place
    if short == 27 and place + 8 <= len(content):
        return struct.unpack(">d", content[place : place + 8])[0], place + 8
    raise Malformed
