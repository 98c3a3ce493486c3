"""Whether a model's tensors are those its configuration asks for, told before memory is taken for either."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.architecture import build_model
from plipdesk.encoders.card import EncoderProblem

if TYPE_CHECKING:
    import torch


def check_fit(architecture: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse tensors that are not exactly those of ``architecture``.

    Raises:
        EncoderProblem: one is missing, too many, or of another shape; the message names the first.
    """
    wanted = expected_shapes(architecture)
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted == found:
        return
    remedy = "Check that configuration and weights belong to the same model, and that the file was copied whole."
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or extra:
        kind, names = ("lack", missing) if missing else ("hold more than the model, such as", extra)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise EncoderProblem(f"The weights {kind} {names[0]}{more}.", path=path, remedy=remedy)
    name = next(name for name in sorted(wanted) if wanted[name] != found[name])
    raise EncoderProblem(f"The weights of {name} are {found[name]}, not {wanted[name]}.", path=path, remedy=remedy)


def expected_shapes(architecture: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors of the model that ``architecture`` describes; nothing is allocated.

    Raises:
        EncoderProblem: it cannot be built.
    """
    import torch

    with torch.device("meta"):
        model = build_model(architecture)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
