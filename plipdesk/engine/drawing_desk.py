"""What the engine answers about the things drawn over a slide: annotations, and where its patches lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plipdesk.base.errors import UsageProblem
from plipdesk.base.files import atomic_write
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import EmbeddingRow, SlideFilter
from plipdesk.engine import messages as m
from plipdesk.engine.events import EventHub
from plipdesk.index.vectors import VectorFile

Answers = dict[type[m.Message], Callable[[Any], m.Message]]


class DrawingDesk:
    """Thread-safe, as the catalogue is."""

    def __init__(
        self,
        catalogue: Catalogue,
        workspace: Workspace,
        events: EventHub,
        submit: Callable[[m.SubmitJob], m.Message],
    ) -> None:
        self._submit = submit
        self._catalogue = catalogue
        self._workspace = workspace
        self._events = events

    def quick_answers(self) -> Answers:
        """What is answered on the peer's thread."""
        return {m.ListAnnotations: self._list, m.EditAnnotations: self._edit}

    def slow_answers(self) -> Answers:
        """What reads files."""
        return {m.GetPatches: self._patches, m.CorrectTissue: self._correct}

    def _list(self, asked: m.ListAnnotations) -> m.Message:
        return m.AnnotationList(asked.slide_id, tuple(self._catalogue.annotations.of_slide(asked.slide_id)))

    def _edit(self, asked: m.EditAnnotations) -> m.Message:
        self._catalogue.annotations.edit(asked.slide_id, asked.put, asked.remove)
        event = m.AnnotationsChanged(asked.slide_id, asked.origin)
        self._events.post(("annotations", asked.slide_id, asked.origin), event)
        return m.Done()

    def _patches(self, asked: m.GetPatches) -> m.Message:
        slide = self._catalogue.slides.resolve(asked.slide_id)
        rows = self._catalogue.embeddings.select(None, SlideFilter(slide_ids=(slide.slide_id,)))
        file = self._corrections(slide.slide_id)
        rule = str(file) if file.exists() else "auto"
        return m.PatchList(slide.slide_id, tuple(self._places(row) for row in rows), rule)

    def _correct(self, asked: m.CorrectTissue) -> m.Message:
        slide = self._catalogue.slides.resolve(asked.slide_id)
        rows = self._catalogue.embeddings.select(None, SlideFilter(slide_ids=(slide.slide_id,)))
        if not rows:
            raise UsageProblem("This slide is not indexed yet.", path=slide.path, remedy="Index it first.")
        file = self._corrections(slide.slide_id)
        if file.exists():
            document = json.loads(file.read_text(encoding="utf-8"))
        else:
            document = {"base": "all" if rows[-1].tiling.get("tissue") == "all" else "auto", "steps": []}
        document["steps"].append({"add": asked.add, "polygons": asked.polygons})
        text = json.dumps(document)
        with atomic_write(file) as stream:
            stream.write(text.encode())
        params = {
            "paths": [slide.path],
            "tissue": str(file),
            "encoder": rows[-1].encoder_id,
            "overlap": rows[-1].tiling.get("overlap", 0.0),
            "patch_mpp_um": [rows[-1].patch_mpp_um],
        }
        return self._submit(m.SubmitJob("index", params, priority=1))

    def _corrections(self, slide_id: str) -> Path:
        return self._workspace.masks / f"{slide_id}.tissue.json"

    def _places(self, row: EmbeddingRow) -> m.PatchPlaces:
        vectors = VectorFile.open(self._workspace.root / row.file, expect_rows=row.patches)
        return m.PatchPlaces(
            row.tiling_id,
            row.encoder_id,
            row.tiling,
            row.size0_px,
            vectors.x0_px.astype("<i4").tobytes(),
            vectors.y0_px.astype("<i4").tobytes(),
        )
