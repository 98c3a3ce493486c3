"""Threads: posts with the replies to them, joined from the buckets of all sources, each post once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from plipdesk.datasets.pair import Post
from plipdesk.datasets.spill import records

Key = tuple[str, str]
_K = TypeVar("_K")


def join(files: list[Path], seen: Counter[str]) -> Iterator[tuple[Post, list[Post]]]:
    """Each post of some buckets with its replies, posts and replies in the order of their ids.

    ``seen`` counts what was read twice and what found no partner.
    """
    posts: dict[Key, Post] = {}
    replies: dict[Key, dict[str, Post]] = {}
    for file in files:
        for record in records(file):
            post = record.post
            if record.as_reply:
                _keep(replies.setdefault((post.platform, post.reply_to or ""), {}), post.id, post, seen, "replies")
            else:
                _keep(posts, (post.platform, post.id), post, seen, "posts")
    for key in sorted(replies.keys() - posts.keys()):
        seen["replies to posts that are not here or have no picture"] += len(replies[key])
    for key in sorted(posts, key=lambda key: (key[0], len(key[1]), key[1])):
        answers = replies.get(key, {})
        yield posts[key], [answers[name] for name in sorted(answers, key=lambda name: (len(name), name))]


def _keep(known: dict[_K, Post], key: _K, post: Post, seen: Counter[str], what: str) -> None:
    """The first primary post of an id stays; one that was only referred to gives way to it."""
    other = known.get(key)
    if other is None or (post.primary and not other.primary):
        known[key] = post
    if other is not None and other.primary and post.primary:
        seen[f"{what} told twice"] += 1
