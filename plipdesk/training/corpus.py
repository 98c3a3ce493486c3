"""The texts from which a small text tower learns what a big one knows.

Pathology words with their synonyms, captions, and dictionary glosses (WordNet's files, where a machine has them;
Princeton's WordNet licence). Texts alone: nothing here is shown with a picture, so a synonym learned here is still a
test of meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plipdesk.base.errors import EnvironmentProblem

# WordNet's lexicographer files that touch bodies, substances, illness, shapes and looks (wninput(5WN)).
# adj.all, adj.pert, attribute, body, process, shape, state, substance.
GLOSS_FILES = frozenset({"00", "01", "07", "08", "22", "25", "26", "27"})
_MOST_GLOSS_WORDS = 18


class CorpusProblem(EnvironmentProblem):
    """A source of training text could not be read."""

    kind = "corpus"


@dataclass(frozen=True, slots=True)
class Phrases:
    """Words a recipe's author wrote: tag → phrases that may accompany its pictures, templates, and building blocks."""

    phrases: dict[str, tuple[str, ...]]
    templates: tuple[str, ...]
    qualifiers: tuple[str, ...]
    places: tuple[str, ...]


def read_phrases(path: Path) -> Phrases:
    """Read a phrases file (YAML).

    Raises:
        CorpusProblem: unreadable, or not of the expected form.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Phrases(
            phrases={tag: tuple(words) for tag, words in document["phrases"].items()},
            templates=tuple(document["templates"]),
            qualifiers=tuple(document["qualifiers"]),
            places=tuple(document["places"]),
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise CorpusProblem(
            f"The phrases cannot be read: {error}", path=path, remedy="Give a YAML file with phrases and templates."
        ) from error


def read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    """The synonyms kept for testing: tag → words.

    Raises:
        CorpusProblem: unreadable, or not of the expected form.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {tag: tuple(words) for tag, words in document["synonyms"].items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise CorpusProblem(
            f"The synonyms cannot be read: {error}", path=path, remedy="Give a YAML file with synonyms:."
        ) from error


def wordnet_texts(folder: Path) -> Iterator[str]:
    """Words and short glosses of the WordNet data files in ``folder`` (``data.noun``, ``data.adj``).

    The format is wndb(5WN): ``offset lexfile type count word … | gloss; "example"``. A word and its gloss make one
    text, so that rare words meet plain ones.
    """
    for name in ("data.noun", "data.adj"):
        path = folder / name
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise CorpusProblem(
                "The WordNet files are missing.",
                path=path,
                remedy="Install the package wordnet-base, or name no folder.",
            ) from error
        for line in lines:
            fields, _, gloss = line.partition(" | ")
            parts = fields.split(" ")
            if line.startswith(" ") or len(parts) < 5 or parts[1] not in GLOSS_FILES:
                continue
            count = int(parts[3], 16)
            words = [re.sub(r"\(.*\)", "", parts[4 + 2 * place]).replace("_", " ") for place in range(count)]
            meaning = " ".join(gloss.split('"')[0].strip(" ;").split()[:_MOST_GLOSS_WORDS])
            yield from words[:3]
            if meaning:
                yield f"{words[0]}, {meaning}"


def combined(terms: Sequence[str], phrases: Phrases, *, count: int, seed: int) -> Iterator[str]:
    """``count`` made-up queries: terms with qualifiers, places, each other and templates."""
    rng = np.random.default_rng(seed)

    def one(words: Sequence[str]) -> str:
        return words[int(rng.integers(len(words)))]

    for _ in range(count):
        kind = int(rng.integers(5))
        term = one(terms)
        if kind == 0:
            yield f"{one(phrases.qualifiers)} {term}"
        elif kind == 1:
            yield f"{term} in the {one(phrases.places)}"
        elif kind == 2:
            yield f"{term} and {one(terms)}"
        elif kind == 3:
            yield f"{one(phrases.qualifiers)} {term} with {one(terms)}"
        else:
            yield one(phrases.templates).format(term)


def distinct(texts: Iterable[str], *, most_chars: int = 200) -> list[str]:
    """Texts once each in order of first appearance, blanks folded, cut to ``most_chars``."""
    return list(dict.fromkeys(text for raw in texts if (text := " ".join(raw.split())[:most_chars])))
