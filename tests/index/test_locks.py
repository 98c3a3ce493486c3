"""Queries pass before background work."""

from __future__ import annotations

import threading

from plipdesk.index.locks import ReadersFirst


def test_readers_share_and_a_writer_is_alone() -> None:
    lock = ReadersFirst()
    both = threading.Barrier(2, timeout=10)
    seen: list[str] = []

    def read() -> None:
        with lock.reading():
            both.wait()
            seen.append("read")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    with lock.writing():
        late = threading.Thread(target=lambda: seen.append("late") if _entered(lock) else None)
        late.start()
        assert seen == ["read", "read"]
    late.join()
    assert seen == ["read", "read", "late"]


def _entered(lock: ReadersFirst) -> bool:
    with lock.reading():
        return True


def test_a_waiting_writer_does_not_hold_off_readers() -> None:
    lock = ReadersFirst()
    order: list[str] = []

    def write() -> None:
        with lock.writing():
            order.append("writer")

    writer = threading.Thread(target=write)
    with lock.reading():
        writer.start()
        other = threading.Thread(target=lambda: order.append("reader") if _entered(lock) else None)
        other.start()
        other.join(10)
        assert order == ["reader"]
    writer.join(10)
    assert order == ["reader", "writer"]
