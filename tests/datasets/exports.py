"""Exports in the real layouts, drawn from a seed: posts that end as the paper counts, and much that must go.

``paper_export`` writes an X API v2 export and a LAION table whose pairs, after the paper's flow, are exactly its counts
per hashtag and source (times ``scale``, rounded up); all else in them has one reason to be dropped, which is counted.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from plipdesk.datasets.hashtags import read_hashtags
from plipdesk.slides.thumbnails import encode_jpeg

PATHLAION = 32_041
_PHRASES = (
    "Tubular adenoma with low grade dysplasia", "Sheets of atypical lymphoid cells in the dermis",
    "Renal biopsy with crescents and fibrin", "Lobular carcinoma showing single file pattern",
    "Granulomatous inflammation with giant cells", "Well differentiated squamous cell carcinoma of the lung",
    "Thyroid nodule with nuclear grooves and inclusions", "A classic example of fibroadenoma of the breast",
)  # fmt: skip
_FOREIGN = (
    "Ein Schnitt durch die Leber zeigt eine deutliche Verfettung der Hepatozyten",
    "Coupe histologique montrant un carcinome épidermoïde bien différencié du poumon",
    "Biopsia de piel con infiltrado linfocitario perivascular y espongiosis marcada",
    "腎生検の病理組織像です。糸球体に半月体形成を認めます",
    "خزعة من الجلد تظهر التهاب مزمن مع تكون أورام حبيبية",
)


@dataclass
class Expected:
    """What the flow must count. Keys of ``dropped`` are (step, reason)."""

    posts: Counter[str] = field(default_factory=Counter)
    replies: Counter[str] = field(default_factory=Counter)
    laion: int = 0
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def pairs(self) -> int:
        return sum(self.posts.values()) + sum(self.replies.values()) + self.laion

    @property
    def formed(self) -> int:
        return self.pairs + sum(self.dropped.values())


class _Writer:
    def __init__(self, seed: int, declared: bool) -> None:
        self.rng = random.Random(seed)
        self.number = 1_000_000_000
        self.declared = declared

    def post(self, text: str, tags: tuple[str, ...], media: int = 1, **changes: Any) -> dict[str, Any]:
        self.number += 7
        identity = str(self.number)
        keys = [f"3_{identity}{place}" for place in range(media)]
        item: dict[str, Any] = {
            "id": identity,
            "author_id": str(self.rng.randrange(2000)),
            "text": " ".join((text, *(f"#{tag}" for tag in tags), "https://t.co/aBcDeF")),
            "created_at": f"20{self.rng.randrange(10, 22)}-0{self.rng.randrange(1, 10)}-11T10:11:12.000Z",
            "public_metrics": {"like_count": self.rng.randrange(50), "retweet_count": 1, "reply_count": 0},
            "possibly_sensitive": False,
            "entities": {"hashtags": [{"start": 0, "end": 1, "tag": tag} for tag in tags]},
            **changes,
        }
        if keys:
            item["attachments"] = {"media_keys": keys}
        if self.declared:
            item["lang"] = "en"
        return item

    def reply(self, to: str, text: str, likes: int, **changes: Any) -> dict[str, Any]:
        item = self.post(text, (), 0, **changes)
        item["referenced_tweets"] = [{"type": "replied_to", "id": to}]
        item["public_metrics"]["like_count"] = likes
        return item

    def words(self) -> str:
        return f"{self.rng.choice(_PHRASES)}, seen in case {self.rng.randrange(1000)}"


def page(items: list[dict[str, Any]]) -> bytes:
    """A line of the API: posts with the media and users they name."""
    media = [
        {"media_key": key, "type": "photo", "url": f"https://pbs.twimg.com/media/F{key}.jpg"}
        for item in items
        for key in item.get("attachments", {}).get("media_keys", ())
    ]
    users = [{"id": item["author_id"], "username": f"user{item['author_id']}"} for item in items]
    return json.dumps({"data": items, "includes": {"media": media, "users": users}}, ensure_ascii=False).encode()


def paper_export(folder: Path, *, scale: float, seed: int = 0, noise: float = 0.3, declared: bool = False) -> Expected:
    """Write ``folder/posts.jsonl`` and ``folder/laion.parquet``; ``noise``: dropped posts for each that stays."""
    expected = Expected()
    writer = _Writer(seed, declared)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "posts.jsonl").open("wb") as stream:
        waiting: list[dict[str, Any]] = []
        for items in _threads(writer, expected, scale, noise):
            waiting += items
            if len(waiting) >= 50:
                stream.write(page(waiting) + b"\n")
                waiting = []
        stream.write(page(waiting) + b"\n")
    _laion(folder / "laion.parquet", writer.rng, expected, math.ceil(PATHLAION * scale))
    return expected


def _threads(writer: _Writer, expected: Expected, scale: float, noise: float) -> Iterator[list[dict[str, Any]]]:
    for tag in read_hashtags():
        posts, replies = math.ceil(tag.posts * scale), math.ceil(tag.replies * scale)
        expected.posts[tag.name] += posts
        expected.replies[tag.name] += replies
        left, spelt = posts, (tag.name if writer.rng.random() < 0.5 else tag.name.upper())
        while left:
            with_reply = replies > 0
            media = 1 if with_reply else min(left, writer.rng.randrange(1, 5))
            post = writer.post(writer.words(), (spelt,), media)
            items = [post]
            if with_reply:
                items.append(writer.reply(post["id"], f"@user1 {writer.words()}", 90))
                if writer.rng.random() < 0.3:
                    items.append(writer.reply(post["id"], f"@user1 {writer.words()}", 3))
                    expected.dropped["replies", "another reply has more likes"] += 1
            replies -= with_reply
            left -= media
            yield items
            if writer.rng.random() < noise:
                yield [_unwanted(writer, expected, tag.name)]


def _unwanted(writer: _Writer, expected: Expected, tag: str) -> dict[str, Any]:
    kind = writer.rng.randrange(7)
    if kind == 0:
        expected.dropped["dates", "after 2022-11-15"] += 1
        return writer.post(writer.words(), (tag,), created_at="2022-11-16T00:00:01.000Z")
    if kind == 1:
        expected.dropped["hashtags", "no hashtag of the list"] += 1
        return writer.post(writer.words(), ("cats",))
    if kind == 2:
        which = writer.rng.randrange(len(_FOREIGN))
        item = writer.post(_FOREIGN[which], (tag,))
        language = ("de", "fr", "es", "ja", "ar")[which]
        if writer.declared:
            item["lang"] = language
        expected.dropped["language", f"language {language}"] += 1
        return item
    if kind == 3:
        expected.dropped["retweets", "retweet"] += 1
        return writer.post(writer.words(), (tag,), referenced_tweets=[{"type": "retweeted", "id": "1"}])
    if kind == 4:
        expected.dropped["sensitive", "marked sensitive"] += 1
        return writer.post(writer.words(), (tag,), possibly_sensitive=True)
    if kind == 5:
        expected.dropped["questions", "question mark"] += 1
        return writer.post(writer.words() + ", what is this?", (tag,))
    expected.dropped["cleaning", "no words left"] += 1
    return writer.post("😀 🔬", (tag,), lang="en")


def _laion(file: Path, rng: random.Random, expected: Expected, count: int) -> None:
    urls = [f"https://images{number % 97}.example.org/{number:06}.jpg" for number in range(count)]
    captions = [f"{rng.choice(_PHRASES)} {number}, what does it show?" for number in range(count)]
    expected.laion = count
    for number in range(math.ceil(count / 50)):
        urls.append(f"https://pbs.twimg.com/media/{number}.jpg")
        captions.append("Histology of the skin, seen on the network")
        expected.dropped["links", "hosted by a network that is a source of its own"] += 1
    table = {"url": urls, "caption": captions, "similarity": [0.3 + rng.random() / 10 for _ in urls]}
    parquet.write_table(pa.table(table), file)


def tissue(seed: int, side_px: int = 224) -> np.ndarray:
    """A sharp picture of blots, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((12, 12, 3))
    fine = rng.random((side_px, side_px, 3))
    big = np.repeat(np.repeat(coarse, -(-side_px // 12), 0), -(-side_px // 12), 1)[:side_px, :side_px]
    return (255 * (0.75 * big + 0.25 * fine)).astype(np.uint8)


def draw(folder: Path, name: str, seed: int, **options: Any) -> Path:
    """Write ``tissue(seed)`` as a JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / name
    place.write_bytes(encode_jpeg(tissue(seed, **options)))
    return place
