"""What all search commands share: filters, grouping, and asking the engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from plipdesk.base.errors import NotFound
from plipdesk.catalogue.rows import SlideFilter
from plipdesk.cli.answers import result_document, tell_result
from plipdesk.cli.commands import command
from plipdesk.cli.index import numbers
from plipdesk.cli.places import slide_place
from plipdesk.cli.session import Session
from plipdesk.engine import messages
from plipdesk.search.query import Query, TextPart

# Words that must not be there count half: a full weight would rank by what is absent, not by what is asked for.
NOT_WEIGHT = -0.5

Not = Annotated[list[str] | None, typer.Option("--not", metavar="WORDS", help="What it must not look like.")]
Count = Annotated[int, typer.Option("-k", min=1, max=10_000, help="How many hits (groups, with --group).")]
Grouping = Annotated[
    Literal["patch", "slide", "case"], typer.Option("--group", help="One row per patch, slide or case.")
]
PerGroup = Annotated[int, typer.Option("--per-group", min=1, max=1000, help="Patches shown of each slide or case.")]
NoMerge = Annotated[bool, typer.Option("--no-merge", help="Keep overlapping neighbours of one spot apart.")]
IncludeQuery = Annotated[bool, typer.Option("--include-query", help="Keep the query's own patches among the hits.")]
Encoder = Annotated[str | None, typer.Option(help="Encoder id; see 'plipdesk models list'.")]
Many = list[str] | None
InCollection = Annotated[Many, typer.Option(metavar="NAME", help="Only slides of this collection.")]
InCase = Annotated[Many, typer.Option(metavar="CASE", help="Only slides of this case.")]
InSlide = Annotated[Many, typer.Option(metavar="SLIDE", help="Only this slide.")]
NotSlide = Annotated[Many, typer.Option(metavar="SLIDE", help="Not this slide.")]
NotCase = Annotated[Many, typer.Option(metavar="CASE", help="Not this case.")]
Stain = Annotated[Many, typer.Option(help="Only slides of this stain.")]
Organ = Annotated[Many, typer.Option(help="Only slides of this organ.")]
MppMin = Annotated[float | None, typer.Option(help="Only slides of at least this level-0 MPP, in µm.")]
MppMax = Annotated[float | None, typer.Option(help="Only slides of at most this level-0 MPP, in µm.")]
NameGlob = Annotated[Many, typer.Option("--name", metavar="GLOB", help="Only slides whose name matches.")]
Since = Annotated[str | None, typer.Option(metavar="DATE", help="Only slides added on or after this day.")]
Before = Annotated[str | None, typer.Option(metavar="DATE", help="Only slides added before this day.")]
PatchMpp = Annotated[str | None, typer.Option(metavar="X,Y", help="Only patches cut at these µm per pixel.")]
MeasureLeakage = Annotated[
    bool,
    typer.Option("--leakage", help="Measure how far neighbours come from the same slide, scanner or site."),
]
SaveDir = Annotated[Path | None, typer.Option(metavar="DIR", help="Save the hits' pictures here.")]


def ask(
    session: Session,
    parts: dict[str, Any],
    not_words: Not = None,
    k: Count = 20,
    grouping: Grouping = "patch",
    per_group: PerGroup = 1,
    no_merge: NoMerge = False,
    include_query: IncludeQuery = False,
    encoder: Encoder = None,
    in_collection: InCollection = None,
    in_case: InCase = None,
    in_slide: InSlide = None,
    not_slide: NotSlide = None,
    not_case: NotCase = None,
    stain: Stain = None,
    organ: Organ = None,
    mpp_min: MppMin = None,
    mpp_max: MppMax = None,
    name: NameGlob = None,
    since: Since = None,
    before: Before = None,
    patch_mpp: PatchMpp = None,
    save_dir: SaveDir = None,
    leakage: MeasureLeakage = False,
) -> int:
    texts = (*parts.pop("texts", ()), *(TextPart(words, NOT_WEIGHT) for words in not_words or ()))
    query = Query(
        texts=texts,
        **parts,
        k=k,
        group=grouping,
        per_group=per_group,
        merge_neighbours=not no_merge,
        include_query=include_query,
        encoder=encoder,
        leakage=leakage,
        patch_mpp_um=tuple(numbers(patch_mpp, "--patch-mpp")),
        filters=SlideFilter(
            collections=tuple(in_collection or ()),
            cases=tuple(in_case or ()),
            slide_ids=_ids(session, in_slide),
            not_slide_ids=_ids(session, not_slide),
            not_cases=tuple(not_case or ()),
            stains=tuple(stain or ()),
            organs=tuple(organ or ()),
            mpp_min_um=mpp_min,
            mpp_max_um=mpp_max,
            name_globs=tuple(name or ()),
            since=since,
            before=before,
        ),
    )
    with session.engine() as engine:
        answer = engine.request(messages.Search(query=query))
    assert isinstance(answer, messages.SearchAnswer)
    result = answer.result
    if save_dir is not None:
        from plipdesk.search.pictures import save_hit_pictures

        save_hit_pictures(result.hits, save_dir)
    if session.as_json:
        session.answer(result_document(result))
    else:
        tell_result(session, result)
    return 0


def asks(app: typer.Typer, name: str) -> Callable[[Callable[..., dict[str, Any]]], Any]:
    """Declare a search command: the function gives the parts of the query, all other options are shared."""

    def declare(parts_of: Callable[..., dict[str, Any]]) -> Any:
        own = list(inspect.signature(parts_of, eval_str=True).parameters.values())
        shared = list(inspect.signature(ask, eval_str=True).parameters.values())[2:]

        def run(session: Session, **values: Any) -> int:
            parts = parts_of(**{parameter.name: values.pop(parameter.name) for parameter in own})
            return ask(session, parts, **values)

        run.__doc__ = parts_of.__doc__
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter("session", inspect.Parameter.POSITIONAL_OR_KEYWORD),
                *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in [*own, *shared]),
            ]
        )
        return command(app, name)(run)

    return declare


def _ids(session: Session, names: list[str] | None) -> tuple[str, ...]:
    if not names:
        return ()
    catalogue = session.catalogue()
    if catalogue is None:
        raise NotFound(
            f"No slide of this workspace is called {names[0]!r}.", remedy="Index it first: plipdesk index PATH."
        )
    with catalogue:
        return tuple(catalogue.slides.resolve(slide_place(name)).slide_id for name in names)
