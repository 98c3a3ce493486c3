"""Reading for windows: stale requests are dropped, few slides stay open, changed files are opened anew."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile

from plipdesk.base.errors import Bug
from plipdesk.engine import messages as m
from plipdesk.engine.viewing import OpenSlides, ViewingService
from plipdesk.slides.errors import ChannelsNeeded, SlideProblem
from plipdesk.slides.opening import open_slide
from plipdesk.slides.tissue import detect_tissue
from tests.drawing import pyramidal_tiff, tissue_picture


class FakeWindow:
    """The far end of a window's connection; the first reply blocks until the test lets it go."""

    def __init__(self, number: int = 1) -> None:
        self.number = number
        self.replies: dict[int, m.Message] = {}
        self.go = threading.Event()
        self.began = threading.Event()
        self._came = threading.Condition()

    def reply(self, request_id: int, message: m.Message) -> None:
        self.began.set()
        assert self.go.wait(30)
        with self._came:
            self.replies[request_id] = message
            self._came.notify_all()

    def wait_for(self, count: int) -> dict[int, m.Message]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.replies) >= count, timeout=30)
        return self.replies


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return pyramidal_tiff(tmp_path / "a.tif", width_px=512, height_px=384, levels=2, seed=1)


def _service() -> ViewingService:
    def unforeseen(error: BaseException) -> Bug:
        raise error

    return ViewingService(threads=1, unforeseen=unforeseen)


def _region(path: Path, generation: int) -> m.ReadRegion:
    return m.ReadRegion(str(path), 0, 0, 256, 192, 256, 192, generation)


def test_a_region_at_full_resolution_is_the_slides_own_pixels(slide: Path) -> None:
    service, window = _service(), FakeWindow()
    window.go.set()
    service.answer(window, 1, _region(slide, 0))  # type: ignore[arg-type]
    pixels = window.wait_for(1)[1]
    assert isinstance(pixels, m.Pixels)
    assert pixels.rgb == tissue_picture(512, 384, seed=1)[:192, :256].tobytes()
    service.close()


def test_what_nobody_waits_for_any_more_is_not_read(slide: Path) -> None:
    service, window = _service(), FakeWindow()
    service.answer(window, 1, _region(slide, 1))  # type: ignore[arg-type]
    assert window.began.wait(30)
    # The only thread is busy with the first: the second waits, and is stale when the third comes.
    service.answer(window, 2, _region(slide, 1))  # type: ignore[arg-type]
    service.answer(window, 3, _region(slide, 2))  # type: ignore[arg-type]
    window.go.set()
    replies = window.wait_for(3)
    assert replies[2] == m.Pixels(0, 0, b"")
    assert all(isinstance(replies[number], m.Pixels) and replies[number].width_px == 256 for number in (1, 3))
    service.close()


def test_one_windows_haste_drops_nothing_of_another(slide: Path) -> None:
    service, first, second = _service(), FakeWindow(1), FakeWindow(2)
    first.go.set()
    second.go.set()
    service.answer(first, 1, _region(slide, 9))  # type: ignore[arg-type]
    service.answer(second, 1, _region(slide, 1))  # type: ignore[arg-type]
    assert second.wait_for(1)[1].width_px == 256  # type: ignore[attr-defined]
    service.gone(first)  # type: ignore[arg-type]
    service.close()


def test_one_views_haste_drops_nothing_of_its_neighbour(slide: Path) -> None:
    service, window = _service(), FakeWindow()
    window.go.set()
    service.answer(window, 1, _region(slide, 9))  # type: ignore[arg-type]
    beside = m.ReadRegion(str(slide), 0, 0, 256, 192, 256, 192, generation=1, view=2)
    service.answer(window, 2, beside)  # type: ignore[arg-type]
    assert window.wait_for(2)[2].width_px == 256  # type: ignore[attr-defined]
    service.close()


