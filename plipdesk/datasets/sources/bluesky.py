"""Bluesky: a repository export (``repo.car``) with its blobs beside it, records as JSON files, or posts of the API as
JSON lines (``app.bsky.feed.post`` records, or the views that wrap them)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plipdesk.datasets.cleaning import hashtags_of
from plipdesk.datasets.pair import Medium, Post
from plipdesk.datasets.sources.dag_cbor import Malformed, car_blocks, decode
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.json_text import documents, json_files, mapping, mappings, moment, number, text
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble

PLATFORM = "bluesky"
_POST = "app.bsky.feed.post"
_ADULT = {"porn", "sexual", "nudity", "graphic-media", "gore"}
_MAX_CAR_BYTES = 2 << 30


def posts(path: Path, trouble: Trouble, extracted: Extracted) -> Iterator[Post]:  # noqa: ARG001 - blobs lie as files
    """Every post of an export.

    Raises:
        SourceProblem: nothing of that kind is here.
    """
    cars = [path] if path.suffix.lower() == ".car" else sorted(path.glob("*.car")) if path.is_dir() else []
    if cars:
        for car in cars:
            yield from _of_car(car, trouble)
        return
    for file in json_files(path, ".jsonl", ".ndjson", ".json"):
        for where, document in documents(file, trouble):
            found = mapping(document)
            items = mappings(found.get("feed")) or mappings(found.get("posts")) or mappings(document) or [found]
            for item in items:
                yield from _of_view(item, where, file, trouble)


def _of_car(path: Path, trouble: Trouble) -> Iterator[Post]:
    if path.stat().st_size > _MAX_CAR_BYTES:
        raise SourceProblem("This repository is too large.", path=path, remedy="Give posts as JSON lines instead.")
    content = path.read_bytes()
    records: dict[str, dict[str, Any]] = {}
    author, keys = "", dict[str, str]()
    try:
        for link, block in car_blocks(content):
            try:
                value = mapping(decode(block))
            except Malformed:
                trouble.add("broken record", path.name)
                continue
            if value.get("$type") == _POST:
                records[link] = value
            elif "did" in value and "sig" in value:
                author = text(value["did"])
            elif isinstance(value.get("e"), list):
                keys |= _tree_keys(mappings(value["e"]))
    except Malformed:
        trouble.add("file cut short", path.name)
    for link in sorted(records):
        name = keys.get(link, "")
        address = f"at://{author}/{name}" if name else f"at://{author}/{_POST}/{link}"
        yield from _post(records[link], address, author, {}, path.name, trouble)


def _tree_keys(entries: list[dict[str, Any]]) -> dict[str, str]:
    """Link of a record → its key: a node of the repository's tree writes only what differs from the key before."""
    found, last = dict[str, str](), b""
    for entry in entries:
        shared, rest = entry.get("p"), entry.get("k")
        if isinstance(shared, int) and isinstance(rest, bytes) and 0 <= shared <= len(last):
            last = last[:shared] + rest
            found[text(mapping(entry.get("v")).get("$link"))] = last.decode("utf-8", "replace")
    return found


def _of_view(item: dict[str, Any], where: str, file: Path, trouble: Trouble) -> Iterator[Post]:
    view = mapping(item.get("post")) or item
    record = mapping(view.get("record")) or mapping(view.get("value")) or view
    address = text(view.get("uri"))
    if not address and record is view and view.get("$type") == _POST:
        # A record unpacked into a file of its own, which is named by its key.
        address = f"at:///{_POST}/{file.stem}"
    author = text(mapping(view.get("author")).get("did")) or address.partition("://")[2].partition("/")[0]
    yield from _post(record, address, author, view, where, trouble, reposted="reason" in item)


def _post(
    record: dict[str, Any],
    address: str,
    author: str,
    view: dict[str, Any],
    where: str,
    trouble: Trouble,
    *,
    reposted: bool = False,
) -> Iterator[Post]:
    if not address or not isinstance(record.get("text"), str):
        trouble.add("post without id or text", where)
        return
    key = address.rpartition("/")[2]
    handle = text(mapping(view.get("author")).get("handle")) or author
    languages = record.get("langs")
    labels = [*mappings(mapping(record.get("labels")).get("values")), *mappings(view.get("labels"))]
    words = text(record["text"])
    facets = [feature for facet in mappings(record.get("facets")) for feature in mappings(facet.get("features"))]
    tags = [text(feature.get("tag")) for feature in facets if feature.get("tag")]
    extra = record.get("tags")
    tags += [text(tag) for tag in extra if text(tag)] if isinstance(extra, list) else []
    yield Post(
        platform=PLATFORM,
        id=address,
        family="social",
        text=words,
        group=f"bluesky:{author or address}",
        created=moment(text(record.get("createdAt"))),
        language=text(languages[0]) if isinstance(languages, list) and len(languages) == 1 else "",
        likes=number(view.get("likeCount")),
        hashtags=tuple(dict.fromkeys(tags)) or hashtags_of(words),
        retweet=reposted,
        sensitive=any(text(label.get("val")) in _ADULT for label in labels),
        reply_to=text(mapping(mapping(record.get("reply")).get("parent")).get("uri")) or None,
        link=f"https://bsky.app/profile/{handle}/post/{key}",
        media=list(_media(mapping(record.get("embed")))),
    )


def _media(embed: dict[str, Any]) -> Iterator[Medium]:
    for image in mappings(embed.get("images")) or mappings(mapping(embed.get("media")).get("images")):
        blob = mapping(image.get("image"))
        link = text(mapping(blob.get("ref")).get("$link")) or text(blob.get("cid"))
        if link:
            yield Medium(link)
