"""Recipes of fine-tuning: everything that such a run is told, as a versioned document (schema version 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plipdesk.training.recipe import TrainingProblem

SCHEMA_VERSION = 2


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Resize(_Strict):
    """The shorter side becomes ``px`` long (bicubic, antialiased)."""

    kind: Literal["resize"]
    px: Annotated[int, Field(ge=16, le=4096)]


class RandomCrop(_Strict):
    """A square of ``px``, anywhere."""

    kind: Literal["random-crop"]
    px: Annotated[int, Field(ge=16, le=2048)]


class Flip(_Strict):
    """Mirrored left to right with ``chance``."""

    kind: Literal["horizontal-flip"]
    chance: Annotated[float, Field(ge=0, le=1)] = 0.5


class Affine(_Strict):
    """Turned, moved (as a share of the side), scaled and sheared at random; ``fill`` is the grey of what comes in."""

    kind: Literal["affine"]
    degrees: Annotated[float, Field(ge=0, le=180)] = 0
    translate: Annotated[float, Field(ge=0, le=1)] = 0
    scale: tuple[float, float] = (1.0, 1.0)
    shear_degrees: Annotated[float, Field(ge=0, le=80)] = 0
    fill: Annotated[int, Field(ge=0, le=255)] = 127


class Perspective(_Strict):
    """Seen from another angle with ``chance``: corners move by up to ``distortion`` of half a side."""

    kind: Literal["perspective"]
    distortion: Annotated[float, Field(ge=0, le=1)] = 0.3
    chance: Annotated[float, Field(ge=0, le=1)] = 0.3
    fill: Annotated[int, Field(ge=0, le=255)] = 127


class Stain(_Strict):
    """Another laboratory's stain and light; see :mod:`plipdesk.training.augment`."""

    kind: Literal["stain"]
    stain: Annotated[float, Field(ge=0, le=1)] = 0.35
    stain_shift: Annotated[float, Field(ge=0, le=1)] = 0.06
    light: Annotated[float, Field(ge=0, le=1)] = 0.15
    blur: Annotated[float, Field(ge=0, le=1)] = 0.15


Step = Annotated[Resize | RandomCrop | Flip | Affine | Perspective | Stain, Field(discriminator="kind")]


class Optimiser(_Strict):
    """AdamW; the rate rises straight for ``warmup_steps``, then falls by half a cosine to 0."""

    rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    decay_gains_and_biases: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    most_gradient: Annotated[float, Field(gt=0)] | None = None
    """Gradients are scaled down to this norm; None: never."""


class Lora(_Strict):
    """Low-rank updates of linear layers (Hu et al. 2022), which stand still and take them up at the end."""

    rank: Annotated[int, Field(ge=1, le=512)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16


class Learning(_Strict):
    """What learns. ``freeze_*_layers``: how many blocks stand still, counted from the input, with what lies before."""

    image: bool = True
    text: bool = True
    freeze_image_layers: Annotated[int, Field(ge=0)] = 0
    freeze_text_layers: Annotated[int, Field(ge=0)] = 0
    logit_scale: bool = True
    lora: Lora | None = None

    @model_validator(mode="after")
    def _something_learns(self) -> Learning:
        if not self.image and not self.text:
            raise ValueError("at least one tower has to learn")
        return self


class Distil(_Strict):
    """Beside the contrastive loss: the batch's similarities are drawn to those of a larger encoder."""

    encoder: str
    weight: Annotated[float, Field(gt=0)] = 1.0


class Validation(_Strict):
    """Looks at rows of ``splits``: loss and Recall@10 both ways. ``patience``: looks without gain to stop after."""

    splits: tuple[str, ...] = ("val",)
    every_epochs: Annotated[float, Field(gt=0)] = 0.25
    patience: Annotated[int, Field(ge=1)] | None = None
    most_pictures: Annotated[int, Field(ge=2)] = 5000


class TuneRecipe(_Strict):
    """A run of contrastive fine-tuning."""

    schema_version: Literal[2]
    kind: Literal["tune-contrastive"]
    name: str
    seed: int
    threads: Annotated[int, Field(ge=1)] | None = None
    base: str
    """Id of the installed encoder that is tuned."""
    splits: tuple[str, ...] = ("train",)
    sources: tuple[str, ...] | None = None
    epochs: Annotated[float, Field(gt=0)]
    stop_after_steps: Annotated[int, Field(ge=1)] | None = None
    """Stop here although the schedule is made for all epochs."""
    batch: Annotated[int, Field(ge=2)]
    chunk: Annotated[int, Field(ge=1)] | None = None
    """Pictures in memory at once; gradients are those of the whole batch all the same. None: the whole batch."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: str = "auto"
    optimiser: Optimiser
    learning: Learning = Learning()
    augment: tuple[Step, ...] = ()
    """Empty: pictures as the encoder's card prepares them."""
    validation: Validation = Validation()
    distil: Distil | None = None
    checkpoint_every: Annotated[int, Field(ge=1)] = 100
    card: dict[str, Any]
    """What the new encoder's card says in place of its base's: id, name, training_data, …"""


def read_tune_recipe(path: Path, changes: Sequence[str] = ()) -> TuneRecipe | None:
    """The recipe of fine-tuning in ``path``, or None where the file is a recipe of another kind.

    ``changes`` are ``field=value`` with dots between sections, such as ``optimiser.rate=1e-5``; values are YAML.

    Raises:
        TrainingProblem: unreadable, or a field missing, unknown or out of range.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("kind") != "tune-contrastive":
            return None
        for change in changes:
            name, _, value = change.partition("=")
            *sections, field = name.strip().split(".")
            place = document
            for section in sections:
                place = place.setdefault(section, {})
            place[field] = yaml.safe_load(value)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise TrainingProblem(f"The recipe cannot be read: {error}", path=path, remedy="Give a YAML recipe.") from error
    return parse_tune_recipe(document, path)


def parse_tune_recipe(document: Any, path: Path | None = None) -> TuneRecipe:
    """Check a recipe that was read from YAML.

    Raises:
        TrainingProblem: a field missing, unknown or out of range; the message names it.
    """
    try:
        return TuneRecipe.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise TrainingProblem(
            f"The recipe cannot be used: {place}: {first['msg']}.", path=path, remedy="Correct that field."
        ) from error
