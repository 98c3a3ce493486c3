"""The step that takes exactly the pairs of a release."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from plipdesk.datasets.pair import Pair
from plipdesk.datasets.steps.base import Noting, TextStep, Verdict


class Selected(TextStep):
    """Pairs that the release in ``file`` names; they get its hashtag and split."""

    name: ClassVar[str] = "released"
    file: Path

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:  # noqa: ARG002 - the base's signature
        """Reads the release."""
        with self.file.open(encoding="utf-8", newline="") as stream:
            rows = {
                (row["source"], row["id"], row["media_id"]): (row["hashtag"], row["split"])
                for row in csv.DictReader(stream)
            }

        def judge(pair: Pair) -> Verdict:
            found = rows.get((pair.source, pair.text_id, pair.media_id))
            if found is None:
                return "not in the release"
            pair.hashtag, pair.split = found
            return None

        return judge
