"""Classes as vectors: prompt ensembles of an encoder.

A class's vector is the mean of the normalised embeddings of its prompts, normalised again (Radford et al. 2021, 3.1.4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.prompts import PromptCache, prompts_of
from plipdesk.encoders.protocol import Encoder
from plipdesk.labelling.label_sets import LabelClass, LabelSet

Float32s = NDArray[np.float32]

_REMEMBERED = PromptCache()


@dataclass(frozen=True, eq=False)
class ClassPrompts:
    """The very prompts of each class, and the unit vector (c, d) that stands for it."""

    names: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    vectors: Float32s
    truncated: tuple[str, ...] = ()
    """Prompts that are longer than the encoder can read."""

    @property
    def document(self) -> dict[str, list[str]]:
        """The prompts by class, as results record them."""
        return {name: list(own) for name, own in zip(self.names, self.prompts, strict=True)}


def prompts_of_class(encoder: Encoder, one: LabelClass, templates: tuple[str, ...]) -> tuple[str, ...]:
    """The prompts of a class, each once: its own as they are, or its name and synonyms in each template.

    ``templates`` empty: those of the encoder's card.

    Raises:
        EncoderProblem: the encoder has no words.
    """
    if one.prompts:
        own = [prompt.replace("{}", one.name) for prompt in one.prompts]
        return tuple(dict.fromkeys(text for prompt in own for text in prompts_of(encoder, prompt, ("{}",))))
    words = (one.name, *one.synonyms)
    return tuple(dict.fromkeys(text for word in words for text in prompts_of(encoder, word, templates or None)))


def encode_classes(
    encoder: Encoder, labels: LabelSet, way: str | None = None, *, templates: tuple[str, ...] | None = None
) -> ClassPrompts:
    """The classes of a label set as vectors; ``templates`` overrides those of the ``way``.

    Raises:
        EncoderProblem: the encoder has no words.
        LabelProblem: no such way.
    """
    chosen = labels.way_named(way) if templates is None else templates
    prompts = tuple(prompts_of_class(encoder, one, chosen) for one in labels.classes)
    rows = _REMEMBERED.encode(encoder, [prompt for own in prompts for prompt in own])
    vectors = np.empty((len(prompts), rows.shape[1]), dtype=np.float32)
    start = 0
    for number, own in enumerate(prompts):
        vectors[number] = ensemble(rows[start : start + len(own)])
        start += len(own)
    long = tuple(prompt for own in prompts for prompt in own if encoder.truncated(prompt))
    return ClassPrompts(labels.names, prompts, vectors, long)


def encode_texts(encoder: Encoder, texts: list[str]) -> Float32s:
    """Embeddings (n, d) of texts as they are, remembered."""
    return _REMEMBERED.encode(encoder, texts)


def ensemble(rows: Float32s) -> Float32s:
    """The unit vector (d,) along the mean of unit vectors (k, d)."""
    mean = rows.mean(axis=0, dtype=np.float64)
    unit: Float32s = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit
