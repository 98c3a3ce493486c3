"""Answering a window's reads: few open slides, few threads, and what nobody waits for any more is not read."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.budget import CpuBudget
from plipdesk.base.errors import Bug, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.engine import messages as m
from plipdesk.engine.client import attach_child
from plipdesk.engine.logs import ProcessLog
from plipdesk.engine.rendezvous import EngineNote
from plipdesk.engine.server import Peer, Server, in_words
from plipdesk.engine.transport import Address, Listener
from plipdesk.slides.errors import ChannelsNeeded
from plipdesk.slides.eye_colour import EyeColour
from plipdesk.slides.opening import open_as_known
from plipdesk.slides.patches import read_scaled
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.tissue import tissue_mask

OPEN_SLIDES = 8
MAX_PICTURE_PX = 16 * 1024 * 1024
"""Pixels of the largest picture that is sent at once: 48 MiB, which fits into one frame."""
_Key = tuple[str, float | None, int, int]
ChannelsOf = Callable[[str], tuple[int, ...] | None]


@dataclass
class _Held:
    reader: SlideReader
    users: int = 0
    dropped: bool = False


class OpenSlides:
    """The slides that were looked at last, kept open. Thread-safe; a file that changed is opened anew."""

    def __init__(self, keep: int = OPEN_SLIDES, channels_of: ChannelsOf | None = None) -> None:
        """Keep so many; ``channels_of`` tells by what channels a slide that is no 8-bit colour is to be read."""
        self._keep = keep
        self._channels_of = channels_of or (lambda _: None)
        self._lock = threading.Lock()
        self._held: OrderedDict[_Key, _Held] = OrderedDict()

    @contextlib.contextmanager
    def lent(self, path: str, mpp_um: float | None = None) -> Iterator[SlideReader]:
        """An open slide, which stays open at least until it is given back.

        Raises:
            SlideProblem: it cannot be opened.
        """
        held = self._take(path, mpp_um)
        try:
            yield held.reader
        finally:
            with self._lock:
                held.users -= 1
                done = held.dropped and held.users == 0
            if done:
                held.reader.close()

    def _take(self, path: str, mpp_um: float | None) -> _Held:
        key = _key(path, mpp_um)
        with self._lock:
            held = self._held.get(key)
            shown = None if held is None else held.reader.info.channels
        # Asked for every read, as a person may choose others meanwhile; few slides have any.
        chosen = None if shown is None else self._channels_of(path)
        with self._lock:
            held = self._held.get(key)
            if held is not None and held.reader.info.channels == chosen:
                held.users += 1
                self._held.move_to_end(key)
                return held
        # Opening may take a second; meanwhile other slides go on. Two that open the same one: the later is kept.
        held = _Held(self._open(path, mpp_um), users=1)
        with self._lock:
            surplus = [self._held.pop(key)] if key in self._held else []
            self._held[key] = held
            while len(self._held) > self._keep:
                surplus.append(self._held.popitem(last=False)[1])
            for old in surplus:
                old.dropped = True
            idle = [old for old in surplus if old.users == 0]
        for old in idle:
            old.reader.close()
        return held

    def _open(self, path: str, mpp_um: float | None) -> SlideReader:
        try:
            return open_as_known(Path(path), mpp_um=mpp_um)
        except ChannelsNeeded:
            return open_as_known(Path(path), mpp_um=mpp_um, channels=self._channels_of(path))

    def close(self) -> None:
        """Close every slide that is not in use."""
        with self._lock:
            held = list(self._held.values())
            self._held.clear()
            for each in held:
                each.dropped = True
            idle = [each for each in held if each.users == 0]
        for each in idle:
            each.reader.close()


def _key(path: str, mpp_um: float | None) -> _Key:
    try:
        file = Path(path).stat()
    except OSError:
        return (path, mpp_um, 0, 0)
    return (path, mpp_um, file.st_size, file.st_mtime_ns)


class ViewingService:
    """The reader process as windows see it."""

    def __init__(
        self, *, threads: int, unforeseen: Callable[[BaseException], Bug], channels_of: ChannelsOf | None = None
    ) -> None:
        self._slides = OpenSlides(channels_of=channels_of)
        self._unforeseen = unforeseen
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="view")
        self._generation: dict[tuple[int, int], int] = {}
        self._gone: set[int] = set()
        self._colours: weakref.WeakKeyDictionary[SlideReader, EyeColour | None] = weakref.WeakKeyDictionary()
        self._colours_lock = threading.Lock()

    def welcome(self, _peer: Peer) -> m.Message:
        """Let a window in."""
        return m.Welcome(version=m.PROTOCOL_VERSION, engine_pid=os.getpid(), workspace="")

    def gone(self, peer: Peer) -> None:
        """A window is gone: what it asked for is not read."""
        self._gone.add(peer.number)

    def answer(self, peer: Peer, request_id: int, message: m.Message) -> m.Message | None:
        """Queue a read; the reply comes later."""
        work: Callable[[], m.Message]
        match message:
            case m.OpenSlide():
                work = partial(self._open, message)
            case m.ReadRegion():
                view = (peer.number, message.view)
                self._generation[view] = max(self._generation.get(view, 0), message.generation)
                work = partial(self._region, peer, message)
            case m.ReadThumbnail():
                work = partial(self._thumbnail, message)
            case m.FindTissue():
                work = partial(self._tissue, message)
            case _:
                raise UsageProblem(f"The reader cannot be asked for {type(message).__name__}.")
        self._pool.submit(self._reply, peer, request_id, work)
        return None

    def _reply(self, peer: Peer, request_id: int, work: Callable[[], m.Message]) -> None:
        reply = in_words(work, self._unforeseen)
        assert reply is not None
        peer.reply(request_id, reply)

    def _open(self, asked: m.OpenSlide) -> m.Message:
        with self._slides.lent(asked.path, asked.mpp_um) as reader:
            info = reader.info
        return m.SlideOpened(
            path=asked.path,
            width_px=info.width_px,
            height_px=info.height_px,
            levels=tuple(m.LevelSize(level.width_px, level.height_px, level.downsample) for level in info.levels),
            mpp_um=info.mpp_um,
            mpp_source=info.mpp_source,
            objective_power=info.objective_power,
            notes=info.notes,
            has_icc=info.has_icc_profile,
        )

    def _region(self, peer: Peer, asked: m.ReadRegion) -> m.Message:
        stale = asked.generation != self._generation.get((peer.number, asked.view), 0)
        if stale or peer.number in self._gone:
            return m.Pixels(0, 0, b"")
        _check_size(asked.width_px, asked.height_px)
        with self._slides.lent(asked.path) as reader:
            pixels = read_scaled(
                reader,
                asked.x0_px,
                asked.y0_px,
                asked.width0_px,
                asked.height0_px,
                asked.width_px,
                asked.height_px,
            )
            return _pixels(self._for_the_eye(reader, pixels) if asked.icc else pixels)

    def _thumbnail(self, asked: m.ReadThumbnail) -> m.Message:
        _check_size(asked.max_px, asked.max_px)
        with self._slides.lent(asked.path) as reader:
            pixels = reader.thumbnail(asked.max_px)
            return _pixels(self._for_the_eye(reader, pixels) if asked.icc else pixels)

    def _tissue(self, asked: m.FindTissue) -> m.Message:
        with self._slides.lent(asked.path, asked.mpp_um) as reader:
            found = tissue_mask(reader, asked.rule)
        height_px, width_px = found.mask.shape
        return m.TissueFound(width_px, height_px, found.downsample, np.packbits(found.mask, axis=1).tobytes())

    def _for_the_eye(self, reader: SlideReader, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        with self._colours_lock:
            if reader not in self._colours:
                self._colours[reader] = EyeColour.of(reader)
            colour = self._colours[reader]
        return pixels if colour is None else colour.apply(pixels)

    def close(self) -> None:
        """Read no more."""
        self._pool.shutdown(cancel_futures=True)
        self._slides.close()


def _check_size(width_px: int, height_px: int) -> None:
    if width_px < 1 or height_px < 1 or width_px * height_px > MAX_PICTURE_PX:
        raise UsageProblem(f"A picture of {width_px} × {height_px} pixels cannot be sent.")


def _pixels(pixels: NDArray[np.uint8]) -> m.Pixels:
    return m.Pixels(width_px=pixels.shape[1], height_px=pixels.shape[0], rgb=pixels.tobytes())


def _channels_of(workspace: Workspace, path: str) -> tuple[int, ...] | None:
    """What the catalogue says by which channels a slide is read; imported when the first slide needs it."""
    from plipdesk.catalogue.catalogue import Catalogue

    with Catalogue.open(workspace, readonly=True) as catalogue:
        slide = catalogue.slides.at_path(Path(path))
    return None if slide is None else slide.channels


def serve_windows(options: Namespace) -> None:
    """Read slides for the windows of the engine that ``options`` of the command line name; returns if it is gone."""
    workspace = Workspace(options.workspace)
    log = ProcessLog(workspace, "reader")
    engine = attach_child("reader", workspace, options.child, options.engine_pid)
    note = EngineNote.read(workspace)
    if engine is None or note is None:
        return
    listener = Listener(beside=Address.parse(note.address))
    service = ViewingService(
        threads=CpuBudget.of_machine().reader_threads, unforeseen=log.bug, channels_of=partial(_channels_of, workspace)
    )
    Server(listener, service, unforeseen=log.bug).start()
    engine.request(m.ReaderReady(str(listener.address)))
    # Whatever ends the engine ends this process, on the connection's thread.
    threading.Event().wait()
