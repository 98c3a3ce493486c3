"""What the engine answers about labels: label sets, one slide labelled at once, corrections of patches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from plipdesk.base.errors import UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.encoders.protocol import Encoder
from plipdesk.engine import messages as m

Answers = dict[type[m.Message], Callable[[Any], m.Message]]

MAX_SHARES_BYTES = 40 * 1024 * 1024
"""Probabilities of all classes of a slide that still travel in one message."""
ASKED_NEXT = 60


class LabellingDesk:
    """Thread-safe; slides are labelled one after the other."""

    def __init__(
        self, catalogue: Catalogue, workspace: Workspace, encoder_called: Callable[[str | None], Encoder]
    ) -> None:
        self._catalogue = catalogue
        self._workspace = workspace
        self._encoder_called = encoder_called
        self._one_at_a_time = threading.Lock()

    def quick_answers(self) -> Answers:
        """What is answered on the peer's thread."""
        return {m.CorrectPatches: self._correct, m.ListCorrections: self._list}

    def slow_answers(self) -> Answers:
        """What reads files, and may load an encoder."""
        return {m.LabelSlide: self._label, m.ListLabelSets: lambda _: self._label_sets(), m.KeepLabelSet: self._keep}

    def _correct(self, asked: m.CorrectPatches) -> m.Message:
        self._catalogue.corrections.edit(asked.put, asked.remove)
        return m.Done()

    def _list(self, asked: m.ListCorrections) -> m.Message:
        return m.CorrectionList(tuple(self._catalogue.corrections.select(asked.label_set, asked.filters)))

    def _label_sets(self) -> m.Message:
        from plipdesk.labelling.shelf import list_label_sets

        found = []
        for one in list_label_sets(self._workspace):
            document = one.labels.model_dump(mode="json")
            for entry, colour in zip(document["classes"], one.labels.colours, strict=True):
                entry["colour"] = colour
            found.append(m.LabelSetState(one.labels.name, one.labels.title, one.labels.version, one.origin, document))
        return m.LabelSetList(tuple(found))

    def _keep(self, asked: m.KeepLabelSet) -> m.Message:
        from plipdesk.labelling.label_sets import checked_label_set
        from plipdesk.labelling.shelf import keep_label_set

        keep_label_set(checked_label_set(asked.labels), self._workspace)
        return self._label_sets()

    def _label(self, asked: m.LabelSlide) -> m.Message:
        from plipdesk.labelling.label_sets import NONE_OF_THESE, UNSURE, checked_label_set
        from plipdesk.labelling.labelled import label_slide
        from plipdesk.labelling.learning import ask_next, correction_numbers, gather_examples, learn
        from plipdesk.labelling.palette import NONE_COLOUR, UNSURE_COLOUR
        from plipdesk.labelling.session import make_labeller, open_slides
        from plipdesk.labelling.settings import LabelSettings

        settings, labels = LabelSettings.of(asked.settings), checked_label_set(asked.labels)
        if labels.none_of_these:
            settings = settings.model_copy(update={"none_of_these": True})
        with self._one_at_a_time:
            encoder = self._encoder_called(asked.encoder)
            slides, _ = open_slides(self._catalogue, self._workspace, [asked.slide_id], settings, encoder)
            (slide, tilings) = slides[0]
            labeller = make_labeller(encoder, labels, settings, slides)
            words = ""
            if settings.use_corrections:
                examples = gather_examples(
                    self._catalogue, self._workspace, labels, encoder.fingerprint, seed=settings.seed
                )
                labeller, learned = learn(labeller, examples, encoder.fingerprint)
                words = learned["words"]
            labelled, _ = label_slide(labeller, slide, tilings)
        decision = labelled.decision
        shares = decision.shares.astype("<f2")
        if shares.nbytes > MAX_SHARES_BYTES:
            raise UsageProblem(
                "This slide has too many patches for a label set of so many classes to be shown.",
                remedy="Choose fewer classes, or use plipdesk label.",
            )
        corrected = correction_numbers(self._catalogue, labels, labelled)
        order = ask_next(
            tilings[0].file.embeddings, decision.margin, ASKED_NEXT, known=np.flatnonzero(corrected >= 0).tolist()
        )
        names = (*labels.names, NONE_OF_THESE, UNSURE)
        notes = [words] if words else []
        return m.SlideLabelled(
            slide_id=slide.slide_id,
            label_set=labels.name,
            names=names,
            colours=(*labels.colours, NONE_COLOUR, UNSURE_COLOUR),
            encoder=encoder.card.id,
            size0_px=labelled.size0_px,
            x0_px=labelled.x0_px.astype("<i4").tobytes(),
            y0_px=labelled.y0_px.astype("<i4").tobytes(),
            label=decision.label.astype("<i4").tobytes(),
            best=decision.best.astype("<i4").tobytes(),
            probability=decision.probability.astype("<f4").tobytes(),
            shares=shares.tobytes(),
            corrected=corrected.astype("<i4").tobytes(),
            ask_next=tuple(order.tolist()),
            table=labelled.table(labels, settings).document(),
            notes=tuple(notes),
        )
