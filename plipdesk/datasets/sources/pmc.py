"""PubMed Central's open-access packages: an article in JATS XML with its figures' pictures, packed or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

from plipdesk.datasets.pair import Medium, Post, file_safe
from plipdesk.datasets.sources.container import Container, Unsafe, inner_name, open_container
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.safe_xml import MAX_DOCUMENT_BYTES, local_name, parse_xml, words_of
from plipdesk.datasets.sources.taking_out import medium
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble

PLATFORM = "pmc"
_HREF = "{http://www.w3.org/1999/xlink}href"
_ENDINGS = ("", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif")
_PACKAGES = (".tar.gz", ".tgz", ".zip", ".tar")
_LICENCE = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z-]+)(?:/(\d\.\d))?", re.IGNORECASE)


def posts(path: Path, trouble: Trouble, extracted: Extracted) -> Iterator[Post]:
    """Every figure of every article in a package, or in a folder of packages.

    Raises:
        SourceProblem: no article is here.
    """
    packages = [path] if path.is_file() else [
        file for file in sorted(path.rglob("*")) if file.name.lower().endswith(_PACKAGES)
    ]  # fmt: skip
    articles = 0
    for place in [*packages, *([path] if path.is_dir() else [])]:
        try:
            with closing(open_container(place, trouble)) as container:
                names = container.names()
                known = set(names)
                for name in names:
                    if name.lower().endswith((".nxml", ".xml")):
                        articles += 1
                        yield from _of_article(container, name, known, extracted, trouble)
        except SourceProblem as problem:
            if len(packages) == 1 and path.is_file():
                raise
            trouble.add("damaged archive", place.name, problem.message)
    if not articles:
        raise SourceProblem("There is no article here.", path=path, remedy="Give a package or a folder of them.")


def _of_article(
    container: Container, name: str, known: set[str], extracted: Extracted, trouble: Trouble
) -> Iterator[Post]:
    where = f"{container.path.name}!{name}"
    try:
        root = parse_xml(container.read(name, MAX_DOCUMENT_BYTES))
    except (Unsafe, KeyError) as why:
        trouble.add(str(why) if isinstance(why, Unsafe) else "article cannot be read", where)
        return
    if local_name(root) not in ("article", "pmc-articleset"):
        trouble.add("XML that is no article", where)
        return
    for article in [root] if local_name(root) == "article" else _all(root, "article"):
        yield from _figures(article, container, name, known, extracted, trouble)


def _figures(
    article: Any, container: Container, name: str, known: set[str], extracted: Extracted, trouble: Trouble
) -> Iterator[Post]:
    identity, doi = _identity(article, PurePosixPath(name).stem)
    folder = str(PurePosixPath(name).parent)
    licence, created = _licence(article), _date(article)
    for number, figure in enumerate(_all(article, "fig")):
        captions = _all(figure, "caption")
        words = words_of(captions[0]) if captions else ""
        graphics = [graphic.get(_HREF) for graphic in _all(figure, "graphic") if graphic.get(_HREF)]
        if not words or not graphics:
            trouble.add("figure without words or picture", f"{name}: figure {number + 1}")
            continue
        label = file_safe(figure.get("id") or f"fig{number + 1}")
        yield Post(
            platform=PLATFORM,
            id=file_safe(f"{identity}-{label}"),
            family="local",
            text=words,
            group=f"pmc:{identity}",
            created=created,
            language=(article.get("{http://www.w3.org/XML/1998/namespace}lang") or "")[:2].lower(),
            link=f"https://doi.org/{doi}" if doi else "",
            licence=licence,
            media=[
                _graphic(href, f"{label}-{place + 1}", folder, container, known, extracted, trouble)
                for place, href in enumerate(graphics)
            ],
        )


def _graphic(
    href: str, key: str, folder: str, container: Container, known: set[str], extracted: Extracted, trouble: Trouble
) -> Medium:
    try:
        plain = inner_name(href)
    except Unsafe as why:
        trouble.add(str(why), f"{container.path.name}: {href}"[:200])
        return Medium(key, problem=str(why))
    for base in (f"{folder}/{plain}", plain) if folder != "." else (plain,):
        for ending in _ENDINGS:
            if base + ending in known:
                return medium(container, base + ending, key, extracted, trouble)
    return Medium(key)


def _all(element: Any, name: str) -> list[Any]:
    return [found for found in element.iter() if local_name(found) == name]


def _identity(article: Any, stem: str) -> tuple[str, str]:
    ids = {found.get("pub-id-type", ""): words_of(found) for found in reversed(_all(article, "article-id"))}
    number = ids.get("pmcid") or ids.get("pmc") or ids.get("pmc-uid") or stem
    return file_safe(number if number.upper().startswith("PMC") or not number.isdigit() else f"PMC{number}"), ids.get(
        "doi", ""
    )


def _licence(article: Any) -> str:
    for found in _all(article, "license"):
        links = [found.get(_HREF) or "", *(link.get(_HREF) or "" for link in _all(found, "ext-link")), words_of(found)]
        for link in links:
            match = _LICENCE.search(link)
            if match:
                kind, name, version = match.groups()
                name = "0" if kind.lower() == "publicdomain" else f" {name.upper()}"
                return f"CC{name}{f' {version}' if version else ''}"
        return found.get("license-type") or words_of(found)[:100]
    return ""


def _date(article: Any) -> str:
    dates = []
    for found in _all(article, "pub-date"):
        parts = {local_name(part): words_of(part) for part in found}
        try:
            year, month, day = (int(parts.get(name) or 1) for name in ("year", "month", "day"))
        except ValueError:
            continue
        if 1500 < year < 3000 and 1 <= month <= 12 and 1 <= day <= 31:
            dates.append(f"{year:04}-{month:02}-{day:02}T00:00:00")
    return min(dates, default="")
