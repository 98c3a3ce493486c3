"""Numbers and times as a person reads them; every string can be translated."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale


def _tr(text: str) -> str:
    return QCoreApplication.translate("words", text)


def count(number: int) -> str:
    """A number with the separators of the person's language."""
    return QLocale().toString(number)


def patches(number: int) -> str:
    """``1 patch``, ``2,000 patches``."""
    return _tr("1 patch") if number == 1 else _tr("{n} patches").format(n=count(number))


def slides(number: int) -> str:
    """``1 slide``, ``20 slides``."""
    return _tr("1 slide") if number == 1 else _tr("{n} slides").format(n=count(number))


def hits(number: int) -> str:
    """``1 hit``, ``50 hits``."""
    return _tr("1 hit") if number == 1 else _tr("{n} hits").format(n=count(number))


def unit(name: str) -> str:
    """The unit in which a job counts."""
    known = {
        "patches": _tr("patches"),
        "slides": _tr("slides"),
        "files": _tr("files"),
        "images": _tr("images"),
        "steps": _tr("steps"),
        "MB": _tr("MB"),
    }
    return known.get(name, name)


def remaining(seconds: float | None) -> str:
    """``about 3 min left``; empty where it is not known."""
    if seconds is None:
        return ""
    if seconds < 10:
        return _tr("a few seconds left")
    if seconds < 90:
        return _tr("about {n} s left").format(n=count(round(seconds / 5) * 5))
    if seconds < 5400:
        return _tr("about {n} min left").format(n=count(round(seconds / 60)))
    return _tr("about {n} h left").format(n=QLocale().toString(seconds / 3600, "f", 1))


def rate(per_s: float | None, of: str) -> str:
    """``42 patches/s``; empty where it is not known."""
    if per_s is None:
        return ""
    number = QLocale().toString(per_s, "f", 0 if per_s >= 10 else 1)
    return _tr("{n} {unit}/s").format(n=number, unit=unit(of))


def magnification(power: float) -> str:
    """``20×``, ``1.3×``."""
    return f"{QLocale().toString(power, 'f', 0 if power >= 10 else 1)}×"


def job_state(state: str) -> str:
    """The state of a job."""
    known = {
        "queued": _tr("Waiting"),
        "running": _tr("Running"),
        "paused": _tr("Paused"),
        "done": _tr("Finished"),
        "failed": _tr("Failed"),
        "cancelled": _tr("Cancelled"),
    }
    return known.get(state, state)


def item_status(status: str) -> str:
    """What became of a file."""
    known = {
        "indexed": _tr("Indexed"),
        "unchanged": _tr("Unchanged"),
        "skipped": _tr("Skipped"),
        "failed": _tr("Failed"),
    }
    return known.get(status, status)


def runtime(name: str) -> str:
    """The runtime and device that encode, as the status bar shows them: from ``onnx cpu`` or ``torch cuda:0``."""
    kind, _, device = name.partition(" ")
    known = {"onnx": "ONNX Runtime", "torch": "PyTorch"}.get(kind, kind)
    return f"{known} ({device.upper() if device == 'cpu' else device})" if device else known
