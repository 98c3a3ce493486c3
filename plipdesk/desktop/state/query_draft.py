"""The query that is being built, and which answer belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath

from plipdesk.catalogue.rows import SlideFilter
from plipdesk.search.query import Group, PicturePart, Query, RegionPart, SlidePart, TextPart

PICTURE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"})
HITS_CHOICES = (20, 50, 100, 200, 500)


def is_picture_name(path: str) -> bool:
    """Whether a file is an ordinary picture by its ending; a .tif may well be a slide and is taken as one."""
    return PurePath(path).suffix.lower() in PICTURE_ENDINGS


@dataclass(frozen=True)
class QueryDraft:
    """Words, and at most one example (a region, a picture or a whole slide), with filters and how to answer."""

    words: str = ""
    example: RegionPart | PicturePart | SlidePart | None = None
    example_name: str = ""
    """What the example is called on screen: a slide's or a picture's name."""
    k: int = 50
    group: Group = "patch"
    collection: str | None = None
    only_slide: tuple[str, str] | None = None
    """(slide_id, name) that the search is kept to."""
    without_slides: tuple[tuple[str, str], ...] = ()
    """(slide_id, name) of slides left out."""
    without_cases: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is asked yet."""
        return not self.words.strip() and self.example is None

    def query(self) -> Query:
        """The question as the engine takes it."""
        words = self.words.strip()
        example = self.example
        return Query(
            texts=(TextPart(words),) if words else (),
            regions=(example,) if isinstance(example, RegionPart) else (),
            pictures=(example,) if isinstance(example, PicturePart) else (),
            slides=(example,) if isinstance(example, SlidePart) else (),
            k=self.k,
            group=self.group,
            filters=SlideFilter(
                collections=(self.collection,) if self.collection else (),
                slide_ids=(self.only_slide[0],) if self.only_slide else (),
                not_slide_ids=tuple(slide_id for slide_id, _ in self.without_slides),
                not_cases=self.without_cases,
            ),
        )

    def like(self, example: RegionPart | PicturePart | SlidePart, name: str) -> QueryDraft:
        """A new question by example alone: words of the last one would mix in unasked."""
        return replace(self, words="", example=example, example_name=name)

    def leaving_out_slide(self, slide_id: str, name: str) -> QueryDraft:
        """Without one slide more."""
        kept = tuple(pair for pair in self.without_slides if pair[0] != slide_id)
        return replace(self, without_slides=(*kept, (slide_id, name)))

    def leaving_out_case(self, case: str) -> QueryDraft:
        """Without one case more."""
        return replace(self, without_cases=tuple(dict.fromkeys((*self.without_cases, case))))


class Turn:
    """Counts questions, so that only the answer to the latest is shown."""

    def __init__(self) -> None:
        self._latest = 0

    def next(self) -> int:
        """A new question; older ones are stale from now on."""
        self._latest += 1
        return self._latest

    def is_latest(self, number: int) -> bool:
        """Whether this is still the question that matters."""
        return number == self._latest
