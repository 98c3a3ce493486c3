"""Pages and books: HTML files and EPUB; figures with their captions, other pictures with their alternative text."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from plipdesk.datasets.pair import Medium, Post, file_safe
from plipdesk.datasets.sources.container import Container, Folder, Unsafe, open_container
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.safe_xml import MAX_DOCUMENT_BYTES, local_name, parse_html, parse_xml, words_of
from plipdesk.datasets.sources.taking_out import count_inner_archives, medium
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble

_PAGES = (".html", ".htm", ".xhtml")
# An alternative text of a word or two names the file, not what it shows.
_LEAST_ALT_WORDS = 3


def posts(path: Path, trouble: Trouble, extracted: Extracted) -> Iterator[Post]:
    """Every captioned picture of a page, of a folder of pages, of a book, or of a folder of books.

    Raises:
        SourceProblem: none of these is here.
    """
    if path.is_file() and path.name.lower().endswith(_PAGES):
        folder = Folder(path.parent, trouble)
        yield from _of_pages(folder, [path.name], "html", path.stem, "", extracted, trouble)
        return
    books = [path] if path.is_file() else sorted(path.rglob("*.epub"))
    for book in books:
        try:
            with closing(open_container(book, trouble)) as container:
                count_inner_archives(container, trouble)
                title, rights = _about(container, trouble)
                pages = [name for name in container.names() if name.lower().endswith(_PAGES)]
                group = title or book.stem
                yield from _of_pages(container, pages, "epub", group, rights, extracted, trouble)
        except SourceProblem as problem:
            if len(books) == 1:
                raise
            trouble.add("damaged archive", book.name, problem.message)
    if path.is_dir():
        folder = Folder(path, trouble)
        pages = [name for name in folder.names() if name.lower().endswith(_PAGES)]
        if not pages and not books:
            raise SourceProblem("There is no page and no book here.", path=path, remedy="Give HTML files or EPUBs.")
        yield from _of_pages(folder, pages, "html", path.name, "", extracted, trouble)


def _about(container: Container, trouble: Trouble) -> tuple[str, str]:
    """Title and rights of a book."""
    for name in container.names():
        if name.lower().endswith(".opf"):
            try:
                root = parse_xml(container.read(name, MAX_DOCUMENT_BYTES))
            except Unsafe as why:
                trouble.add(str(why), f"{container.path.name}!{name}")
                continue
            found = {local_name(element): words_of(element) for element in reversed(list(root.iter()))}
            return found.get("title", ""), found.get("rights", "")
    return "", ""


def _of_pages(
    container: Container,
    pages: list[str],
    platform: str,
    group: str,
    rights: str,
    extracted: Extracted,
    trouble: Trouble,
) -> Iterator[Post]:
    for page in pages:
        where = f"{container.path.name}!{page}"
        try:
            root = parse_html(container.read(page, MAX_DOCUMENT_BYTES))
        except (Unsafe, KeyError, OSError) as why:
            trouble.add(str(why) if isinstance(why, Unsafe) else "page cannot be read", where)
            continue
        if root is None:
            trouble.add("empty page", where)
            continue
        for number, (images, words) in enumerate(_captioned(root)):
            media = [
                _image(source, f"{file_safe(page.replace('.', '-').replace('/', '__'))}-{number}-{place}", page,
                       container, extracted, trouble)
                for place, source in enumerate(images)
            ]  # fmt: skip
            yield Post(
                platform=platform,
                id=file_safe(f"{group}-{page}-{number}"),
                family="local",
                text=words,
                group=f"{platform}:{group}",
                licence=rights,
                media=media,
            )


def _captioned(root: Any) -> Iterator[tuple[list[str], str]]:
    """Addresses of pictures, and their words."""
    seen: set[Any] = set()
    for figure in root.iter("figure"):
        captions = [words_of(element) for element in figure.iter("figcaption")]
        images = [image for image in figure.iter("img") if image not in seen]
        seen.update(images)
        words = " ".join(caption for caption in captions if caption)
        sources = [image.get("src", "") for image in images if image.get("src")]
        if words and sources:
            yield sources, words
    for image in root.iter("img"):
        source = image.get("src")
        if image in seen or not source:
            continue
        words = _caption_beside(image) or (image.get("alt") or image.get("title") or "").strip()
        if len(words.split()) >= _LEAST_ALT_WORDS:
            yield [source], words


def _caption_beside(image: Any) -> str:
    """The words of the next element that calls itself a caption, beside the picture or beside what holds it alone."""
    element = image
    for _ in range(2):
        follower = element.getnext()
        if follower is not None and "caption" in (follower.get("class") or "").lower():
            return words_of(follower)
        element = element.getparent()
        if element is None or sum(1 for _ in element.iter("img")) > 1:
            return ""
    return ""


def _image(
    source: str, identity: str, page: str, container: Container, extracted: Extracted, trouble: Trouble
) -> Medium:
    if source.startswith("data:"):
        return Medium(identity, problem="picture is written into the page")
    if "://" in source or source.startswith("//"):
        return Medium(identity, url=source)
    name = unquote(source.partition("?")[0].partition("#")[0])
    place = posixpath.normpath(posixpath.join(posixpath.dirname(page), name))
    if place.startswith(("..", "/")):
        trouble.add("path leaves its folder", f"{page}: {source}"[:200])
        return Medium(identity, problem="path leaves its folder")
    try:
        return medium(container, place, identity, extracted, trouble)
    except Unsafe as why:
        return Medium(identity, problem=str(why))
