"""What lies in a drag or on the clipboard: files, or a picture."""

from __future__ import annotations

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QMimeData
from PySide6.QtGui import QImage


def local_paths(mime: QMimeData) -> list[str]:
    """The files and folders of this machine that a drag or the clipboard names."""
    return [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]


def dropped_image(mime: QMimeData) -> QImage | None:
    """The picture that a drag or the clipboard holds, if it holds one and no file."""
    if not mime.hasImage() or local_paths(mime):
        return None
    image = mime.imageData()
    if isinstance(image, QImage) and not image.isNull():
        return image
    return None


def png_of(image: QImage) -> bytes:
    """The picture as a PNG file."""
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    buffer.close()
    return bytes(content.data())
