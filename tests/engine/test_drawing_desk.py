"""Annotations and patches as the engine answers for them."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plipdesk.base.errors import NotFound
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import AnnotationRow
from plipdesk.engine import messages as m
from plipdesk.engine.drawing_desk import DrawingDesk
from plipdesk.engine.events import EventHub
from plipdesk.index.vectors import write_vectors
from tests.catalogue.helpers import embedding, slide


def submitted(asked: m.SubmitJob) -> m.Message:
    """What the desk submits comes back, to be looked at."""
    return asked


POINT = {"type": "Point", "coordinates": [3.5, 4]}


def test_annotations_are_edited_and_everybody_is_told(tmp_path: Path) -> None:
    told: list[m.Message] = []
    events = EventHub(told.append)
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        catalogue.slides.put(slide(1))
        desk = DrawingDesk(catalogue, Workspace(tmp_path), events, submitted)
        answers = desk.quick_answers()
        row = AnnotationRow(str(uuid.UUID(int=5)), slide(1).slide_id, "point", POINT, "mitosis")
        assert answers[m.EditAnnotations](m.EditAnnotations(row.slide_id, (row,), origin="me")) == m.Done()
        found = answers[m.ListAnnotations](m.ListAnnotations(row.slide_id))
        assert isinstance(found, m.AnnotationList)
        (kept,) = found.annotations
        assert replace(kept, created_at="", changed_at="") == row
        assert m.decode(m.encode(m.Envelope(1, found))).body == found
        events.close()
    assert told == [m.AnnotationsChanged(row.slide_id, "me")]


def test_the_places_of_patches_come_from_the_vectors(tmp_path: Path) -> None:
    events = EventHub(lambda _: None)
    row = embedding(1, patches=3)
    x0_px, y0_px = np.array([0, 64, 5], np.int32), np.array([7, 7, 80], np.int32)
    write_vectors(
        tmp_path / row.file, embeddings=np.eye(3, 32, dtype=np.float16), x0_px=x0_px, y0_px=y0_px, settings={}
    )
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        catalogue.embeddings.commit(slide(1), [row])
        answer = DrawingDesk(catalogue, Workspace(tmp_path), events, submitted).slow_answers()[m.GetPatches]
        found = answer(m.GetPatches(row.slide_id))
        assert isinstance(found, m.PatchList)
        (places,) = found.tilings
        assert np.frombuffer(places.x0_px, "<i4").tolist() == [0, 64, 5]
        assert np.frombuffer(places.y0_px, "<i4").tolist() == [7, 7, 80]
        assert (places.size0_px, places.tiling_id) == (64.0, row.tiling_id)
        with pytest.raises(NotFound):
            answer(m.GetPatches("0" * 32))
    events.close()


def test_a_correction_is_kept_and_the_slide_is_cut_anew(tmp_path: Path) -> None:
    events = EventHub(lambda _: None)
    square = ((((0.0, 0.0), (64.0, 0.0), (64.0, 64.0)),),)
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        catalogue.embeddings.commit(slide(1), [embedding(1)])
        answer = DrawingDesk(catalogue, Workspace(tmp_path), events, submitted).slow_answers()[m.CorrectTissue]
        answer(m.CorrectTissue(slide(1).slide_id, True, square))
        job = answer(m.CorrectTissue(slide(1).slide_id, False, square))
        assert isinstance(job, m.SubmitJob)
        assert job.params["paths"] == [slide(1).path]
        document = json.loads(Path(job.params["tissue"]).read_text())
        assert [step["add"] for step in document["steps"]] == [True, False]
        assert document["base"] == "auto"
    events.close()
