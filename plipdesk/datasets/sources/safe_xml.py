"""XML and HTML from elsewhere: no entity is resolved, no DTD loaded, no network asked."""

from __future__ import annotations

from typing import Any

from plipdesk.datasets.sources.container import Unsafe

MAX_DOCUMENT_BYTES = 64 << 20
_ENTITY = "<!ENTITY"
_ENTITIES = tuple(_ENTITY.encode(code) for code in ("ascii", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"))


def parse_xml(content: bytes) -> Any:
    """The root element of an XML document.

    Raises:
        Unsafe: it declares entities, is too large, or is no XML.
    """
    from lxml import etree

    if len(content) > MAX_DOCUMENT_BYTES:
        raise Unsafe("too large")
    if any(mark in content for mark in _ENTITIES):
        raise Unsafe("XML with entities of its own")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False)
    try:
        return etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unsafe("broken XML") from error


def parse_html(content: bytes) -> Any:
    """The root element of an HTML page, as well as it can be read; None where there is nothing in it.

    Raises:
        Unsafe: it is too large.
    """
    from lxml import etree, html

    if len(content) > MAX_DOCUMENT_BYTES:
        raise Unsafe("too large")
    encoding = "utf-8" if _is_utf8(content) else None
    parser = html.HTMLParser(no_network=True, huge_tree=False, encoding=encoding)
    try:
        return html.fromstring(content, parser=parser) if content.strip() else None
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None


def words_of(element: Any) -> str:
    """All text inside an element, on one line."""
    return " ".join("".join(piece for piece in element.itertext() if isinstance(piece, str)).split())


def local_name(element: Any) -> str:
    """An element's name without its namespace; empty for comments and instructions."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
