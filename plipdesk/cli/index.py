"""``plipdesk index``: make slides searchable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.base.progress import Json
from plipdesk.cli.commands import command
from plipdesk.cli.places import absolute
from plipdesk.cli.session import Session
from plipdesk.cli.watching import follow_job

DONE_STATES = ("indexed", "unchanged")


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "index")
    def index(
        session: Session,
        paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Slides, pictures or folders of them.")],
        collection: Annotated[str | None, typer.Option(help="Put the slides into this collection.")] = None,
        case: Annotated[str | None, typer.Option(help="The case (patient or specimen) the slides belong to.")] = None,
        encoder: Annotated[str | None, typer.Option(help="Encoder id; see 'plipdesk models list'.")] = None,
        mpp: Annotated[float | None, typer.Option(help="Level-0 µm per pixel, where the file does not say.")] = None,
        patch_mpp: Annotated[
            str | None, typer.Option(metavar="X,Y", help="µm per pixel of the patches; several make a tiling each.")
        ] = None,
        overlap: Annotated[
            float | None,
            typer.Option(min=0, max=0.9, help="Share by which neighbouring patches overlap; none if nothing is said."),
        ] = None,
        tissue: Annotated[
            str | None, typer.Option(help="auto (if nothing is said), all, or a GeoJSON file with outlines.")
        ] = None,
        channels: Annotated[
            str | None,
            typer.Option(
                metavar="R,G,B",
                help="One channel (grey) or three, counted from 0, of fluorescence and other files that are no 8-bit "
                "colour; other files are read as they are.",
            ),
        ] = None,
        keep_old: Annotated[
            bool,
            typer.Option("--keep-old", help="Keep patches that were cut otherwise (µm, overlap, tissue) before, too."),
        ] = False,
        recursive: Annotated[bool, typer.Option("--recursive", help="Look into folders inside folders.")] = False,
    ) -> int:
        """Cut slides into patches and store what the encoder sees in them.

        A slide that was cut by another --overlap or --tissue before is cut anew, and its new patches take the place of
        those of the same scale; where neither is given it stays as it is. Where a slide's own µm per pixel are
        corrected with --mpp, all its patches are cut anew.
        """
        there = [absolute(path) for path in paths if path.expanduser().exists()]
        missing = [absolute(path) for path in paths if not path.expanduser().exists()]
        if not there:
            raise NotFound("This file or folder does not exist.", path=missing[0], remedy="Check the path.")
        if mpp is not None and not 0.01 <= mpp <= 100:
            raise UsageProblem(f"{mpp} is not a slide's MPP.", remedy="Give 0.01 to 100 µm per pixel with --mpp.")
        if tissue is not None and tissue not in ("auto", "all"):
            outlines = absolute(Path(tissue))
            if not outlines.is_file():
                raise NotFound("The file with tissue outlines does not exist.", path=outlines, remedy="Check --tissue.")
            tissue = str(outlines)
        params: dict[str, Json] = {
            "paths": [str(path) for path in there],
            "collection": collection,
            "case": case,
            "encoder": encoder,
            "mpp_um": mpp,
            "patch_mpp_um": numbers(patch_mpp, "--patch-mpp"),
            "overlap": overlap,
            "tissue": tissue,
            "recursive": recursive,
            "channels": channel_numbers(channels),
            "keep_old": keep_old,
        }
        job = follow_job(session, "index", params)
        document = dict(job.result)
        document["slides"] = [*document.get("slides", ()), *(_missing(path) for path in missing)]
        if session.as_json:
            session.answer(document)
        else:
            _tell(session, document)
        return 0 if all(slide["status"] in DONE_STATES for slide in document["slides"]) else 1


def numbers(text: str | None, option: str) -> list[float]:
    """The numbers above zero in ``"X,Y"``; an empty list for None.

    Raises:
        UsageProblem: something else stands there.
    """
    try:
        found = [float(part) for part in text.split(",")] if text else []
    except ValueError as error:
        raise UsageProblem(f"{option} takes numbers such as 0.5,1.0, not {text!r}.") from error
    if any(not 0 < number < 1000 for number in found):
        raise UsageProblem(f"{option} takes numbers above zero, not {text!r}.")
    return found


def channel_numbers(text: str | None) -> list[int]:
    """The channels in ``"R,G,B"`` or ``"N"``; an empty list for None.

    Raises:
        UsageProblem: something else stands there.
    """
    try:
        found = [int(part) for part in text.split(",")] if text else []
    except ValueError as error:
        raise UsageProblem(f"--channels takes numbers such as 0 or 0,1,2, not {text!r}.") from error
    if text and (len(found) not in (1, 3) or min(found) < 0):
        raise UsageProblem(f"--channels takes one or three channels, counted from 0, not {text!r}.")
    return found


def _missing(path: Path) -> dict[str, Any]:
    return {
        "path": str(path), "slide_id": None, "status": "failed", "reason": "This file or folder does not exist.",
        "patches": 0, "tissue_mm2": None, "seconds": 0.0,
    }  # fmt: skip


def _tell(session: Session, document: dict[str, Any]) -> None:
    for slide in document["slides"]:
        line = f"{slide['status']:>9}  {slide['path']}"
        if slide["status"] in DONE_STATES:
            area = "" if slide["tissue_mm2"] is None else f", {slide['tissue_mm2']:.1f} mm² of tissue"
            line += f"  {slide['patches']} patches{area}"
        else:
            line += f"\n           {slide['reason']}"
        session.say(line)
    session.say(
        f"{document['patches']} new patches in {document['seconds']:.1f} s "
        f"({document['patches_per_second']:.1f} a second) with {document['encoder']}."
    )
