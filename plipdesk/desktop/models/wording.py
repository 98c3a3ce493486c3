"""Encoders in words: cards, costs and comparisons, as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QCoreApplication, QLocale

from plipdesk.catalogue.rows import CollectionRow
from plipdesk.desktop import words
from plipdesk.desktop.state.models import users_of
from plipdesk.engine.messages import Cost, ModelEntry
from plipdesk.search.comparing import Overlap

Row = tuple[str, str]


def _tr(text: str) -> str:
    return QCoreApplication.translate("models", text)


def size(bytes_: int) -> str:
    """``605 MB``, ``1.7 GB``; decimal, as file managers show it."""
    if bytes_ >= 10**9:
        return _tr("{n} GB").format(n=QLocale().toString(bytes_ / 1e9, "f", 1))
    return _tr("{n} MB").format(n=words.count(max(1, round(bytes_ / 1e6))) if bytes_ else "0")


def duration(seconds: float) -> str:
    """``20 s``, ``25 min``, ``3.4 h``."""
    if seconds < 90:
        return _tr("{n} s").format(n=words.count(max(1, round(seconds))))
    if seconds < 5400:
        return _tr("{n} min").format(n=words.count(round(seconds / 60)))
    return _tr("{n} h").format(n=QLocale().toString(seconds / 3600, "f", 1))


def cost(found: Cost) -> str:
    """``4 slides, 31,000 patches to encode, about 25 min on this machine.``"""
    if not found.slides:
        return _tr("Nothing is left to encode: it knows these slides.")
    return _tr("{slides}, {patches} to encode, about {time} on this machine.").format(
        slides=words.slides(found.slides), patches=words.patches(found.patches), time=duration(found.seconds)
    )


def overlap(found: Overlap, first: str, second: str) -> str:
    """What two answers have in common, in a sentence or two."""
    text = _tr("{n} of {k} places ({share} %) are among the best of both {first} and {second}.").format(
        n=words.count(len(found.pairs)),
        k=words.count(found.k),
        share=round(100 * found.share),
        first=first,
        second=second,
    )
    if found.rank_correlation is not None:
        text += " " + _tr("Their order agrees to {r} (1: the same, −1: reversed).").format(
            r=QLocale().toString(found.rank_correlation, "f", 2)
        )
    return text


def standing(entry: ModelEntry, current: str) -> str:
    """What the list shows beside an encoder's name."""
    if entry.obstacle is not None:
        return _tr("not usable yet")
    if not entry.installed:
        return size(entry.model_bytes) if entry.model_bytes else ""
    if entry.id == current:
        return _tr("in use")
    return words.patches(entry.patches) if entry.patches else ""


def summary(entry: ModelEntry) -> str:
    """One sentence on what an encoder is."""
    card = entry.card
    return str(card.get("summary") or card.get("intended_use") or "")


def card_rows(entry: ModelEntry, collections: tuple[CollectionRow, ...]) -> list[Row]:
    """All that is known of an encoder: what it is called, and what it says there."""
    rows = _installed_rows(entry, collections) if entry.installed else _known_rows(entry)
    return [(name, value) for name, value in rows if value]


def _installed_rows(entry: ModelEntry, collections: tuple[CollectionRow, ...]) -> list[Row]:
    card = entry.card
    rows = [
        (_tr("Licence"), entry.licence),
        (_tr("Asked by"), _asked_by(card.get("tokenizer", {}).get("kind") != "none")),
        (_tr("Resolution"), _resolution(card)),
        (_tr("Architecture"), _architecture(card.get("architecture", {}))),
        (_tr("Embedding"), _tr("{n} numbers").format(n=words.count(card["dim"]))),
        (_tr("Languages"), _languages(card)),
        (_tr("Prompts"), "\n".join(card.get("prompt_templates", ()))),
        (_tr("Encoded"), _encoded(entry)),
        (_tr("Chosen by"), ", ".join(users_of(entry, collections))),
        (_tr("Disk"), _disk(entry)),
        (_tr("Scores"), _scores(card)),
        (_tr("Trained on"), card.get("training_data", "")),
        (_tr("Meant for"), card.get("intended_use", "")),
        (_tr("Credit"), card.get("credit", "")),
        (_tr("Source"), card.get("source", "")),
        (_tr("Notes"), _lines(card.get("notes", ()))),
    ]
    provenance = card.get("provenance") or {}
    if provenance:
        rows.append((_tr("Imported from"), provenance.get("layout", "")))
        rows.append((_tr("Both runtimes agree"), _agreement(provenance)))
        rows += [
            (_tr("Original {name}").format(name=file["name"]), "SHA-256 " + file["sha256"])
            for file in provenance.get("originals", ())
        ]
    rows += [
        (_tr("File {name}").format(name=file["name"]), "SHA-256 " + file["sha256"]) for file in card["files"].values()
    ]
    rows.append((_tr("Fingerprint"), entry.fingerprint))
    return rows


