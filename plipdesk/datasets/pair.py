"""What a data set is made of: posts as sources tell them, and the image–text pairs formed from them.

A *post* is whatever carries words and pictures: a post of a network, a row of a table, a figure of an article. A pair
is one picture with one text: every picture of a post with the post's own text, and with the text of every reply to it.
Both are msgspec structs, since hundreds of thousands of them are packed into files between the stages of a build.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

from msgspec import Struct

Family = Literal["social", "web", "local"]
"""*social*: posts with hashtags and replies; *web*: pictures found with an alternative text; *local*: own material."""
Role = Literal["post", "reply"]

NO_HASHTAG = "----"
"""What stands for the hashtag of a pair that has none, as in the paper's release."""
SOCIAL_NAMES = {"x": "Twitter", "mastodon": "Mastodon", "bluesky": "Bluesky"}
_FILE_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,119}")


class Medium(Struct, array_like=True, omit_defaults=True):
    """A picture as a source names it.

    ``file`` is a path relative to the source's own folder or to the media folder; ``extracted`` one that the reader
    wrote itself, relative to the data set's folder of extracted pictures. ``problem`` says why it cannot be had.
    """

    id: str
    url: str | None = None
    file: str | None = None
    extracted: str | None = None
    problem: str | None = None


class Post(Struct, array_like=True, omit_defaults=True):
    """One text with its pictures, as a source tells it.

    ``platform`` and ``id`` name it; the same pair read twice is a duplicate, of which the ``primary`` one stays.
    ``created`` is ISO 8601 in UTC (``2021-03-04T05:06:07``), or empty where the source does not say. ``group`` is the
    author, case, article or site that must never lie on two sides of a split.
    """

    platform: str
    id: str
    family: Family
    text: str
    group: str
    created: str = ""
    language: str = ""
    likes: int = 0
    hashtags: tuple[str, ...] = ()
    retweet: bool = False
    sensitive: bool = False
    reply_to: str | None = None
    link: str = ""
    licence: str = ""
    consent: str = ""
    split: str = ""
    similarity: float | None = None
    tags: tuple[str, ...] = ()
    primary: bool = True
    media: list[Medium] = []
    root: int = 0
    """Number of the source, in whose folder ``file`` lies."""


class Pair(Struct):
    """A picture with a text, on its way through the flow.

    ``text`` is as the source has it and ``caption`` what became of it; ``text_id`` is the post's id, or the reply's.
    Language, retweet mark, date and likes are the text's own; sensitive mark, hashtags and group the picture's post's.
    ``picture`` is where the file was found (absolute), or empty.
    """

    id: str
    platform: str
    family: Family
    source: str
    role: Role
    post_id: str
    text_id: str
    media_id: str
    group: str
    text: str
    caption: str
    hashtag: str = NO_HASHTAG
    created: str = ""
    language: str = ""
    likes: int = 0
    hashtags: tuple[str, ...] = ()
    retweet: bool = False
    sensitive: bool = False
    link: str = ""
    licence: str = ""
    consent: str = ""
    split: str = ""
    similarity: float | None = None
    tags: tuple[str, ...] = ()
    url: str = ""
    picture: str = ""
    picture_problem: str = ""
    findings: tuple[str, ...] = ()
    """Kinds of what looked like a person's data in the caption."""


def file_safe(name: str) -> str:
    """``name`` itself where it can be a file's name on every system and has no dot (a webdataset cuts there), else
    32 hex digits that stand for it."""
    return (
        name if _FILE_SAFE.fullmatch(name) else hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    )


def source_name(post: Post, role: Role) -> str:
    """What the paper's tables call the source: Twitter, Twitter reply, PathLAION; other platforms by their own name."""
    if post.family == "web":
        return "PathLAION"
    name = SOCIAL_NAMES.get(post.platform, post.platform)
    return f"{name} reply" if role == "reply" else name


def form_pairs(post: Post, replies: list[Post]) -> list[Pair]:
    """Every picture of ``post`` with its own text, then with each reply's; replies in the order given."""
    pairs = [_pair(post, post, medium, "post") for medium in post.media]
    pairs += [_pair(post, reply, medium, "reply") for reply in replies for medium in post.media]
    return pairs


def _pair(post: Post, text: Post, medium: Medium, role: Role) -> Pair:
    return Pair(
        id=file_safe(f"{post.platform}-{text.id}-{medium.id}"),
        platform=post.platform,
        family=post.family,
        source=source_name(post, role),
        role=role,
        post_id=post.id,
        text_id=text.id,
        media_id=medium.id,
        group=post.group,
        text=text.text,
        caption=text.text,
        created=text.created,
        language=text.language,
        likes=text.likes,
        hashtags=post.hashtags,
        retweet=text.retweet or post.retweet,
        sensitive=text.sensitive or post.sensitive,
        link=text.link or post.link,
        licence=text.licence or post.licence,
        consent=text.consent or post.consent,
        split=post.split,
        similarity=post.similarity,
        tags=post.tags,
        url=medium.url or "",
        picture_problem=medium.problem or "",
    )
