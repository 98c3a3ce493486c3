"""How a search's answer is printed: one JSON document, or a table for people."""

from __future__ import annotations

from typing import Any

from plipdesk.catalogue.rows import SlideFilter
from plipdesk.cli.session import Session
from plipdesk.search.query import Hit, Leakage, Query, SearchResult

ORIGINS = ("slide", "scanner", "site")


def result_document(result: SearchResult) -> dict[str, Any]:
    """The answer as ``--json`` prints it."""
    document: dict[str, Any] = {
        "query": _query_document(result.query),
        "encoder": result.encoder,
        "hits": [_hit_document(hit) for hit in result.hits],
        "stands_out": result.stands_out,
        "searched": {"patches": result.searched.patches, "slides": result.searched.slides},
        "timing_ms": {
            "encode": round(result.timing_ms.encode, 3),
            "search": round(result.timing_ms.search, 3),
            "total": round(result.timing_ms.total, 3),
        },
        "notes": list(result.notes),
    }
    if result.leakage is not None:
        document["leakage"] = _leakage_document(result.leakage)
    return document


def _leakage_document(leakage: Leakage) -> dict[str, Any]:
    shares = {origin: getattr(leakage, origin) for origin in ORIGINS}
    return {"neighbours": leakage.neighbours} | {
        origin: share and {"share": round(share.share, 4), "chance": round(share.chance, 4), "hits": share.hits}
        for origin, share in shares.items()
    }


def _query_document(query: Query) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": part.text, "weight": part.weight} for part in query.texts]
    parts += [{"image": part.path, "weight": part.weight} for part in query.pictures]
    for region_part in query.regions:
        shape: dict[str, Any] = {"slide": region_part.slide, "weight": region_part.weight}
        if region_part.box is not None:
            shape["box"] = list(region_part.box)
        if region_part.polygon is not None:
            shape["polygon"] = [list(point) for point in region_part.polygon]
        parts.append(shape)
    parts += [{"slide": part.slide, "weight": part.weight} for part in query.slides]
    return {"parts": parts, "k": query.k, "group": query.group}


def _hit_document(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank, "score": hit.score, "percentile": hit.percentile, "slide_id": hit.slide_id,
        "path": hit.path, "case": hit.case, "x0_px": hit.x0_px, "y0_px": hit.y0_px, "size0_px": hit.size0_px,
        "mpp_um": hit.mpp_um,
    }  # fmt: skip


def _why_empty(result: SearchResult) -> str:
    if result.searched.patches:
        return "No hits."
    if result.query.filters != SlideFilter():
        return "No slide that is indexed passes the filters."
    if result.notes:
        return f"Nothing is indexed with {result.encoder}."
    return "Nothing is indexed yet. Start with: plipdesk index PATH"


def tell_result(session: Session, result: SearchResult) -> None:
    from rich.table import Table

    for note in result.notes:
        session.remark(note)
    if not result.hits:
        session.say(_why_empty(result))
        return
    if not result.stands_out:
        session.say("Nothing here looks like this. The nearest patches, for what they are worth:")
    table = Table("rank", "score", "percentile", "slide", "case", "x0_px", "y0_px", "size0_px")
    for hit in result.hits:
        table.add_row(
            str(hit.rank), f"{hit.score:.3f}", f"{hit.percentile:.1f}", hit.name, hit.case or "",
            str(hit.x0_px), str(hit.y0_px), f"{hit.size0_px:.0f}",
        )  # fmt: skip
    session.table().print(table)
    if result.leakage is not None:
        session.say(leakage_in_words(result.leakage))
    session.remark(
        f"{result.searched.patches} patches of {result.searched.slides} slides searched in "
        f"{result.timing_ms.total:.0f} ms with {result.encoder}."
    )


def leakage_in_words(leakage: Leakage) -> str:
    """``Of each hit's 10 nearest neighbours: same slide 64 % (chance 12 %), …``."""
    told = [
        f"same {origin} {share.share:.0%} (chance {share.chance:.0%})" if share is not None else f"{origin} not known"
        for origin, share in ((origin, getattr(leakage, origin)) for origin in ORIGINS)
    ]
    return f"Of each hit's {leakage.neighbours} nearest neighbours: {', '.join(told)}."
