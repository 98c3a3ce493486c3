"""X API v2: JSON lines, each a page (``data``, ``includes``) or one flattened post.

The layout is that of the API's documentation (posts with ``referenced_tweets``, ``attachments.media_keys``,
``public_metrics`` and ``entities``; ``includes`` with ``media``, ``users`` and ``tweets``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plipdesk.datasets.cleaning import hashtags_of
from plipdesk.datasets.pair import Medium, Post
from plipdesk.datasets.sources.json_text import documents, json_files, mapping, mappings, moment, number, text
from plipdesk.datasets.sources.trouble import Trouble

PLATFORM = "x"


def posts(path: Path, trouble: Trouble) -> Iterator[Post]:
    """Every post of the export, those that pages only refer to as well."""
    for file in json_files(path, ".jsonl", ".json", ".ndjson"):
        for where, document in documents(file, trouble):
            pages = document if isinstance(document, list) else [document]
            for page in pages:
                yield from _of_page(page, where, trouble)


def _of_page(page: Any, where: str, trouble: Trouble) -> Iterator[Post]:
    if not isinstance(page, dict):
        trouble.add("line that is no object", where)
        return
    if "data" not in page:
        if "id" not in page:
            trouble.add("line without a post", where)
            return
        yield from _of_item(page, {}, {}, where, trouble, primary=True)
        return
    includes = mapping(page.get("includes"))
    media = {text(item.get("media_key")): item for item in mappings(includes.get("media"))}
    users = {text(item.get("id")): item for item in mappings(includes.get("users"))}
    data = page["data"]
    for item in data if isinstance(data, list) else [data]:
        yield from _of_item(item, media, users, where, trouble, primary=True)
    for item in mappings(includes.get("tweets")):
        yield from _of_item(item, media, users, where, trouble, primary=False)


def _of_item(
    item: Any, media: dict[str, Any], users: dict[str, Any], where: str, trouble: Trouble, *, primary: bool
) -> Iterator[Post]:
    if not isinstance(item, dict) or not text(item.get("id")) or not isinstance(item.get("text"), str):
        trouble.add("post without id or text", where)
        return
    identity = text(item["id"])
    note = mapping(item.get("note_tweet"))
    words = text(note.get("text")) or text(item["text"])
    references = mappings(item.get("referenced_tweets"))
    kinds = {text(reference.get("type")): text(reference.get("id")) for reference in references}
    attachments = mapping(item.get("attachments"))
    author = mapping(item.get("author"))
    author_id = text(item.get("author_id")) or text(author.get("id"))
    username = text(author.get("username")) or text(mapping(users.get(author_id)).get("username"))
    entities = mapping(note.get("entities")) or mapping(item.get("entities"))
    tags = tuple(text(tag.get("tag")) for tag in mappings(entities.get("hashtags")) if tag.get("tag"))
    # Flattened posts (twarc) carry their media whole.
    inlined = {text(medium.get("media_key")): medium for medium in mappings(attachments.get("media"))}
    yield Post(
        platform=PLATFORM,
        id=identity,
        family="social",
        text=words,
        group=f"x:{author_id or username or identity}",
        created=moment(text(item.get("created_at"))),
        language=text(item.get("lang")),
        likes=number(mapping(item.get("public_metrics")).get("like_count")),
        hashtags=tags or hashtags_of(words),
        retweet="retweeted" in kinds,
        sensitive=item.get("possibly_sensitive") is True,
        reply_to=kinds.get("replied_to") or None,
        link=f"https://twitter.com/{username or 'i/web'}/status/{identity}",
        primary=primary,
        media=list(_media(attachments, inlined | media)),
    )


def _media(attachments: dict[str, Any], known: dict[str, Any]) -> Iterator[Medium]:
    keys = attachments.get("media_keys")
    for key in (text(entry) for entry in keys) if isinstance(keys, list) else ():
        medium = mapping(known.get(key))
        if not key or text(medium.get("type")) in ("video", "animated_gif"):
            continue
        yield Medium(id=key, url=text(medium.get("url")) or None, file=text(medium.get("file")) or None)
