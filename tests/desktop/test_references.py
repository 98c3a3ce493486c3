"""The Qt binding must leave the references of None, True and False alone, or the window dies after a while."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, Qt, Signal

CALLS = 500


class Nothing(QAbstractListModel):
    """A model with rows and no data."""

    def rowCount(self, parent: Any = None) -> int:
        return 1

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> None:
        return None


class Sender(QObject):
    """A signal that nobody hears."""

    sent = Signal(object)


@pytest.mark.parametrize("constant", [None, True, False])
def test_models_and_signals_keep_references(qapp: Any, constant: object) -> None:
    model, sender = Nothing(), Sender()
    index: QModelIndex = model.index(0, 0)
    before = sys.getrefcount(constant)
    for _ in range(CALLS):
        index.data(Qt.ItemDataRole.UserRole)
        sender.sent.emit(None)
    assert abs(sys.getrefcount(constant) - before) < CALLS // 10
