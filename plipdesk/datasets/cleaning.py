"""Captions out of posts: mentions, hashtags, markup, emoji, line breaks and links are taken out, nothing else."""

from __future__ import annotations

import functools
import html
import re

import regex

# Every pattern is linear in the text's length: posts come from anywhere, and some are 60,000 characters long.
_LINK = re.compile(r"(?:https?://|www\.)\S+|\bpic\.(?:twitter|x)\.com/\S+", re.IGNORECASE)
_MENTION = re.compile(r"(?<![\w@.])@[A-Za-z0-9_]+(?:[.@-][A-Za-z0-9_]+)*")
_HASHTAG = re.compile(r"(?<![\w&])[#＃](\w+)")
_ANY_HASHTAG = re.compile(r"(?<![\w&/])[#＃](\w*[^\W\d]\w*)")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,2000}>|<!--.{0,2000}?-->", re.DOTALL)
_RETWEET = re.compile(r"^\s*RT\s+@\w+:?\s*")
_SPACES = re.compile(r"\s+")
_BEFORE_MARK = re.compile(r" ([,.;:!?)\]])")
# Letters, arrows and signs that Unicode also calls pictographs, but that belong to words: ©, ®, ™, ‼, ⁉, ℹ, arrows.
_EMOJI = regex.compile(
    r"(?V1)[[\p{Emoji_Presentation}\p{Extended_Pictographic}\p{Regional_Indicator}\U0001F3FB-\U0001F3FF"
    r"\U000E0020-\U000E007F]--[©®™‼⁉ℹ\u2190-\u21FF]]|[\uFE0F\uFE0E\u20E3]"
)
_JOINER = regex.compile(r"\u200D+(?=\s|$)|(?<=\s|^)\u200D+|(?<=[\uFE0F\p{Extended_Pictographic}])\u200D")
# Marks that turn the direction of text, and spaces without width.
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def hashtags_of(text: str) -> tuple[str, ...]:
    """The hashtags in ``text`` in their order, without ``#``; numbers alone are none."""
    return tuple(_ANY_HASHTAG.findall(text)) if "#" in text or "＃" in text else ()


@functools.lru_cache(maxsize=256)
def clean(text: str, *, keep_hashtag_words: bool = False) -> str:
    """``text`` as a caption: one line, without @user, #tags, HTML tags, emoji, links and repeated spaces.

    ``keep_hashtag_words`` leaves the word of a hashtag and takes only its ``#``.
    """
    text = _RETWEET.sub("", text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "&" in text:
        text = html.unescape(text)
    text = _LINK.sub(" ", text)
    if "@" in text:
        text = _MENTION.sub(" ", text)
    if "#" in text or "＃" in text:
        text = _HASHTAG.sub(r"\1" if keep_hashtag_words else " ", text)
    if not text.isascii():
        text = _EMOJI.sub(" ", _JOINER.sub("", text))
    text = _INVISIBLE.sub("", text)
    return _BEFORE_MARK.sub(r"\1", _SPACES.sub(" ", text)).strip()


@functools.lru_cache(maxsize=256)
def without_links(text: str) -> str:
    """``text`` without its links, in which a question mark asks nothing."""
    return _LINK.sub(" ", text)
