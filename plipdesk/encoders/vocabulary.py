"""The pathology vocabulary: what people look for on slides, in English and Simplified Chinese.

It completes queries while they are typed, turns Chinese words into the English that encoders read, lends words to
training texts, and its terms tell which scores chance alone gives on an index.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.resources import resource_path

SHIPPED_VOCABULARY = "vocabulary/pathology.yaml"
SCHEMA_VERSION = 1
MAX_FILE_BYTES = 8 * 1024 * 1024

Category = Literal[
    "artefact",
    "cell",
    "inflammation",
    "lesion",
    "organ",
    "organism",
    "pattern",
    "pigment",
    "specimen",
    "stain",
    "tissue",
    "tumour",
]
_TermId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]
_English = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
_Chinese = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"[\u4e00-\u9fff]", max_length=40)]

_SAME_CHARACTER = str.maketrans({"\u2019": "'", "粘": "黏", **dict.fromkeys("-\u2010\u2011\u2012\u2013\u2014", " ")})
_SPACE_BESIDE_CHINESE = re.compile(r" (?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff]) ")


class VocabularyProblem(EnvironmentProblem):
    """A vocabulary file that cannot be read, or that contradicts itself."""

    kind = "vocabulary"


@dataclass(frozen=True)
class Term:
    """One thing to look for, with all its words.

    ``name`` is the English query (lower case but for proper names and abbreviations), ``zh`` the Chinese one;
    ``broader`` is the id of a term that includes this one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: _TermId
    name: _English
    category: Category
    synonyms: Annotated[tuple[_English, ...], Field(min_length=1, max_length=6)]
    zh: _Chinese
    zh_synonyms: tuple[_Chinese, ...] = ()
    broader: _TermId | None = None

    @property
    def english(self) -> tuple[str, ...]:
        """The name and every synonym."""
        return (self.name, *self.synonyms)

    @property
    def chinese(self) -> tuple[str, ...]:
        """The Chinese name and every Chinese synonym."""
        return (self.zh, *self.zh_synonyms)


