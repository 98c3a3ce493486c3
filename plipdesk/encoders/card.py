"""Encoder cards: everything that must be known of a model before it may encode anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.ids import settings_id

CARD_NAME = "card.json"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class EncoderProblem(EnvironmentProblem):
    """A model, or what it was asked, is not as it must be."""

    kind = "encoder"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFile(_Strict):
    """A file of the model: its name inside the model's folder and its SHA-256."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    sha256: Sha256


class TokenizerCard(_Strict):
    """How words become numbers.

    ``clip-bpe`` reads open_clip's BPE merges (``file``; None: open_clip's own); ``tokenizers`` a tokenizer.json of the
    library of that name; ``words`` is the null encoder's; ``none`` an encoder that only sees.
    """

    kind: Literal["clip-bpe", "tokenizers", "words", "none"]
    file: str | None
    lower_case: bool = True
    clean: Literal["none", "whitespace", "lower", "canonicalize"] = "none"
    """What is done to a text before a ``tokenizers`` file sees it, by open_clip's names."""
    pad_id: Annotated[int, Field(ge=0)] = 0
    """The number that fills the context behind a text."""
    zeroed_id: Annotated[int, Field(ge=0)] | None = None
    """A token that becomes 0 again, such as the separator at a text's end for some open_clip models."""


class OriginalFile(_Strict):
    """A file that a model was imported from: its name inside the original and its SHA-256."""

    name: str
    sha256: Sha256


class Provenance(_Strict):
    """How a model came here: what it was made from, and what the import measured."""

    layout: str
    """In words, such as ``Hugging Face CLIP``."""
    originals: tuple[OriginalFile, ...]
    left_out: tuple[str, ...] = ()
    """Tensors of the original that the encoder has no use for, such as a classifier's head."""
    image_cosine: float | None = None
    """Lowest cosine between torch and ONNX Runtime over the probe pictures; None: only one of them can run it."""
    text_cosine: float | None = None


class EncoderCard(_Strict):
    """A model as the application knows it. What came with the first version has no silent default: a missing field
    refuses to load. Later fields mean, where they are missing, what was always done before.
    """

    schema_version: Literal[1]
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    name: str
    architecture: dict[str, Any]
    """open_clip model configuration (embed_dim, vision_cfg, text_cfg, …)."""
    files: dict[Literal["weights", "tokenizer"], ModelFile]
    dim: Annotated[int, Field(ge=2, le=8192)]
    input_px: Annotated[int, Field(ge=16, le=2048)]
    mpp_um: Annotated[float, Field(gt=0, le=100)]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"]
    resize: Literal["shortest-edge-and-centre-crop", "shortest-edge-and-floored-crop", "squash"]
    """How a picture is brought to size; a crop that cannot lie in the middle to the pixel is rounded or floored."""
    resize_px: Annotated[int, Field(ge=16, le=4096)] | None = None
    """Length of the shortest edge before the crop; None: ``input_px``. Patches are never resized."""
    tokenizer: TokenizerCard
    context_length: Annotated[int, Field(ge=0, le=512)]
    logit_scale: Annotated[float, Field(gt=0, le=1000)]
    prompt_templates: tuple[str, ...]
    """Each holds one ``{}``; the mean of the normalised embeddings, normalised again, stands for a term."""
    languages: tuple[str, ...]
    licence: str
    source: str
    training_data: str
    intended_use: str
    credit: str
    scores: dict[str, float]
    notes: tuple[str, ...]
    logit_bias: float | None = None
    """Of a model trained with a sigmoid (SigLIP): a picture and a text belong together with the probability
    sigmoid(logit_scale * cosine + logit_bias). None: trained with a softmax over all texts."""
    stain: Literal["macenko", "reinhard"] | None = None
    """How the stain of patches and pictures is normalised before they are encoded; None: they stay as they are."""
    provenance: Provenance | None = None
    """Of an imported model; it changes nothing of what the embeddings mean."""

    @field_validator("prompt_templates")
    @classmethod
    def _templates_hold_one_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        if any(template.count("{}") != 1 for template in templates):
            raise ValueError("each prompt template holds {} exactly once")
        return templates

    @model_validator(mode="after")
    def _words_are_whole(self) -> EncoderCard:
        if self.has_words != (self.context_length > 0) or self.has_words != bool(self.prompt_templates):
            raise ValueError("tokenizer, context_length and prompt_templates go together")
        if self.resize_px is not None and self.resize_px < self.input_px:
            raise ValueError("resize_px must be at least input_px, or the crop would reach outside")
        return self

    @property
    def has_words(self) -> bool:
        """Whether the encoder can be asked in words."""
        return self.tokenizer.kind != "none"

    def fingerprint(self, numeric_class: str = "fp32") -> str:
        """32 hex digits over weights, preprocessing, tokenizer and numeric class (DESIGN.md, invariant 2)."""
        # What a later version added counts only where it is used, so that no older fingerprint changes.
        later: dict[str, Any] = {} if self.resize_px is None else {"resize_px": self.resize_px}
        if self.stain is not None:
            later["stain"] = self.stain
        if self.tokenizer.kind == "tokenizers":
            words = self.tokenizer
            later["tokens"] = [words.clean, words.pad_id, words.zeroed_id]
        return settings_id(
            {
                "weights": self.files["weights"].sha256,
                "tokenizer": self.files["tokenizer"].sha256 if "tokenizer" in self.files else None,
                "architecture": self.architecture,
                "input_px": self.input_px,
                "mpp_um": self.mpp_um,
                "mean": list(self.mean),
                "std": list(self.std),
                "interpolation": self.interpolation,
                "resize": self.resize,
                "context_length": self.context_length,
                "numeric_class": numeric_class,
                **later,
            }
        )


def load_card(folder: Path) -> EncoderCard:
    """Read and check the card of the model in ``folder``.

    Raises:
        EncoderProblem: no card, not JSON, or a field missing, unknown or out of range; the message names it.
    """
    path = folder / CARD_NAME
    try:
        return EncoderCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EncoderProblem(
            "This folder holds no model card.",
            path=path,
            remedy="Import the model again with 'plipdesk models import'.",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EncoderProblem(
            f"The model card cannot be used: {place}: {first['msg']}.",
            path=path,
            remedy="Import the model again, or complete the card.",
        ) from error
