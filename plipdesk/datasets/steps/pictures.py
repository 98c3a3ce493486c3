"""The steps that judge pictures: whether they can be read, are large and sharp enough, show pathology, and are new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from plipdesk.datasets.pair import Pair
from plipdesk.datasets.picture_facts import PictureTable
from plipdesk.datasets.steps.base import Noting, Step, Verdict

if TYPE_CHECKING:
    from plipdesk.datasets.near_duplicates import Sameness


class PictureStep(Step):
    """A step that needs pictures. It sees all pairs that are left at once."""

    def verdicts(self, pairs: Sequence[Pair], table: PictureTable, note: Noting) -> list[Verdict]:
        """Why each of ``pairs`` goes, or None."""
        families = frozenset(self.families)
        judged = self.judge([pair for pair in pairs if pair.family in families], table, note)
        found = iter(judged)
        return [next(found) if pair.family in families else None for pair in pairs]

    def judge(self, pairs: Sequence[Pair], table: PictureTable, note: Noting) -> list[Verdict]:
        """The same for pairs of the step's own families only."""
        raise NotImplementedError


class Files(PictureStep):
    """Pictures that are there and can be decoded."""

    name: ClassVar[str] = "files"

    def judge(self, pairs: Sequence[Pair], table: PictureTable, note: Noting) -> list[Verdict]:  # noqa: ARG002
        """Missing, unsafe, ambiguous and broken ones go."""
        claimed: dict[str, set[str]] = {}
        for pair in pairs:
            if pair.family == "web" and pair.picture:
                claimed.setdefault(pair.picture, set()).add(pair.url)
        return [self._verdict(pair, table, len(claimed.get(pair.picture, ())) > 1) for pair in pairs]

    def _verdict(self, pair: Pair, table: PictureTable, ambiguous: bool) -> Verdict:
        if pair.picture_problem:
            return pair.picture_problem
        if not pair.picture:
            return "picture is not in the export"
        if ambiguous:
            return "one file for several addresses"
        return table.of(pair).problem or None


class Size(PictureStep):
    """Shorter side at least ``least_side_px``, longer one at most ``most_ratio`` times as long."""

    name: ClassVar[str] = "size"
    least_side_px: int = 200
    most_ratio: float = 4.0

    def judge(self, pairs: Sequence[Pair], table: PictureTable, note: Noting) -> list[Verdict]:  # noqa: ARG002
        """By the size of the upright picture."""
        return [self._verdict(*table.of(pair).size_px) for pair in pairs]

    def _verdict(self, width_px: int, height_px: int) -> Verdict:
        if min(width_px, height_px) < self.least_side_px:
            return f"shorter side below {self.least_side_px} px"
        if max(width_px, height_px) > self.most_ratio * min(width_px, height_px):
            return f"longer than {self.most_ratio:g} times its width or height"
        return None


class Quality(PictureStep):
    """Pictures that show something, sharply. ``least_spread`` is the standard deviation of grey (0–255) of the picture
    reduced to 64 px, ``least_sharpness`` the mean absolute Laplacian of its grey at up to 256 px."""

    name: ClassVar[str] = "quality"
    least_spread: float = 4.0
    least_sharpness: float = 1.5

    def judge(self, pairs: Sequence[Pair], table: PictureTable, note: Noting) -> list[Verdict]:  # noqa: ARG002
        """Blank ones first."""
        return [self._verdict(table.of(pair).spread, table.of(pair).sharpness) for pair in pairs]

    def _verdict(self, spread: float, sharpness: float) -> Verdict:
        if spread < self.least_spread:
            return "blank"
        return "out of focus" if sharpness < self.least_sharpness else None


class NearDuplicates(PictureStep):
    """Each picture once: the earliest stays, and so do all pairs (post and replies) of its own post.

    Two are the same where their files are, where their perceptual hashes (128 bits) differ in at most ``hash_bits``, or
    where their embeddings' cosine is at least ``cosine`` (None: not compared) and the hashes do not contradict it in
    more than ``contradicting_bits``.
    """

    name: ClassVar[str] = "near-duplicates"
    hash_bits: int = 10
    cosine: float | None = 0.97
    contradicting_bits: int = 44

    def judge(self, pairs: Sequence[Pair], table: PictureTable, note: Noting) -> list[Verdict]:  # noqa: ARG002
        """Compares every picture with every other, whichever split either will lie in."""
        from plipdesk.datasets.near_duplicates import find_same

        order = sorted({(pair.created or "9999", pair.post_id, pair.media_id, pair.picture) for pair in pairs})
        places = list(dict.fromkeys(table.place(path) for *_, path in order))
        found: dict[int, tuple[Sameness, int]] = find_same(
            table, places, hash_bits=self.hash_bits, cosine=self.cosine, contradicting_bits=self.contradicting_bits
        )
        first_pair = {table.place(pair.picture): pair.id for pair in reversed(pairs)}
        owner: dict[int, tuple[str, str, str]] = {}
        for _, post_id, media_id, path in order:
            owner.setdefault(table.place(path), (post_id, media_id, path))
        verdicts: list[Verdict] = []
        for pair in pairs:
            place = table.place(pair.picture)
            if place in found:
                sameness, other = found[place]
                verdicts.append(f"same picture ({sameness})")
                table.same_as[pair.id] = first_pair.get(other, "")
            elif (pair.post_id, pair.media_id, pair.picture) != owner[place]:
                verdicts.append("same picture (file)")
                table.same_as[pair.id] = first_pair.get(place, "")
            else:
                verdicts.append(None)
        return verdicts
