"""A person's own X (Twitter) archive: ``data/tweets.js`` in parts, pictures in ``data/tweets_media``.

Each file assigns an array to ``window.YTD.tweets.part0``; each item holds one ``tweet`` in the layout of API v1.1.
Older archives say ``tweet.js`` and ``tweet_media``. A folder, or the zip as it was downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from plipdesk.datasets.cleaning import hashtags_of
from plipdesk.datasets.pair import Medium, Post
from plipdesk.datasets.sources.container import Container, Unsafe, open_container
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.json_text import MAX_DOCUMENT_BYTES, array_items, mapping, mappings, number, text
from plipdesk.datasets.sources.taking_out import count_inner_archives, medium
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble
from plipdesk.datasets.sources.x_api import PLATFORM

_TWEETS = re.compile(r"(?:^|/)tweets?(?:-part\d+)?\.js$")
_MEDIA = re.compile(r"(?:^|/)(?:tweets?_media|tweets_media)/[^/]+$")
_MONTHS = {
    name: place
    for place, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}


def posts(path: Path, trouble: Trouble, extracted: Extracted) -> Iterator[Post]:
    """Every post of the archive.

    Raises:
        SourceProblem: no such archive, or one without posts.
    """
    with closing(open_container(path, trouble)) as container:
        names = container.names()
        files = [name for name in names if _TWEETS.search(name)]
        if not files:
            raise SourceProblem("There is no tweets.js here.", path=path, remedy="Give the archive's folder or zip.")
        count_inner_archives(container, trouble)
        pictures = {PurePosixPath(name).name: name for name in names if _MEDIA.search(name)}
        author = _author(container, names, trouble)
        for file in files:
            content = _assigned(container, file, trouble)
            for item in array_items(content, file, trouble):
                post = _post(item, author, container, pictures, extracted, trouble, file)
                if post is not None:
                    yield post


def _assigned(container: Container, name: str, trouble: Trouble) -> bytes:
    """The array that a ``.js`` file of the archive assigns."""
    try:
        content = container.read(name, MAX_DOCUMENT_BYTES)
    except Unsafe as why:
        trouble.add(str(why), name)
        return b"[]"
    start = content.find(b"[")
    equals = content.find(b"=", 0, 200)
    if 0 <= equals < start:
        return content[start:]
    return content if content[:1] == b"[" else b"[]"


def _author(container: Container, names: list[str], trouble: Trouble) -> tuple[str, str]:
    """Id and name of whose archive it is; empty where it does not say."""
    for name in names:
        if re.search(r"(?:^|/)account\.js$", name):
            for item in array_items(_assigned(container, name, trouble), name, trouble):
                account = mapping(mapping(item).get("account"))
                return text(account.get("accountId")), text(account.get("username"))
    return "", ""


def _post(
    item: Any,
    author: tuple[str, str],
    container: Container,
    pictures: dict[str, str],
    extracted: Extracted,
    trouble: Trouble,
    where: str,
) -> Post | None:
    tweet = mapping(mapping(item).get("tweet")) or mapping(item)
    identity = text(tweet.get("id_str")) or text(tweet.get("id"))
    words = text(tweet.get("full_text")) or text(tweet.get("text"))
    if not identity or not words:
        trouble.add("post without id or text", where)
        return None
    entities = mapping(tweet.get("entities"))
    tags = tuple(text(tag.get("text")) for tag in mappings(entities.get("hashtags")) if tag.get("text"))
    account, username = author
    return Post(
        platform=PLATFORM,
        id=identity,
        family="social",
        text=words,
        group=f"x:{account or username or 'archive'}",
        created=archive_moment(text(tweet.get("created_at"))),
        language=text(tweet.get("lang")),
        likes=number(tweet.get("favorite_count")),
        hashtags=tags or hashtags_of(words),
        retweet=words.startswith("RT @"),
        sensitive=tweet.get("possibly_sensitive") is True,
        reply_to=text(tweet.get("in_reply_to_status_id_str")) or text(tweet.get("in_reply_to_status_id")) or None,
        link=f"https://twitter.com/{username or 'i/web'}/status/{identity}",
        media=list(_media(tweet, identity, container, pictures, extracted, trouble)),
    )


def _media(
    tweet: dict[str, Any],
    identity: str,
    container: Container,
    pictures: dict[str, str],
    extracted: Extracted,
    trouble: Trouble,
) -> Iterator[Medium]:
    listed = mappings(mapping(tweet.get("extended_entities")).get("media"))
    for entry in listed or mappings(mapping(tweet.get("entities")).get("media")):
        key = text(entry.get("id_str")) or text(entry.get("id"))
        url = text(entry.get("media_url_https")) or text(entry.get("media_url"))
        if not key or text(entry.get("type")) not in ("", "photo"):
            continue
        name = pictures.get(f"{identity}-{PurePosixPath(url.partition('://')[2]).name}")
        if name is None:
            yield Medium(f"3_{key}", url=url or None)
        else:
            yield medium(container, name, f"3_{key}", extracted, trouble, url or None)


def archive_moment(words: str) -> str:
    """``Wed Oct 10 20:19:24 +0000 2018`` as ISO 8601 in UTC; empty where it is none. English whatever the locale."""
    parts = words.split()
    if len(parts) != 6 or parts[1] not in _MONTHS:
        return ""
    try:
        iso = f"{int(parts[5]):04}-{_MONTHS[parts[1]]:02}-{int(parts[2]):02}T{parts[3]}{parts[4][:3]}:{parts[4][3:]}"
        return datetime.fromisoformat(iso).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return ""