def test_tissue_travels_as_bits(slide: Path) -> None:
    service, window = _service(), FakeWindow()
    window.go.set()
    service.answer(window, 1, m.FindTissue(str(slide)))  # type: ignore[arg-type]
    found = window.wait_for(1)[1]
    service.close()
    assert isinstance(found, m.TissueFound)
    with open_slide(slide) as reader:
        expected = detect_tissue(reader)
    rows = np.frombuffer(found.bits, np.uint8).reshape(found.height_px, -1)
    assert (np.unpackbits(rows, axis=1, count=found.width_px).astype(bool) == expected.mask).all()
    assert found.downsample == expected.downsample
    assert expected.mask.any()


def test_a_profile_that_is_not_there_changes_nothing(slide: Path) -> None:
    service, window = _service(), FakeWindow()
    window.go.set()
    service.answer(window, 1, m.OpenSlide(str(slide)))  # type: ignore[arg-type]
    service.answer(window, 2, _region(slide, 0))  # type: ignore[arg-type]
    service.answer(window, 3, m.ReadRegion(str(slide), 0, 0, 256, 192, 256, 192, 0, True))  # type: ignore[arg-type]
    replies = window.wait_for(3)
    service.close()
    assert isinstance(replies[1], m.SlideOpened)
    assert not replies[1].has_icc
    assert replies[2] == replies[3]


def test_a_broken_slide_is_answered_in_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"nothing")
    service, window = _service(), FakeWindow()
    window.go.set()
    service.answer(window, 1, m.OpenSlide(str(broken)))  # type: ignore[arg-type]
    reply = window.wait_for(1)[1]
    assert isinstance(reply, m.Failed)
    assert reply.kind == "slide"
    assert reply.path == str(broken)
    service.close()


def test_slides_stay_open_while_they_are_used_and_few_beyond_that(tmp_path: Path) -> None:
    paths = [
        pyramidal_tiff(tmp_path / f"{number}.tif", width_px=256, height_px=256, levels=1, seed=number)
        for number in range(3)
    ]
    slides = OpenSlides(keep=1)
    with slides.lent(str(paths[0])) as first:
        with slides.lent(str(paths[0])) as again:
            assert again is first
        with slides.lent(str(paths[1])), slides.lent(str(paths[2])):
            # Out of the shelf, but still in use.
            assert first.read_region(0, 0, 0, 8, 8).shape == (8, 8, 3)
    with pytest.raises(Exception, match="closed"):
        first.read_region(0, 0, 0, 8, 8)
    with slides.lent(str(paths[0])) as fresh:
        assert fresh is not first
    slides.close()


def test_chosen_channels_are_shown_and_a_new_choice_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep.ome.tif"
    planes = np.arange(3 * 64 * 64, dtype=np.uint8).reshape(3, 64, 64)
    tifffile.imwrite(path, planes, photometric="minisblack", tile=(64, 64), metadata={"axes": "CYX"})
    chosen: dict[str, tuple[int, ...]] = {}
    slides = OpenSlides(channels_of=chosen.get)
    with pytest.raises(ChannelsNeeded), slides.lent(str(path)):
        pass
    for channels in ((0, 1, 2), (2, 1, 0)):
        chosen[str(path)] = channels
        for _ in range(2):
            with slides.lent(str(path)) as reader:
                assert (reader.read_region(0, 0, 0, 64, 64) == np.moveaxis(planes[list(channels)], 0, -1)).all()
    slides.close()


def test_a_file_that_changed_is_opened_anew(slide: Path) -> None:
    slides = OpenSlides()
    with slides.lent(str(slide)) as before:
        pass
    pyramidal_tiff(slide, width_px=512, height_px=384, levels=2, seed=2)
    os.utime(slide, ns=(1, 1))
    with slides.lent(str(slide)) as after:
        assert after is not before
        assert (after.read_region(0, 0, 0, 512, 384) == tissue_picture(512, 384, seed=2)).all()
    slide.unlink()
    with pytest.raises(SlideProblem), slides.lent(str(slide)):
        pass
    slides.close()
