"""The hashtags whose posts make OpenPath, with the counts that the paper tells of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.resources import resource_path


class HashtagProblem(EnvironmentProblem):
    """A list of hashtags cannot be used."""

    kind = "hashtags"


@dataclass(frozen=True)
class Hashtag:
    """A hashtag without ``#``, and how many posts and replies of it the paper ends with (0 for one's own)."""

    name: str
    posts: int = 0
    replies: int = 0


def read_hashtags(path: Path | None = None) -> tuple[Hashtag, ...]:
    """The hashtags of a YAML list, or (None) the paper's 32.

    Raises:
        HashtagProblem: unreadable, or no list of hashtags.
    """
    import yaml

    place = path or resource_path("datasets/hashtags.yaml")
    try:
        document: Any = yaml.safe_load(place.read_text(encoding="utf-8"))
        entries = document["hashtags"]
        found = tuple(
            Hashtag(str(entry["name"]).lstrip("#"), int(entry.get("posts", 0)), int(entry.get("replies", 0)))
            if isinstance(entry, dict)
            else Hashtag(str(entry).lstrip("#"))
            for entry in entries
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise HashtagProblem(
            f"The list of hashtags cannot be read: {error!r}.",
            path=place,
            remedy="Give a YAML file with hashtags: […].",
        ) from error
    if not found or any(not tag.name for tag in found):
        raise HashtagProblem("The list names no hashtag, or an empty one.", path=place)
    return found
