"""``plipdesk index`` against the script people write themselves (OpenSlide, PIL and the eager model in one loop), and,
where it is installed, against LazySlide: the same slide, the same weights, whole processes, in pairs.

``python -m benchmarks.plain_script [MODEL …]``. LazySlide is asked for only where ``PLIPDESK_LAZYSLIDE`` names the
Python of an environment of its own that has it.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import in_pairs, machine, write_result

PAIRS = 3
BATCH = 32
SLIDES = Path(os.environ.get("PLIPDESK_REALDATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "slides"
SLIDE = "lung_scc_HE3.tif"


def plain_loop(slide_path: str, model_folder: str, mpp_um: str, out: str) -> int:
    """Cut, encode and store a slide the plain way; returns the number of patches."""
    import openslide
    import torch
    from open_clip.transform import image_transform
    from PIL import Image
    from safetensors.torch import load_file

    from plipdesk.encoders.architecture import build_model

    card = json.loads(Path(model_folder, "card.json").read_text(encoding="utf-8"))
    model = build_model(card["architecture"])
    weights = load_file(Path(model_folder, card["files"]["weights"]["name"]))
    model.load_state_dict(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    )
    model.eval()
    transform = image_transform(
        card["input_px"], is_train=False, mean=tuple(card["mean"]), std=tuple(card["std"]), interpolation="bicubic"
    )
    slide = openslide.OpenSlide(slide_path)
    size0_px = round(card["input_px"] * card["mpp_um"] / float(mpp_um))
    level = slide.get_best_level_for_downsample(size0_px / card["input_px"])
    side = max(1, round(size0_px / slide.level_downsamples[level]))
    batch: list[torch.Tensor] = []
    vectors: list[np.ndarray] = []

    def encode() -> None:
        with torch.inference_mode():
            vectors.append(model.encode_image(torch.stack(batch), normalize=True).numpy())
        batch.clear()

    for y in range(0, slide.dimensions[1] - size0_px + 1, size0_px):
        for x in range(0, slide.dimensions[0] - size0_px + 1, size0_px):
            region = slide.read_region((x, y), level, (side, side)).convert("RGB")
            colours = np.ptp(np.asarray(region.resize((32, 32), Image.Resampling.BOX)), axis=2)
            if (colours > 15).mean() < 0.15:
                continue
            batch.append(transform(region))
            if len(batch) == BATCH:
                encode()
    if batch:
        encode()
    np.save(out, np.concatenate(vectors))
    return sum(len(part) for part in vectors)


def lazyslide_loop(slide_path: str, model_folder: str, mpp_um: str, out: str) -> int:
    """The same by LazySlide, with the same model given as a torch module."""
    import lazyslide as zs  # type: ignore[import-not-found]
    import torch
    from open_clip.transform import image_transform
    from PIL import Image
    from safetensors.torch import load_file
    from wsidata import open_wsi  # type: ignore[import-not-found]

    from plipdesk.encoders.architecture import build_model

    card = json.loads(Path(model_folder, "card.json").read_text(encoding="utf-8"))
    model = build_model(card["architecture"])
    weights = load_file(Path(model_folder, card["files"]["weights"]["name"]))
    model.load_state_dict(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    )

    class Tower(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return model.eval().encode_image(pixels, normalize=True)

    wsi = open_wsi(slide_path)
    wsi.set_mpp(float(mpp_um))
    zs.pp.find_tissues(wsi)
    zs.pp.tile_tissues(wsi, card["input_px"], mpp=card["mpp_um"])
    transform = image_transform(
        card["input_px"], is_train=False, mean=tuple(card["mean"]), std=tuple(card["std"]), interpolation="bicubic"
    )

    def prepared(pixels: np.ndarray) -> torch.Tensor:
        return transform(Image.fromarray(np.asarray(pixels)))

    zs.tl.feature_extraction(wsi, Tower(), model_name="model", transform=prepared, batch_size=BATCH, device="cpu")
    found = wsi.tables["model_tiles"].X
    np.save(out, found)
    return len(found)


def model_folders(workspace: Path) -> dict[str, Path]:
    """The embedded model, and a ViT-B/32 of random weights in the workspace: speed does not depend on the weights."""
    from plipdesk.base.resources import resource_path
    from tests.encoders.models import VIT_B_32, write_model

    return {
        "plipdesk-mini": resource_path("models/plipdesk-mini"),
        "random-vit-b-32": write_model(workspace / "models" / "random-vit-b-32", VIT_B_32),
    }


def _times(command: Callable[[], list[str]], counts: list[int], read: Callable[[str], int]) -> Callable[[], None]:
    def call() -> None:
        counts.append(read(subprocess.run(command(), check=True, capture_output=True, text=True).stdout))

    return call


def _index_anew(folder: Path, slide: Path, encoder: str) -> list[str]:
    """The command that indexes a slide in a workspace that has seen none."""
    workspace = Path(tempfile.mkdtemp(dir=folder))
    (workspace / "models").symlink_to(folder / "models")
    words = ["index", str(slide), "--encoder", encoder, "--json", "--quiet", "--workspace", str(workspace)]
    return [sys.executable, "-m", "plipdesk", *words]


def measure(chosen: list[str]) -> dict[str, Any]:
    """Patches a second of both, whole processes, imports and start included; of the ``chosen`` models, or of all."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    slide = SLIDES / SLIDE
    from plipdesk.slides.opening import open_slide

    with open_slide(slide) as reader:
        mpp_um = reader.info.mpp_um
    assert mpp_um is not None
    document: dict[str, Any] = {"machine": machine(), "slide": SLIDE}
    rivals = {"plain script": (sys.executable, "plain")}
    if "PLIPDESK_LAZYSLIDE" in os.environ:
        rivals["LazySlide"] = (os.environ["PLIPDESK_LAZYSLIDE"], "lazyslide")
    with tempfile.TemporaryDirectory() as folder:
        for encoder, model_folder in model_folders(Path(folder)).items():
            if chosen and encoder not in chosen:
                continue
            for rival, (python, mode) in rivals.items():
                ours: list[int] = []
                theirs: list[int] = []
                plain = [
                    python,
                    __file__,
                    mode,
                    str(slide),
                    str(model_folder),
                    str(mpp_um),
                    str(Path(folder, "out.npy")),
                ]
                index = functools.partial(_index_anew, Path(folder), slide, encoder)
                run_ours = _times(index, ours, lambda text: int(json.loads(text)["patches"]))
                run_theirs = _times(lambda plain=plain: plain, theirs, lambda text: int(text.split()[-1]))
                pairs = in_pairs(run_theirs, run_ours, pairs=PAIRS)
                ratio = sorted(
                    (first / second) * (ours[-1] / theirs[-1])
                    for first, second in zip(pairs.first_s, pairs.second_s, strict=True)
                )
                document.setdefault(encoder, {})[rival] = {
                    "patches_ours": ours[-1],
                    "patches_theirs": theirs[-1],
                    "times_their_patches_per_s": round(ratio[len(ratio) // 2], 2),
                    **pairs.document(names=("their_runs", "our_runs")),
                }
    return document


def main() -> None:
    """Measure and write the result."""
    if not (SLIDES / SLIDE).exists():
        print(f"no real slide at {SLIDES / SLIDE}: set PLIPDESK_REALDATA")
        return
    document = measure(sys.argv[1:])
    print(json.dumps(document, indent=2))
    write_result("plain_script", document)


if __name__ == "__main__":
    loops = {"plain": plain_loop, "lazyslide": lazyslide_loop}
    if sys.argv[1:2] and sys.argv[1] in loops:
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
        print(loops[sys.argv[1]](*sys.argv[2:]))
    else:
        main()
