"""The card of an imported model: what its files say, what the person says, and plain words where nobody does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from plipdesk.base.errors import UsageProblem
from plipdesk.encoders.card import EncoderCard, EncoderProblem, ModelFile, OriginalFile, Provenance
from plipdesk.encoders.importing.draft import Draft

WEIGHTS_NAME = "model.safetensors"
DEFAULT_MPP_UM = 0.5
DEFAULT_TEMPLATES = ("An H&E image of {}.", "An H&E image patch of {}.")
OVERRIDES = frozenset(
    {"mpp_um", "name", "licence", "source", "training_data", "intended_use", "credit", "scores", "languages"}
    | {"prompt_templates", "notes"}
)
"""Fields of a card that whoever imports may set; all others follow from the model's files."""
_NOT_STATED = "Not stated by the model's files; see where it came from."


def check_overrides(overrides: Mapping[str, Any]) -> None:
    """Refuse what cannot be set.

    Raises:
        UsageProblem: a field that is not known or follows from the files.
    """
    unknown = sorted(set(overrides) - OVERRIDES)
    if unknown:
        raise UsageProblem(f"{', '.join(unknown)} cannot be set.", remedy=f"What can: {', '.join(sorted(OVERRIDES))}.")


def encoder_id_of(source: Path, wanted: str | None) -> str:
    """The id under which ``source`` is kept: ``wanted``, or else one made from its name.

    Raises:
        UsageProblem: ``wanted`` is none that can be a folder's name.
    """
    if wanted is not None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", wanted):
            raise UsageProblem(
                f"{wanted!r} cannot be an encoder's id.",
                remedy="Use small letters, digits, dots and hyphens, such as plip or quiltnet-b-32.",
            )
        return wanted
    name = source.name if source.is_dir() else source.stem
    if re.fullmatch(r"[0-9a-f]{40}", name) and source.parent.name == "snapshots":
        # A folder of Hugging Face's cache: models--vinid--plip/snapshots/<revision>.
        name = source.parent.parent.name.split("--")[-1]
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:64]
    if not slug:
        raise UsageProblem("No id can be made from this name.", remedy="Give one with --id, such as --id plip.")
    return slug


def make_card(
    encoder_id: str,
    draft: Draft,
    files: Mapping[str, ModelFile],
    originals: tuple[OriginalFile, ...],
    overrides: Mapping[str, Any],
) -> EncoderCard:
    """The card of ``draft`` as it lies in the model's folder.

    Raises:
        EncoderProblem: the files or the overrides say what no card can hold.
    """
    notes = [*draft.notes]
    if "mpp_um" not in overrides:
        notes.append(
            f"The resolution it was trained at is not on record: {DEFAULT_MPP_UM} µm per pixel is assumed. "
            "Import it again with --mpp if you know better."
        )
    words = draft.words
    fields: dict[str, Any] = {
        "schema_version": 1,
        "id": encoder_id,
        "name": draft.said.get("name", encoder_id),
        "architecture": draft.architecture,
        "files": dict(files),
        "dim": draft.architecture["embed_dim"],
        "input_px": draft.picture.input_px,
        "mpp_um": DEFAULT_MPP_UM,
        "mean": draft.picture.mean,
        "std": draft.picture.std,
        "interpolation": draft.picture.interpolation,
        "resize": draft.picture.resize,
        "resize_px": draft.picture.resize_px,
        "tokenizer": {"kind": "none", "file": None} if words is None else words.card,
        "context_length": 0 if words is None else words.context_length,
        "logit_scale": min(max(draft.logit_scale, 1e-3), 1000.0),
        "logit_bias": draft.logit_bias,
        "prompt_templates": () if words is None else DEFAULT_TEMPLATES,
        "languages": () if words is None else ("en",),
        "licence": draft.said.get("licence", _NOT_STATED),
        "source": draft.said.get("source", "Imported from files"),
        "training_data": _NOT_STATED,
        "intended_use": "Search in research. Not for diagnosis.",
        "credit": "",
        "scores": {},
        "provenance": Provenance(layout=draft.layout, originals=originals, left_out=draft.left_out),
    }
    given = {key: value for key, value in overrides.items() if key != "notes"}
    if words is None:
        given.pop("prompt_templates", None)
    fields |= given | {"notes": (*notes, *overrides.get("notes", ()))}
    try:
        return EncoderCard.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the card"
        raise EncoderProblem(
            f"No card can be made of this model: {place}: {first['msg']}.",
            remedy="Check the model's configuration and what was set by hand.",
        ) from error
