"""Which numbers an encoder may compute with on this machine: offered only once they are proven on the probe set.

int8 and bf16 give other embeddings than float32, under a fingerprint of their own. They are worth it only where the
processor has instructions for them, and trusted only where a model's embeddings of the probe set stay within a cosine
of 0.99 and find the same neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.files import atomic_write
from plipdesk.base.paths import cache_folder
from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.loading import InstalledEncoder, load_encoder
from plipdesk.encoders.machine import machine_key, processor_flags
from plipdesk.encoders.preprocess import fit_picture
from plipdesk.encoders.protocol import Encoder, Precision

LEAST_COSINE = 0.99
LEAST_OVERLAP = 0.95
PROBE_PATCHES = 60
NEIGHBOURS = 10
_SEED = 990
# As Linux names them; the last of each are ARM's.
_INSTRUCTIONS: dict[str, frozenset[str]] = {
    "int8": frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "i8mm"}),
    "bf16": frozenset({"avx512_bf16", "amx_bf16", "bf16"}),
}


@dataclass(frozen=True)
class Agreement:
    """How embeddings in other numbers agree with those in float32."""

    cosine: float
    """The lowest between the two embeddings of one patch."""
    overlap: float
    """Mean share of the ten nearest neighbours that are the same."""

    @property
    def suffices(self) -> bool:
        """Whether they may stand in for float32."""
        return self.cosine >= LEAST_COSINE and self.overlap >= LEAST_OVERLAP


def agreement(first: NDArray[np.float32], second: NDArray[np.float32], k: int = NEIGHBOURS) -> Agreement:
    """How two embeddings (n, dim), L2-normalised, of the same n > k patches agree."""
    wide = first.astype(np.float64), second.astype(np.float64)
    near = []
    for rows in wide:
        likeness = rows @ rows.T
        np.fill_diagonal(likeness, -np.inf)
        near.append(np.argsort(-likeness, axis=1, kind="stable")[:, :k])
    shared = [len(set(one.tolist()) & set(other.tolist())) / k for one, other in zip(*near, strict=True)]
    return Agreement(float((wide[0] * wide[1]).sum(axis=1).min()), float(np.mean(shared)))


def obstacle(precision: Precision, flags: frozenset[str] | None = None) -> str | None:
    """Why this processor should not compute in ``precision``; None: it has the instructions."""
    wanted = _INSTRUCTIONS.get(precision)
    if precision == "fp16":
        return "Processors compute in fp16 slower than in fp32; it is for GPUs."
    if wanted is None or (processor_flags() if flags is None else flags) & wanted:
        return None
    return f"This processor has no instructions for {precision} (one of {', '.join(sorted(wanted))})."


def probe_patches(card: EncoderCard) -> NDArray[np.uint8]:
    """Sixty patches (60, input_px, input_px, 3): seeded cuts of the probe pictures, turned and tinted."""
    from plipdesk.encoders.importing.probe import probe_pictures

    pictures = probe_pictures()
    random = np.random.Generator(np.random.PCG64(_SEED))
    patches = []
    for number in range(PROBE_PATCHES):
        picture = pictures[number % len(pictures)]
        side = int(random.integers(90, min(picture.shape[:2]) + 1))
        top, left = (int(random.integers(0, length - side + 1)) for length in picture.shape[:2])
        cut = np.rot90(picture[top : top + side, left : left + side], int(random.integers(4)))
        tinted = np.clip(np.rint(cut * random.uniform(0.6, 1.15, 3)), 0, 255).astype(np.uint8)
        patches.append(fit_picture(np.ascontiguousarray(tinted), card))
    return np.stack(patches)


def load_proven(
    installed: InstalledEncoder,
    *,
    precision: Precision,
    runtime: Literal["auto", "torch", "onnx"] = "auto",
    device: str = "auto",
    threads: int | None = None,
    report: Callable[[str], None] | None = None,
) -> Encoder:
    """Load ``installed`` to compute in ``precision``, proven on the probe set; the proof is kept for this machine.

    Raises:
        EncoderProblem: the processor lacks the instructions, or the embeddings differ too much; the message says how.
    """
    encoder = load_encoder(
        installed, runtime=runtime, precision=precision, device=device, threads=threads, report=report
    )
    if precision == "fp32" or installed.folder is None:
        return encoder
    try:
        reason = obstacle(precision) if "cpu" in encoder.runtime.split() else None
        if reason is not None:
            raise EncoderProblem(reason, remedy="Choose fp32.")
        proof = _kept(encoder)
        if proof is None:
            if report is not None:
                report(f"Checking {installed.card.name} in {precision} against fp32; this is done once.")
            proof = prove(installed, encoder, threads=threads)
        if not proof.suffices:
            raise EncoderProblem(
                f"{installed.card.name} is not offered in {precision}: against fp32 the probe set's lowest cosine is "
                f"{proof.cosine:.4f} (at least {LEAST_COSINE}), and {proof.overlap:.0%} of its nearest neighbours are "
                f"the same (at least {LEAST_OVERLAP:.0%}).",
                remedy="Choose fp32.",
            )
    except BaseException:
        encoder.close()
        raise
    return encoder


def prove(installed: InstalledEncoder, encoder: Encoder, *, threads: int | None = None) -> Agreement:
    """Compare ``encoder`` with the same model in float32 on the probe set, and keep the result."""
    patches = probe_patches(installed.card)
    reference = load_encoder(installed, threads=threads)
    try:
        found = agreement(reference.encode_patches(patches), encoder.encode_patches(patches))
    finally:
        reference.close()
    with atomic_write(_place(encoder)) as stream:
        stream.write(json.dumps(asdict(found)).encode())
    return found


def _place(encoder: Encoder) -> Path:
    runtime = encoder.runtime.replace(" ", "-").replace(":", "")
    return cache_folder() / "precision" / f"{encoder.fingerprint}-{runtime}-{machine_key()}.json"


def _kept(encoder: Encoder) -> Agreement | None:
    try:
        seen = json.loads(_place(encoder).read_bytes())
        return Agreement(float(seen["cosine"]), float(seen["overlap"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
