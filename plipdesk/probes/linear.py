"""Linear probes: a classifier on stored vectors, learned in seconds, kept as a small file that holds only numbers.

A probe belongs to one encoder. Its file is safetensors (weights and bias) with the rest as JSON in the header; it is
read without running anything, and every size it declares is checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.files import atomic_write
from plipdesk.base.ids import canonical_json
from plipdesk.base.progress import Json
from plipdesk.probes.errors import ProbeProblem

Float32s = NDArray[np.float32]
Method = Literal["logistic", "sgd"]

MAX_FILE_BYTES = 64 * 1024 * 1024
_KEY = "plipdesk.probe"
_VERSION = 1
_REMEDY = "Learn the probe again."


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """Logits of a vector v are ``weights`` @ v + ``bias``; their softmax is the probability of each class."""

    classes: tuple[str, ...]
    weights: Float32s
    """(c, d)"""
    bias: Float32s
    """(c,)"""
    encoder_fingerprint: str
    settings: Mapping[str, Json] = field(default_factory=dict)
    """How it was learned: method, strength, seed, numbers of examples."""

    def __post_init__(self) -> None:
        count = len(self.classes)
        if count < 2 or self.weights.ndim != 2 or len(self.weights) != count or self.bias.shape != (count,):
            raise ProbeProblem("The numbers of a probe do not fit its classes.", remedy=_REMEDY)
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ProbeProblem("A probe holds numbers that are not finite.", remedy=_REMEDY)

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.weights.shape[1])

    def logits(self, vectors: NDArray[np.floating]) -> Float32s:
        """Logits (n, c) of ``vectors`` (n, d).

        Raises:
            ProbeProblem: vectors of another length.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ProbeProblem(
                f"This probe reads vectors of {self.dim} numbers, not of {vectors.shape[-1]}.",
                remedy="Use the encoder that it was learned with.",
            )
        return np.asarray(vectors, dtype=np.float32) @ self.weights.T + self.bias

    def probabilities(self, vectors: NDArray[np.floating]) -> Float32s:
        """Probability (n, c) of each class; rows add up to 1."""
        logits = self.logits(vectors)
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def save(self, path: Path) -> None:
        """Write the probe, whole or not at all; equal probes give equal bytes.

        Raises:
            EnvironmentProblem: the place cannot be written to.
        """
        from safetensors.numpy import save

        said = {
            "version": _VERSION, "classes": list(self.classes), "encoder_fingerprint": self.encoder_fingerprint,
            "settings": dict(self.settings),
        }  # fmt: skip
        tensors = {"bias": np.ascontiguousarray(self.bias), "weights": np.ascontiguousarray(self.weights)}
        with atomic_write(path) as stream:
            stream.write(save(tensors, metadata={_KEY: canonical_json(said).decode()}))

    @classmethod
    def load(cls, path: Path, *, encoder_fingerprint: str | None = None) -> Self:
        """Read a probe.

        Raises:
            ProbeProblem: it cannot be read, is damaged, or (with ``encoder_fingerprint``) is another encoder's.
        """
        from safetensors import SafetensorError, safe_open

        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ProbeProblem("This file is too large to be a probe.", path=path, remedy=_REMEDY)
            with safe_open(path, framework="numpy") as file:
                said = json.loads((file.metadata() or {})[_KEY])
                weights, bias = file.get_tensor("weights"), file.get_tensor("bias")
            if said["version"] != _VERSION or weights.dtype != np.float32 or bias.dtype != np.float32:
                raise ValueError("another form")
            classes = tuple(str(name) for name in said["classes"])
            probe = cls(classes, weights, bias, str(said["encoder_fingerprint"]), dict(said["settings"]))
        except OSError as error:
            raise ProbeProblem(
                f"The probe cannot be read: {error.strerror or error}.", path=path, remedy=_REMEDY
            ) from error
        except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProbeProblem("This file is no probe, or it is damaged.", path=path, remedy=_REMEDY) from error
        if encoder_fingerprint is not None and probe.encoder_fingerprint != encoder_fingerprint:
            raise ProbeProblem(
                "This probe was learned on the vectors of another encoder.",
                path=path,
                remedy="Use that encoder, or learn the probe again with this one.",
            )
        return probe


def fit_probe(
    vectors: NDArray[np.floating],
    labels: Sequence[str] | NDArray[np.str_],
    *,
    encoder_fingerprint: str,
    classes: Sequence[str] | None = None,
    method: Method = "logistic",
    strength: float = 1e-3,
    balanced: bool = True,
    seed: int = 0,
    most_iterations: int = 10_000,
) -> LinearProbe:
    """Learn a probe from ``vectors`` (n, d) and their ``labels`` (n); the same arguments give the same probe.

    Args:
        classes: their order in the probe; those without an example are left out. None: sorted by name.
        method: ``logistic`` is multinomial logistic regression to its optimum; ``sgd`` the paper's logistic regression
            by stochastic gradient descent, one class against all others (PAPER.md, §5).
        strength: weight of the L2 penalty against the mean loss (scikit-learn's ``alpha``; C = 1 / (strength · n)).
        balanced: whether each class counts the same, however many examples it has.

    Raises:
        ProbeProblem: fewer than two classes, or vectors that are not finite.
    """
    from sklearn.linear_model import LogisticRegression, SGDClassifier

    names = np.asarray(labels, dtype=np.str_)
    data = np.asarray(vectors, dtype=np.float32)
    if data.ndim != 2 or names.shape != (len(data),) or not np.isfinite(data).all():
        raise ProbeProblem("Examples and their labels do not belong together.", remedy=_REMEDY)
    present = set(names.tolist())
    order = tuple(name for name in (classes if classes is not None else sorted(present)) if name in present)
    if len(order) < 2 or len(order) != len(present):
        raise ProbeProblem(
            "A probe needs examples of at least two classes, all of them known.", remedy="Label patches of another."
        )
    number = {name: place for place, name in enumerate(order)}
    target = np.array([number[name] for name in names.tolist()])
    weight = "balanced" if balanced else None
    if method == "sgd":
        model = SGDClassifier(
            loss="log_loss", penalty="l2", alpha=strength, max_iter=most_iterations, class_weight=weight,
            random_state=seed,
        )  # fmt: skip
    else:
        model = LogisticRegression(
            C=1 / (strength * len(data)), max_iter=most_iterations, class_weight=weight, random_state=seed
        )
    model.fit(data, target)
    weights, bias = model.coef_, model.intercept_
    if len(order) == 2:
        # One row tells the second from the first; as two rows of which the first says nothing.
        weights, bias = np.concatenate([np.zeros_like(weights), weights]), np.concatenate([np.zeros_like(bias), bias])
    settings: dict[str, Json] = {
        "method": method, "strength": strength, "balanced": balanced, "seed": seed,
        "examples": {name: int((target == place).sum()) for name, place in number.items()},
    }  # fmt: skip
    return LinearProbe(order, weights.astype(np.float32), bias.astype(np.float32), encoder_fingerprint, settings)