def _known_rows(entry: ModelEntry) -> list[Row]:
    card = entry.card
    files = [" / ".join([file["name"]] if file.get("name") else file["one_of"]) for file in card.get("files", ())]
    return [
        (_tr("Not usable yet"), entry.obstacle or ""),
        (_tr("Licence"), ". ".join(part for part in (entry.licence, card.get("licence_note")) if part)),
        (_tr("Access"), _tr("The authors let people in one by one.") if card.get("gated") else ""),
        (_tr("Resolution"), _resolution(card)),
        (_tr("Architecture"), card.get("architecture", "")),
        (_tr("Embedding"), _tr("{n} numbers").format(n=words.count(card["dim"])) if card.get("dim") else ""),
        (_tr("Languages"), _languages(card)),
        (_tr("Download"), _download(card)),
        (_tr("Scores"), _scores(card)),
        (_tr("Publication"), card.get("paper") or ""),
        (_tr("At the hub"), card.get("repository", "")),
        (_tr("Files"), ", ".join(files)),
        (_tr("Notes"), _lines(card.get("notes", ()))),
    ]


def _asked_by(has_words: bool) -> str:
    return (
        _tr("words, regions, pictures and slides")
        if has_words
        else _tr("regions, pictures and slides; it has no words")
    )


def _resolution(card: dict[str, Any]) -> str:
    parts = []
    if card.get("input_px"):
        parts.append(_tr("{n} × {n} pixels").format(n=card["input_px"]))
    if card.get("mpp_um"):
        parts.append(_tr("{n} µm per pixel").format(n=QLocale().toString(float(card["mpp_um"]), "g", 4)))
    return _tr(" at ").join(parts)


def _architecture(architecture: dict[str, Any]) -> str:
    vision = architecture.get("vision_cfg") or {}
    text = architecture.get("text_cfg") or {}
    image = vision.get("timm_model_name") or ""
    if not image and isinstance(vision.get("layers"), int) and vision.get("patch_size"):
        image = _tr("vision transformer, {layers} layers of {width}, pieces of {patch} pixels").format(
            layers=vision["layers"], width=vision.get("width", "?"), patch=vision["patch_size"]
        )
    parts = [image or _tr("image tower")]
    if isinstance(text.get("layers"), int):
        parts.append(
            _tr("text transformer, {layers} layers of {width}").format(
                layers=text["layers"], width=text.get("width", "?")
            )
        )
    return "; ".join(parts)


def _languages(card: dict[str, Any]) -> str:
    known = {"en": _tr("English"), "zh": _tr("Chinese"), "de": _tr("German")}
    return ", ".join(known.get(code, code) for code in card.get("languages", ()))


def _encoded(entry: ModelEntry) -> str:
    if not entry.patches:
        return _tr("nothing in this workspace yet")
    return _tr("{patches} of {slides}").format(patches=words.patches(entry.patches), slides=words.slides(entry.slides))


def _disk(entry: ModelEntry) -> str:
    parts = []
    if entry.model_bytes and not entry.embedded:
        parts.append(_tr("model {size}").format(size=size(entry.model_bytes)))
    if entry.vectors_bytes:
        parts.append(_tr("vectors and index {size}").format(size=size(entry.vectors_bytes)))
    return ", ".join(parts)


def _download(card: dict[str, Any]) -> str:
    return size(card["download_bytes"]) if card.get("download_bytes") else ""


def _scores(card: dict[str, Any]) -> str:
    return "\n".join(
        f"{name.replace('_', ' ')}: {QLocale().toString(float(value), 'f', 3)}"
        for name, value in card.get("scores", {}).items()
    )


def _agreement(provenance: dict[str, Any]) -> str:
    parts = []
    for name, key in ((_tr("pictures"), "image_cosine"), (_tr("texts"), "text_cosine")):
        value = provenance.get(key)
        if value is not None:
            parts.append(_tr("{what} to cosine {n}").format(what=name, n=QLocale().toString(float(value), "f", 6)))
    return ", ".join(parts)


def _lines(notes: Sequence[str]) -> str:
    return "\n".join(notes)
