"""The reader process: pictures for windows, without torch, back after a crash."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from plipdesk.base.errors import PlipdeskError
from plipdesk.engine import messages as m
from plipdesk.engine.client import ReaderClient
from plipdesk.engine.transport import ConnectionLost
from tests.processes.harness import Site


def test_a_window_reads_slides(site: Site, drawn: list[Path]) -> None:
    watcher = site.connect()
    address = watcher.ask(m.GetReader(), m.ReaderAt).address
    path = str(drawn[0])
    with ReaderClient.connect(address) as reader:
        opened = reader.request(m.OpenSlide(path))
        assert isinstance(opened, m.SlideOpened)
        assert (opened.width_px, opened.height_px, opened.mpp_um) == (512, 384, 0.5)
        assert [level.width_px for level in opened.levels] == [512, 256]
        thumbnail = reader.request(m.ReadThumbnail(path, 128))
        assert isinstance(thumbnail, m.Pixels)
        assert (thumbnail.width_px, thumbnail.height_px) == (128, 96)
        assert len(thumbnail.rgb) == 128 * 96 * 3
        region = reader.request(m.ReadRegion(path, 0, 0, 512, 384, 256, 192))
        assert isinstance(region, m.Pixels)
        assert len(region.rgb) == 256 * 192 * 3
        with pytest.raises(PlipdeskError) as missing:
            reader.request(m.OpenSlide(str(drawn[0].with_name("none.tif"))))
        assert missing.value.kind == "not-found"
        with pytest.raises(PlipdeskError, match="cannot be sent"):
            reader.request(m.ReadRegion(path, 0, 0, 512, 384, 60_000, 60_000))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory map of a process")
def test_the_reader_loads_no_models(site: Site, drawn: list[Path]) -> None:
    watcher = site.connect()
    with ReaderClient.connect(watcher.ask(m.GetReader(), m.ReaderAt).address) as reader:
        reader.request(m.ReadThumbnail(str(drawn[0]), 64))
        (process,) = site.processes("reader")
        libraries = {Path(area.path).name for area in process.memory_maps()}
    assert any("openslide" in name for name in libraries)
    for name in libraries:
        assert not name.startswith(("libtorch", "libonnxruntime", "onnxruntime"))


def test_a_reader_that_dies_is_started_again(site: Site, drawn: list[Path]) -> None:
    watcher = site.connect()
    first = watcher.ask(m.GetReader(), m.ReaderAt).address
    reader = ReaderClient.connect(first)
    site.kill("reader")
    with pytest.raises(ConnectionLost):
        while True:
            reader.request(m.ReadThumbnail(str(drawn[0]), 64))
    reader.close()
    address = first
    while address == first:
        address = watcher.ask(m.GetReader(), m.ReaderAt).address
    with ReaderClient.connect(address) as again:
        assert isinstance(again.request(m.ReadThumbnail(str(drawn[0]), 64)), m.Pixels)