@dataclass(frozen=True)
class Vocabulary:
    """All terms, sorted by category and name. Upper and lower case, accents and hyphens do not matter in look-ups."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    schema_version: int
    version: Annotated[int, Field(ge=1)]
    terms: Annotated[tuple[Term, ...], Field(min_length=1)]

    def names(self) -> tuple[str, ...]:
        """The English names, in the order of the terms."""
        return tuple(term.name for term in self.terms)

    def find(self, text: str) -> Term | None:
        """The term that has exactly this name, synonym or Chinese word."""
        sought = _folded(text)
        return self._by_english.get(sought) or self._by_chinese.get(sought)

    def translate(self, text_zh: str) -> Term | None:
        """The term of exactly this Chinese word; its ``name`` is the English to search with."""
        return self._by_chinese.get(_folded(text_zh))

    def suggest(self, prefix: str, limit: int = 10) -> list[Term]:
        """Terms to offer while ``prefix`` is being typed, best first, at most ``limit``.

        The order: a word typed in full; a name that begins so; a later word of a name; any word of a synonym;
        letters inside a word. Within each the shortest first. Chinese is matched like English.
        """
        sought = _folded(prefix)
        if not sought or limit < 1:
            return []
        ranked: list[tuple[int, int, int]] = []
        for position, words in enumerate(self._words):
            ranks = [
                (_rank(word, sought, is_name=place < 2), len(word))
                for place, word in enumerate(words)
                if sought in word
            ]
            if ranks:
                ranked.append((*min(ranks), position))
        return [self.terms[position] for _, _, position in sorted(ranked)[:limit]]

    @cached_property
    def _by_english(self) -> dict[str, Term]:
        return {_folded(word): term for term in self.terms for word in term.english}

    @cached_property
    def _by_chinese(self) -> dict[str, Term]:
        return {_folded(word): term for term in self.terms for word in term.chinese}

    @cached_property
    def _words(self) -> tuple[tuple[str, ...], ...]:
        """Every word of each term as look-ups compare it: name, Chinese name, then the synonyms."""
        return tuple(
            tuple(_folded(word) for word in (term.name, term.zh, *term.synonyms, *term.zh_synonyms))
            for term in self.terms
        )


def load_vocabulary(path: Path | None = None) -> Vocabulary:
    """Read a vocabulary file; the shipped one if no path is given.

    Raises:
        VocabularyProblem: the file cannot be read, is of another form, or contradicts itself (an id twice, a word
            that belongs to two terms, a broader term that does not exist or leads in a circle).
        Bug: the shipped file is missing.
    """
    remedy = "Correct the file." if path else "Install plipdesk again."
    path = path or resource_path(SHIPPED_VOCABULARY)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise VocabularyProblem("The vocabulary file is too large to be one.", path=path, remedy=remedy)
        document = _parsed(path.read_text(encoding="utf-8"))
        version = document.get("schema_version") if isinstance(document, dict) else None
        if version != str(SCHEMA_VERSION):
            raise ValueError(f"schema_version must be {SCHEMA_VERSION}, not {version}")
        vocabulary = TypeAdapter(Vocabulary).validate_python(document)
    except OSError as error:
        raise VocabularyProblem(
            f"The vocabulary file cannot be read: {error.strerror}.", path=path, remedy=remedy
        ) from error
    except ValidationError as error:
        fault = _first_fault(error, document)
        raise VocabularyProblem(f"The vocabulary file is not right: {fault}.", path=path, remedy=remedy) from error
    except (yaml.YAMLError, ValueError) as error:
        fault = " ".join(str(error).split())
        raise VocabularyProblem(f"The vocabulary file is not right: {fault}.", path=path, remedy=remedy) from error
    for fault in _contradictions(vocabulary.terms):
        raise VocabularyProblem(f"The vocabulary contradicts itself: {fault}.", path=path, remedy=remedy)
    return vocabulary


def _folded(text: str) -> str:
    """``text`` as look-ups compare it: one case, no accents, hyphens as spaces, one form of 黏 (often typed 粘)."""
    if text.isascii():
        return " ".join(text.casefold().replace("-", " ").split())
    parts = unicodedata.normalize("NFKD", text.translate(_SAME_CHARACTER).casefold())
    plain = " ".join("".join(part for part in parts if not unicodedata.combining(part)).split())
    return _SPACE_BESIDE_CHINESE.sub("", plain)


def _rank(word: str, sought: str, *, is_name: bool) -> int:
    """How well ``sought``, which is somewhere in ``word``, completes to it; smaller is better."""
    if word == sought:
        return 0
    if is_name and word.startswith(sought):
        return 1
    if f" {sought}" in f" {word}":
        return 2 if is_name else 3
    return 4


def _parsed(text: str) -> Any:
    """The YAML of ``text`` as mappings, lists and strings; every scalar stays the text it is.

    Built from the parser's events, because PyYAML's constructors take four times as long over a thousand terms and
    let a key that is given twice pass. Anchors and aliases are refused, so nothing can grow beyond the file.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    open_nodes: list[list[Any]] = [[]]
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.ScalarEvent):
            open_nodes[-1].append(event.value)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            open_nodes.append([])
        elif isinstance(event, yaml.SequenceEndEvent):
            node = open_nodes.pop()
            open_nodes[-1].append(node)
        elif isinstance(event, yaml.MappingEndEvent):
            node = open_nodes.pop()
            open_nodes[-1].append(_mapping(node[::2], node[1::2]))
        elif isinstance(event, yaml.AliasEvent):
            raise ValueError(f"it uses the alias {event.anchor}, and none is allowed")
    if len(open_nodes[0]) != 1:
        raise ValueError("it must hold exactly one document")
    return open_nodes[0][0]


def _mapping(keys: list[Any], values: list[Any]) -> dict[str, Any]:
    if not all(isinstance(key, str) for key in keys):
        raise ValueError(f"a key must be one word, not {next(key for key in keys if not isinstance(key, str))}")
    mapping = dict(zip(keys, values, strict=True))
    if len(mapping) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice} is given twice in the entry that begins with {keys[0]}: {values[0]}")
    return mapping


def _first_fault(error: ValidationError, document: Any) -> str:
    """The first thing that the form refuses, with the term's id where it has one."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if len(first["loc"]) > 1 and first["loc"][0] == "terms":
        position = first["loc"][1]
        entry = document["terms"][position]
        named = entry.get("id") if isinstance(entry, dict) else None
        where[:2] = [f"term {named or int(position) + 1}"]
    return f"{', '.join(where)}: {first['msg']}"


def _contradictions(terms: tuple[Term, ...]) -> Iterator[str]:
    by_id: dict[str, Term] = {}
    owners: dict[str, Term] = {}
    for term in terms:
        if by_id.setdefault(term.id, term) is not term:
            yield f"the id {term.id} is given twice"
        for word in (*term.english, *term.chinese):
            owner = owners.setdefault(_folded(word), term)
            if owner is not term:
                yield f"“{word}” belongs to both {owner.id} and {term.id}"
    for term in terms:
        above, seen = term.broader, {term.id}
        while above is not None:
            if above not in by_id:
                yield f"{term.id} names {above} as broader, which does not exist"
                break
            if above in seen:
                yield f"the broader terms of {term.id} lead in a circle"
                break
            seen.add(above)
            above = by_id[above].broader
