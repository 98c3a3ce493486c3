"""How well the shipped filter "is this a pathology picture" does on held-out cases of the atlas; learns it anew.

``python -m benchmarks.pathology_filter [--write]``: tiles by case and stain, drawn charts, screenshots, radiographs and
odds and ends. With ``--write`` the filter that is shipped and its card are written (after the embedded model changed).
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import machine, write_result
from plipdesk.base.progress import QuietContext
from plipdesk.base.resources import resource_path
from plipdesk.datasets.holdout import read_held_out
from plipdesk.datasets.pathology_filter import SHIPPED, gather_examples, learn_filter, save_filter
from plipdesk.encoders.loading import find_encoder, load_encoder

_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
_EVERY = 3
"""Of so many tiles of a slide one is taken: they are much alike."""
_CYTOLOGY = ("CSF-", "neuroendocrine-cytology", "high-grade-glioma-squash")


def class_of(case: str, stain: str) -> str:
    """What a tile of the atlas is an example of."""
    if case.startswith(_CYTOLOGY):
        return "cytology"
    return "immunohistochemistry" if stain.startswith("IHC") else "histology"


def lay_out(data: Path, folder: Path) -> None:
    """Links to tiles as ``folder/CLASS/CASE/tile``."""
    with (data / "tiles" / "tiles.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows[::_EVERY]:
        place = folder / class_of(row["case"], row["stain"]) / row["case"]
        place.mkdir(parents=True, exist_ok=True)
        (place / row["path"].replace("/", "-")).symlink_to(data / "tiles" / row["path"])


def main() -> dict[str, Any]:
    encoder = load_encoder(find_encoder(None, None))
    with tempfile.TemporaryDirectory() as folder:
        lay_out(_DATA, Path(folder))
        examples = gather_examples(Path(folder), encoder, QuietContext())
    held_out = read_held_out(resource_path("splits/atlas-heldout.yaml"))
    probe, card = learn_filter(examples, encoder, held_out=held_out)
    encoder.close()
    if "--write" in sys.argv:
        save_filter(resource_path("datasets") / SHIPPED.partition("/")[2], probe, card)
    result = {"machine": machine(), "classes": card["classes"], "pathology": card["pathology"]}
    write_result("pathology_filter", result)
    for name, one in card["classes"].items():
        print(f"{name:>22} {one}")
    for one in card["pathology"]:
        print(one)
    return result


if __name__ == "__main__":
    main()
