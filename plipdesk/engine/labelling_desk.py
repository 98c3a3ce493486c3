"""What the engine answers about labels: corrections of patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.engine import messages as m

Answers = dict[type[m.Message], Callable[[Any], m.Message]]


class LabellingDesk:
    """Thread-safe, as the catalogue is."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def quick_answers(self) -> Answers:
        """What is answered on the peer's thread."""
        return {m.CorrectPatches: self._correct, m.ListCorrections: self._list}

    def _correct(self, asked: m.CorrectPatches) -> m.Message:
        self._catalogue.corrections.edit(asked.put, asked.remove)
        return m.Done()

    def _list(self, asked: m.ListCorrections) -> m.Message:
        return m.CorrectionList(tuple(self._catalogue.corrections.select(asked.label_set, asked.filters)))
