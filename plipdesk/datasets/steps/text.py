"""The steps that judge words and marks, in the order in which the paper takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import ClassVar, Literal

from plipdesk.datasets.cleaning import clean, without_links
from plipdesk.datasets.hashtags import read_hashtags
from plipdesk.datasets.language import LanguageDetector
from plipdesk.datasets.pair import Family, Pair
from plipdesk.datasets.steps.base import Noting, TextStep, ThreadJudge, Verdict

_QUESTION_MARKS = ("?", "？", "؟", "\u037e", "⁇", "⁈")
# What networks say where they do not know the language themselves.
_UNDECLARED = {"", "und", "qme", "qht", "qam", "qct", "qst", "art", "zxx"}
_REFUSALS = {"no", "none", "withdrawn", "refused", "false", "0", "n"}


class Dates(TextStep):
    """Texts of a stretch of time, both ends included; undated ones stay unless ``undated`` is *drop*."""

    name: ClassVar[str] = "dates"
    first: date = date(2006, 3, 21)
    last: date = date(2022, 11, 15)
    undated: Literal["keep", "drop"] = "keep"

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:  # noqa: ARG002 - the base's signature
        """Compares days in UTC."""
        first, last = self.first.isoformat(), self.last.isoformat()

        def judge(pair: Pair) -> Verdict:
            day = pair.created[:10]
            if not day:
                return "no date" if self.undated == "drop" else None
            if day < first:
                return f"before {first}"
            return f"after {last}" if day > last else None

        return judge


class Hashtags(TextStep):
    """Posts with a hashtag of the list (None: the paper's 32); the first of them becomes the pair's hashtag."""

    name: ClassVar[str] = "hashtags"
    families: tuple[Family, ...] = ("social",)
    file: Path | None = None

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:  # noqa: ARG002
        """Matches without regard to case."""
        listed = {tag.name.casefold(): tag.name for tag in read_hashtags(self.file)}

        def judge(pair: Pair) -> Verdict:
            for tag in pair.hashtags:
                name = listed.get(tag.casefold())
                if name is not None:
                    pair.hashtag = name
                    return None
            return "no hashtag of the list" if pair.hashtags else "no hashtag"

        return judge


class Language(TextStep):
    """Texts in one of the ``wanted`` languages.

    With ``trust_declared`` what the network says of a post counts, and the detector decides the rest.
    """

    name: ClassVar[str] = "language"
    wanted: tuple[str, ...] = ("en",)
    trust_declared: bool = True
    sure: float = 0.6
    likely: float = 0.1

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:  # noqa: ARG002
        """Loads the detector."""
        detector = LanguageDetector(self.wanted, sure=self.sure, likely=self.likely)
        wanted = frozenset(self.wanted)

        def judge(pair: Pair) -> Verdict:
            declared = pair.language.lower().partition("-")[0]
            if self.trust_declared and declared not in _UNDECLARED:
                return None if declared in wanted else f"language {declared}"
            found = detector.foreign(clean(pair.text))
            return f"language {found}" if found else None

        return judge


class Retweets(TextStep):
    """No repetitions of another post."""

    name: ClassVar[str] = "retweets"
    families: tuple[Family, ...] = ("social",)

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:  # noqa: ARG002
        """By the export's mark, and by the words with which retweets once began."""
        return lambda pair: "retweet" if pair.retweet or pair.text.startswith("RT @") else None


class Sensitive(TextStep):
    """No posts whose pictures the network marks as sensitive."""

    name: ClassVar[str] = "sensitive"

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:  # noqa: ARG002
        """The mark of the picture's post, or of the reply."""
        return lambda pair: "marked sensitive" if pair.sensitive else None


class Replies(TextStep):
    """Of all replies to a post the ``most`` liked: of equals the earlier one, then the one with the smaller id."""

    name: ClassVar[str] = "replies"
    families: tuple[Family, ...] = ("social",)
    most: int = 1
    least_likes: int = 0

    def begin(self, note: Noting) -> ThreadJudge:  # noqa: ARG002
        """Judges the replies of one post against each other."""

        def judge(pairs: Sequence[Pair]) -> Sequence[Verdict]:
            replies = {
                pair.text_id: (-pair.likes, pair.created, len(pair.text_id), pair.text_id)
                for pair in pairs
                if pair.role == "reply" and pair.family in self.families and pair.likes >= self.least_likes
            }
            best = set(sorted(replies, key=replies.__getitem__)[: self.most])
            return [self._verdict(pair, best) for pair in pairs]

        return judge

    def _verdict(self, pair: Pair, best: set[str]) -> Verdict:
        if pair.role != "reply" or pair.family not in self.families or pair.text_id in best:
            return None
        return "another reply has more likes" if pair.likes >= self.least_likes else f"below {self.least_likes} likes"


class Questions(TextStep):
    """No texts that ask something; PathLAION keeps them, as in the authors' code."""

    name: ClassVar[str] = "questions"
    families: tuple[Family, ...] = ("social",)

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:  # noqa: ARG002
        """Question marks of several scripts; those inside links ask nothing."""

        def judge(pair: Pair) -> Verdict:
            if not any(mark in pair.text for mark in _QUESTION_MARKS):
                return None
            rest = without_links(pair.text)
            return "question mark" if any(mark in rest for mark in _QUESTION_MARKS) else None

        return judge


class Cleaning(TextStep):
    """Takes mentions, hashtags, markup, emoji, line breaks and links out; drops captions left without words."""

    name: ClassVar[str] = "cleaning"
    keep_hashtag_words: bool = False
    least_words: int = 1
    most_characters: int = 10_000

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:
        """Writes captions."""

        def judge(pair: Pair) -> Verdict:
            pair.caption = clean(pair.text, keep_hashtag_words=self.keep_hashtag_words)
            if pair.caption != pair.text:
                note("captions changed")
            if not any(character.isalnum() for character in pair.caption):
                return "no words left"
            if len(pair.caption.split()) < self.least_words:
                return f"fewer than {self.least_words} words"
            return (
                f"longer than {self.most_characters} characters" if len(pair.caption) > self.most_characters else None
            )

        return judge


class Links(TextStep):
    """Pairs found on the web: not from the hosts named, which other sources already tell of, and alike enough."""

    name: ClassVar[str] = "links"
    families: tuple[Family, ...] = ("web",)
    refused_hosts: tuple[str, ...] = ("twimg.com", "twitter.com", "x.com", "t.co")
    least_similarity: float | None = None

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:  # noqa: ARG002
        """By the host of the picture's address and of the page."""

        def judge(pair: Pair) -> Verdict:
            for address in (pair.url, pair.link):
                host = host_of(address)
                if any(host == name or host.endswith("." + name) for name in self.refused_hosts):
                    return "hosted by a network that is a source of its own"
            if self.least_similarity is not None and (pair.similarity or 0.0) < self.least_similarity:
                return f"similarity below {self.least_similarity:g}"
            return None

        return judge


class Rights(TextStep):
    """Licence and consent: ``licences`` are those allowed (None: any), compared by how they begin, without case."""

    name: ClassVar[str] = "rights"
    licences: tuple[str, ...] | None = None
    unlicensed: Literal["keep", "drop"] = "keep"
    require_consent: bool = False

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:  # noqa: ARG002
        """A refusal or withdrawal of consent always counts."""
        allowed = None if self.licences is None else tuple(name.casefold() for name in self.licences)

        def judge(pair: Pair) -> Verdict:
            consent = pair.consent.strip().casefold()
            if consent in _REFUSALS:
                return "consent refused"
            if self.require_consent and not consent:
                return "no consent on record"
            if not pair.licence:
                return "no licence" if self.unlicensed == "drop" else None
            if allowed is not None and not pair.licence.casefold().startswith(allowed):
                return f"licence {pair.licence[:40]}"
            return None

        return judge


def host_of(address: str) -> str:
    """The host of a web address in lower case, without user and port; empty where there is none."""
    _, mark, rest = address.partition("://")
    if not mark:
        return ""
    return rest.partition("/")[0].partition("?")[0].rpartition("@")[2].partition(":")[0].lower()
