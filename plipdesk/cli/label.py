"""``plipdesk label``: label every patch of slides with a list of words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import SlideFilter
from plipdesk.cli.commands import command
from plipdesk.cli.index import DONE_STATES, numbers
from plipdesk.cli.places import absolute
from plipdesk.cli.session import Session
from plipdesk.cli.watching import follow_job


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "label")
    def label(
        session: Session,
        paths: Annotated[
            list[str] | None, typer.Argument(metavar="PATH…", help="Slides, folders, or slides by id or name.")
        ] = None,
        *,
        labels: Annotated[
            str,
            typer.Option(metavar="FILE|NAME", help="A label set; see 'plipdesk labels list'. NAME:WAY its prompts."),
        ],
        in_collection: Annotated[
            list[str] | None, typer.Option(metavar="NAME", help="All slides of this collection, too.")
        ] = None,
        encoder: Annotated[str | None, typer.Option(help="Encoder id; see 'plipdesk models list'.")] = None,
        none_of_these: Annotated[
            bool,
            typer.Option("--none-of-these", help="Let a patch be none of the classes, where random words fit better."),
        ] = False,
        smooth: Annotated[
            int, typer.Option(metavar="N", min=0, max=20, help="Average scores over neighbours up to N patches away.")
        ] = 0,
        choice: Annotated[
            Literal["single", "multi", "hierarchical"],
            typer.Option(help="One class a patch, any number, or from parents down to children."),
        ] = "single",
        score: Annotated[
            Literal["probability", "cosine", "margin"],
            typer.Option(help="What tables and maps tell of how sure it is."),
        ] = "probability",
        unsure: Annotated[
            float, typer.Option(metavar="RATIO", min=1, help="Unsure below: how much likelier the best is; 1: never.")
        ] = 1.05,
        threshold: Annotated[
            float,
            typer.Option(min=0.001, max=0.999, help="With --choice multi: probability from which a class is given."),
        ] = 0.5,
        patch_mpp: Annotated[
            str | None, typer.Option(metavar="X,Y", help="Tilings to label, in µm per pixel; several are averaged.")
        ] = None,
        seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap and of random patches.")] = 0,
        geojson: Annotated[Path | None, typer.Option(metavar="FILE", help="Write polygons for QuPath.")] = None,
        tiles: Annotated[bool, typer.Option("--tiles", help="GeoJSON: a tile for each patch, not polygons.")] = False,
        csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table.")] = None,
        patches_csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a row for each patch.")] = None,
        heatmap: Annotated[Path | None, typer.Option(metavar="DIR", help="Write heat maps and label maps.")] = None,
        interpolate: Annotated[
            bool, typer.Option("--interpolate", help="Heat maps: smooth between patches, not a square for each.")
        ] = False,
        report: Annotated[
            Path | None, typer.Option(metavar="FILE.html", help="Write a report with pictures, one file.")
        ] = None,
        dicom: Annotated[
            Path | None, typer.Option(metavar="DIR", help="Of slides that came as DICOM: write DICOM results.")
        ] = None,
        with_patient: Annotated[
            bool, typer.Option("--with-patient", help="DICOM: keep the slide's patient and specimen fields.")
        ] = False,
        mpp: Annotated[float | None, typer.Option(help="Level-0 µm per pixel, where the file does not say.")] = None,
        recursive: Annotated[bool, typer.Option("--recursive", help="Look into folders inside folders.")] = False,
    ) -> int:
        """Label every patch of slides with a list of words. For research use only. Not for diagnosis."""
        from plipdesk.labelling.shelf import find_label_set

        chosen, way = find_label_set(labels, session.workspace)
        places = {
            "geojson": geojson,
            "csv": csv,
            "patches_csv": patches_csv,
            "heatmap": heatmap,
            "report": report,
            "dicom": dicom,
        }
        out: dict[str, Json] = {name: str(absolute(path)) for name, path in places.items() if path is not None}
        params: dict[str, Json] = {
            "labels": chosen.model_dump(mode="json"),
            "encoder": encoder,
            "settings": {
                "choice": choice, "score": score, "none_of_these": none_of_these, "unsure_ratio": unsure,
                "smooth": smooth, "threshold": threshold, "way": way, "seed": seed,
                "patch_mpp_um": numbers(patch_mpp, "--patch-mpp"),
            },
            "out": out | {"tiles": tiles, "smooth_maps": interpolate, "with_patient": with_patient},
        }  # fmt: skip
        with session.engine():  # one engine for both jobs
            asked = numbers(patch_mpp, "--patch-mpp")
            named = [*(paths or ()), *_of_collections(session, in_collection or [])]
            slides, index_failures = _indexed(session, named, encoder, mpp, recursive, asked)
            document = dict(follow_job(session, "label", params | {"slides": slides}).result)
        document["failed"] = [*index_failures, *document.get("failed", ())]
        if session.as_json:
            session.answer(document)
        else:
            _tell(session, document)
        return 1 if document["failed"] else 0


def _of_collections(session: Session, names: list[str]) -> list[str]:
    """Ids of the slides of collections."""
    catalogue = session.catalogue() if names else None
    if catalogue is None:
        return []
    with catalogue:
        return [slide.slide_id for slide in catalogue.slides.select(SlideFilter(collections=tuple(names)))]


def _indexed(
    session: Session, names: list[str], encoder: str | None, mpp: float | None, recursive: bool, patch_mpp: list[float]
) -> tuple[list[str], list[dict[str, Json]]]:
    """Ids of the slides that are named; those that are not indexed with this encoder are indexed first."""
    if not names:
        raise UsageProblem("No slide was named.", remedy="Name slides, folders, or a collection that holds some.")
    known, missing = _look_up(session, names, encoder, recursive, patch_mpp)
    failures: list[dict[str, Json]] = []
    if missing:
        if mpp is not None and not 0.01 <= mpp <= 100:
            raise UsageProblem(f"{mpp} is not a slide's MPP.", remedy="Give 0.01 to 100 µm per pixel with --mpp.")
        job = follow_job(
            session, "index",
            {"paths": [str(path) for path in missing], "encoder": encoder, "mpp_um": mpp, "patch_mpp_um": patch_mpp},
        )  # fmt: skip
        by_path = {slide["path"]: slide for slide in job.result.get("slides", ())}
        for slide in by_path.values():
            if slide["status"] not in DONE_STATES:
                failures.append({"slide": slide["path"], "reason": slide["reason"]})
        for path in missing:
            slide = by_path.get(str(path))
            if slide is not None and slide["status"] in DONE_STATES:
                known[str(path)] = slide["slide_id"]
    ids = list(dict.fromkeys(slide_id for slide_id in known.values() if slide_id))
    if not ids:
        raise NotFound(
            "None of these slides could be indexed.", remedy=str(failures[0]["reason"]) if failures else None
        )
    return ids, failures


def _look_up(
    session: Session, names: list[str], encoder: str | None, recursive: bool, patch_mpp: list[float]
) -> tuple[dict[str, str], list[Path]]:
    """For each slide that is named, in order, its id where it is indexed, else an empty one; and the files to index."""
    from plipdesk.encoders.loading import find_encoder
    from plipdesk.slides.finding import find_slides

    known: dict[str, str] = {}
    missing: list[Path] = []
    catalogue = session.catalogue()
    files: dict[str, Path | None] = {}
    for name in names:
        path = Path(name).expanduser()
        if path.exists():
            files |= {str(found): found for found in find_slides([absolute(path)], recursive=recursive)}
        elif catalogue is None:
            raise NotFound("This file or folder does not exist.", path=absolute(path), remedy="Check the path.")
        else:
            files[name] = None
    try:
        chosen = encoder or (None if catalogue is None else catalogue.settings.get("encoder"))
        fingerprint = find_encoder(chosen, session.workspace.models).card.fingerprint("fp32")
        for name, file in files.items():
            row = None
            if catalogue is not None:
                row = catalogue.slides.resolve(name) if file is None else catalogue.slides.at_path(file)
            if row is not None and file is not None:
                stat = file.stat()
                if (stat.st_size, stat.st_mtime_ns) != (row.file_bytes, row.file_mtime_ns):
                    row = None
            if row is not None and catalogue is not None:
                own = catalogue.embeddings.select(fingerprint, SlideFilter(slide_ids=(row.slide_id,)))
                wanted = patch_mpp or [one.patch_mpp_um for one in own[:1]]
                if own and all(any(abs(one.patch_mpp_um / mpp - 1) <= 0.01 for one in own) for mpp in wanted):
                    known[name] = row.slide_id
                    continue
            known[str(file or (row.path if row is not None else name))] = ""
            missing.append(file if file is not None else Path(row.path if row is not None else name))
    finally:
        if catalogue is not None:
            catalogue.close()
    return known, missing


def _tell(session: Session, document: dict[str, Any]) -> None:
    from rich.table import Table

    several = [(slide["path"], slide) for slide in document["slides"]]
    if "together" in document:
        several.append((f"All {len(several)} slides together", document["together"]))
    for title, part in several:
        table = Table(
            "class", "patches", "area (mm²)", "share", "95 % interval", f"mean {document['settings']['score']}"
        )
        for row in part["classes"]:
            if row["patches"]:
                interval = f"{100 * row['share_low']:.1f} – {100 * row['share_high']:.1f} %"
                score = "" if row["mean_score"] is None else f"{row['mean_score']:.3f}"
                table.add_row(
                    row["name"], str(row["patches"]), f"{row['area_mm2']:.2f}", f"{100 * row['share']:.1f} %", interval,
                    score,
                )  # fmt: skip
        session.say(title)
        session.table().print(table)
    for failure in document["failed"]:
        session.say(f"failed  {failure['slide']}: {failure['reason']}")
    for note in document["notes"]:
        session.remark(note)
    for name, written in document["written"].items():
        session.say(f"{name}: {written['path']}")
    session.remark(f"Labelled with {document['labels']} by {document['encoder']}. {_NOTICE}")


_NOTICE = "For research use only. Not for diagnosis."
