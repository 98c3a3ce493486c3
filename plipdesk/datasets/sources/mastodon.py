"""Mastodon: an account's archive (``outbox.json`` in ActivityStreams, pictures in ``media_attachments``), or statuses
of the API as JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from plipdesk.datasets.pair import Medium, Post, file_safe
from plipdesk.datasets.sources.container import Container, Unsafe, inner_name, open_container
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.json_text import (
    MAX_DOCUMENT_BYTES,
    documents,
    json_files,
    mapping,
    mappings,
    moment,
    number,
    text,
)  # fmt: skip
from plipdesk.datasets.sources.taking_out import count_inner_archives, medium
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble

PLATFORM = "mastodon"


def posts(path: Path, trouble: Trouble, extracted: Extracted) -> Iterator[Post]:
    """Every post of an archive (folder, zip, tar.gz), or of a file of statuses.

    Raises:
        SourceProblem: neither is here.
    """
    if path.is_file() and path.name.lower().endswith((".jsonl", ".ndjson", ".jsonl.gz")):
        for file in json_files(path, ".jsonl"):
            for where, status in documents(file, trouble):
                for one in status if isinstance(status, list) else [status]:
                    yield from _of_status(one, where, trouble)
        return
    with closing(open_container(path, trouble)) as container:
        names = container.names()
        outbox = next((name for name in names if PurePosixPath(name).name == "outbox.json"), None)
        if outbox is None:
            raise SourceProblem("There is no outbox.json here.", path=path, remedy="Give the archive's folder or file.")
        count_inner_archives(container, trouble)
        base = outbox.rpartition("/")[0]
        for number_, item in enumerate(_items(container, outbox, trouble)):
            yield from _of_activity(item, f"{outbox}[{number_}]", container, set(names), base, extracted, trouble)


def _items(container: Container, outbox: str, trouble: Trouble) -> list[Any]:
    try:
        document = msgspec.json.decode(container.read(outbox, MAX_DOCUMENT_BYTES))
    except Unsafe as why:
        trouble.add(str(why), outbox)
        return []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceProblem(
            f"The outbox is broken: {error}.", path=container.path, remedy="Ask for the archive again."
        ) from error
    items = mapping(document).get("orderedItems")
    return items if isinstance(items, list) else []


def _of_activity(
    item: Any, where: str, container: Container, names: set[str], base: str, extracted: Extracted, trouble: Trouble
) -> Iterator[Post]:
    activity = mapping(item)
    if text(activity.get("type")) == "Announce":
        trouble.seen["boosts of other posts, which archives do not hold"] += 1
        return
    note = mapping(activity.get("object"))
    address = text(note.get("id"))
    if not address or not isinstance(note.get("content"), str):
        trouble.add("post without id or text", where)
        return
    media = []
    for place, attached in enumerate(mappings(note.get("attachment"))):
        if not text(attached.get("mediaType")).startswith("image/"):
            continue
        url = text(attached.get("url"))
        key = file_safe(f"{identity_of(address)}-{place + 1}")
        media.append(_attached(url, key, container, names, base, extracted, trouble))
    languages = list(mapping(note.get("contentMap")))
    yield Post(
        platform=PLATFORM,
        id=address,
        family="social",
        text=text(note["content"]),
        group=f"mastodon:{text(note.get('attributedTo')) or text(activity.get('actor')) or address}",
        created=moment(text(note.get("published")) or text(activity.get("published"))),
        language=languages[0] if len(languages) == 1 else "",
        likes=number(mapping(note.get("likes")).get("totalItems")),
        hashtags=_tags(note.get("tag")),
        sensitive=note.get("sensitive") is True,
        reply_to=text(note.get("inReplyTo")) or None,
        link=text(note.get("url")) or address,
        media=media,
    )


def _attached(
    url: str, key: str, container: Container, names: set[str], base: str, extracted: Extracted, trouble: Trouble
) -> Medium:
    try:
        # Archives name files from their own root, with a leading slash.
        name = inner_name(url.lstrip("/")) if "://" not in url else PurePosixPath(url.partition("://")[2]).name
    except Unsafe as why:
        trouble.add(str(why), url[:200])
        return Medium(key, problem=str(why))
    for candidate in (f"{base}/{name}" if base else name, name):
        if candidate in names:
            return medium(container, candidate, key, extracted, trouble, url)
    return Medium(key, url=url)


def _of_status(item: Any, where: str, trouble: Trouble) -> Iterator[Post]:
    status = mapping(item)
    identity = text(status.get("id"))
    if not identity or not isinstance(status.get("content"), str):
        trouble.add("post without id or text", where)
        return
    reblog = mapping(status.get("reblog"))
    account = mapping(status.get("account"))
    yield Post(
        platform=PLATFORM,
        id=identity,
        family="social",
        text=text((reblog or status).get("content")),
        group=f"mastodon:{text(account.get('url')) or text(account.get('acct')) or identity}",
        created=moment(text(status.get("created_at"))),
        language=text(status.get("language")),
        likes=number(status.get("favourites_count")),
        hashtags=_tags(status.get("tags")),
        retweet=bool(reblog),
        sensitive=status.get("sensitive") is True,
        reply_to=text(status.get("in_reply_to_id")) or None,
        link=text(status.get("url")) or text(status.get("uri")),
        media=[
            Medium(text(entry["id"]), url=text(entry.get("url")) or None)
            for entry in mappings((reblog or status).get("media_attachments"))
            if text(entry.get("id")) and text(entry.get("type")) == "image"
        ],
    )


def _tags(value: Any) -> tuple[str, ...]:
    found = (tag for tag in mappings(value) if text(tag.get("type")) in ("", "Hashtag"))
    return tuple(text(tag.get("name")).lstrip("#") for tag in found if tag.get("name"))


def identity_of(address: str) -> str:
    """The last part of a post's address, which is its number."""
    return address.rstrip("/").rpartition("/")[2]
