"""What another encoder costs: slides and patches that it has not seen, cut as they were cut before."""

from __future__ import annotations

from pathlib import Path

import pytest

from plipdesk.encoders.null import null_card
from plipdesk.indexing.reencoding import plan_reencoding
from tests.catalogue.helpers import embedding, slide

TILING = {"patch_px": 64, "patch_mpp_um": 0.5, "overlap": 0.0, "tissue": "auto"}


@pytest.fixture
def here(tmp_path: Path) -> str:
    path = tmp_path / "1.svs"
    path.write_bytes(b"")
    return str(path)


def test_patches_are_counted_by_their_area(here: str) -> None:
    # 1,000 patches of 32 µm are 250 of 64 µm.
    card = null_card().model_copy(update={"mpp_um": 1.0, "id": "other"})
    plan = plan_reencoding([slide(1, path=here)], [embedding(1, patches=1000, tiling=TILING)], card)
    assert (plan.slides, plan.patches) == (1, 250)
    assert plan.jobs == ({"paths": [here], "encoder": "other", "tissue": "auto", "overlap": 0.0},)


def test_what_is_encoded_costs_nothing(here: str) -> None:
    card = null_card()
    rows = [embedding(1, encoder=card.fingerprint("fp32"), tiling=TILING)]
    assert plan_reencoding([slide(1, path=here)], rows, card).jobs == ()


def test_without_vectors_the_tissue_tells(here: str) -> None:
    # 1 mm² of tissue holds 976.6 patches of 32 µm.
    assert plan_reencoding([slide(1, path=here, tissue_mm2=1.0)], [], null_card()).patches == 977


def test_rules_are_kept_and_what_cannot_be_is_said(here: str) -> None:
    slides = [slide(1, path=here), slide(2, path=here), slide(3, path=here), slide(4, path="/gone/4.svs")]
    rows = [
        embedding(1, tiling=TILING | {"tissue": "all"}),
        embedding(2, tiling=TILING | {"tissue": "drawn", "mask_sha256": "0"}),
        embedding(3, tiling=TILING | {"overlap": 0.5}),
        embedding(4, tiling=TILING),
    ]
    plan = plan_reencoding(slides, rows, null_card())
    assert [(job["tissue"], job["overlap"]) for job in plan.jobs] == [("all", 0.0), ("auto", 0.0), ("auto", 0.5)]
    assert plan.slides == 3
    assert plan.notes[0].startswith("1 of the slides are not where they were")
    assert "drawn by hand" in plan.notes[1]
