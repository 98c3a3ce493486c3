"""Graphs for ONNX Runtime, made once from the torch weights and kept in the person's cache.

A cache entry is a graph named after its own SHA-256 and a small JSON file that names it. The graph comes first, under a
temporary name, so that two processes that export at once, or one that is killed, leave nothing that is half.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from plipdesk.base.files import atomic_write, sha256_of
from plipdesk.base.ids import settings_id
from plipdesk.base.paths import cache_folder
from plipdesk.encoders import clip_graph
from plipdesk.encoders.bert_graph import bert_graph
from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.graph import OPSET, Weights
from plipdesk.encoders.int8_graph import int8_graph
from plipdesk.encoders.weights import TensorFile, float32_bytes, load_weights, verified_file

if TYPE_CHECKING:
    import onnx

Tower = Literal["image", "text"]
EXPORT_VERSION = 1
_MOST_BYTES = (1 << 31) - (1 << 20)
# Threads of one process would do the same work twice and share a temporary name; processes do not.
_ONE_AT_A_TIME = threading.Lock()


class TooLargeForOnnx(EncoderProblem):
    """The model does not fit into one ONNX file; torch can run it."""


def fits_onnx(weights: Path) -> bool:
    """Whether the graphs made from ``weights`` can be written: one file holds 2 GB, and fp16 weights become twice."""
    return float32_bytes(weights) <= _MOST_BYTES


def graph_folder(card: EncoderCard) -> Path:
    """Folder of the graphs made from these weights, architecture and normalisation by this version of the exporter."""
    made_from: dict[str, Any] = {
        "weights": card.files["weights"].sha256,
        "architecture": card.architecture,
        "input_px": card.input_px,
        "mean": list(card.mean),
        "std": list(card.std),
        "exporter": EXPORT_VERSION,
    }
    return cache_folder() / "onnx" / settings_id(made_from)


def graph_file(
    card: EncoderCard,
    folder: Path,
    tower: Tower,
    *,
    int8: bool = False,
    report: Callable[[str], None] | None = None,
) -> Path:
    """Path of the checked graph of one tower of the model in ``folder``; makes it if it is missing or damaged.

    ``int8``: with its matrix products in whole numbers, see :mod:`plipdesk.encoders.int8_graph`.

    Raises:
        EncoderProblem: the weights are not those of the card, cannot be read, or do not fit the architecture.
        DiskFull: no room in the cache.
    """
    kept = graph_folder(card)
    name = f"{tower}-int8" if int8 else tower
    with _ONE_AT_A_TIME:
        found = _checked(kept, name)
        if found is not None:
            return found
        if report is not None:
            report(f"Preparing {card.name} for this computer; this is done once.")
        # Again, since the model may have been replaced while it was in use, and the cache must not keep a mixture.
        weights = verified_file(folder, card.files["weights"])
        model = _export(card, weights, tower)
        content = (int8_graph(model) if int8 else model).SerializeToString()
        digest = hashlib.sha256(content).hexdigest()
        path = kept / f"{name}-{digest[:16]}.onnx"
        with atomic_write(path) as stream:
            stream.write(content)
        with atomic_write(kept / f"{name}.json") as stream:
            stream.write(json.dumps({"file": path.name, "bytes": len(content), "sha256": digest}).encode())
        return path


def _checked(folder: Path, name: str) -> Path | None:
    try:
        entry = json.loads((folder / f"{name}.json").read_bytes())
        path = folder / str(entry["file"])
        whole = path.parent == folder and path.stat().st_size == entry["bytes"] and sha256_of(path) == entry["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return path if whole else None


def _export(card: EncoderCard, weights: Path, tower: Tower) -> onnx.ModelProto:
    if not fits_onnx(weights):
        raise TooLargeForOnnx(
            f"{card.name} is too large for ONNX Runtime's file format.", remedy="Choose the torch runtime."
        )
    if tower == "text":
        if not clip_graph.handles_text(card.architecture):
            raise EncoderProblem(
                f"The text tower of {card.name} cannot be written for ONNX Runtime.", remedy="Choose the torch runtime."
            )
        with TensorFile(weights) as tensors:
            write = bert_graph if "bert" in card.architecture["text_cfg"] else clip_graph.text_graph
            model = write(card, Weights(tensors))
    elif clip_graph.handles_image(card.architecture):
        with TensorFile(weights) as tensors:
            model = clip_graph.image_graph(card, Weights(tensors))
    else:
        model = _recorded(card, weights)
    return model


def _recorded(card: EncoderCard, weights: Path) -> onnx.ModelProto:
    """The graph of an image tower that is not CLIP's own: from what torch records of it, or by torch's exporter."""
    import torch

    from plipdesk.encoders.architecture import build_model
    from plipdesk.encoders.modules import image_tower
    from plipdesk.encoders.trunk_graph import UnknownOperation, trunk_graph
    from plipdesk.encoders.vit_graph import vit_graph

    model: Any = build_model(card.architecture).eval()
    load_weights(model, weights)
    for write in (vit_graph, trunk_graph):
        with contextlib.suppress(UnknownOperation):
            return write(card, model.visual)
    with warnings.catch_warnings():
        # torch's exporter warns about its own internals.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            image_tower(model, card),
            (torch.zeros(2, card.input_px, card.input_px, 3, dtype=torch.uint8),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=1 << 16)},),
            input_names=["pixels"],
            output_names=["embeddings"],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program.model_proto
