"""The hits as an item model, and how one is drawn."""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractListModel,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from plipdesk.desktop import words
from plipdesk.desktop.pictures import PictureStore
from plipdesk.desktop.theme import Theme
from plipdesk.desktop.viewer.drawing import draw_scale_bar
from plipdesk.desktop.viewer.scale import scale_bar
from plipdesk.engine import messages as m
from plipdesk.search.query import Hit

HIT_ROLE = Qt.ItemDataRole.UserRole
PAD_PX = 6
Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


def percentile_text(percentile: float) -> str:
    """One decimal, but never rounded up to a perfect 100."""
    return QLocale().toString(min(percentile, 99.9) if percentile < 100 else 100.0, "f", 1)


def score_text(score: float) -> str:
    """Three decimals."""
    return QLocale().toString(score, "f", 3)


class HitModel(QAbstractListModel):
    """The hits of one answer; pictures are not here but in the store, fetched when seen."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._hits: tuple[Hit, ...] = ()

    def show(self, hits: tuple[Hit, ...]) -> None:
        """Other hits."""
        self.beginResetModel()
        self._hits = hits
        self.endResetModel()

    def hit(self, index: Index) -> Hit | None:
        """The hit at an index."""
        return self._hits[index.row()] if index.isValid() else None

    def rows_at(self, path: str, x0_px: float, y0_px: float) -> list[int]:
        """The rows of the hits at a place of a slide."""
        return [row for row, hit in enumerate(self._hits) if (hit.path, hit.x0_px, hit.y0_px) == (path, x0_px, y0_px)]

    def rowCount(self, parent: Index = _ROOT) -> int:  # noqa: N802
        """How many hits."""
        return 0 if parent.isValid() else len(self._hits)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The hit, its name, and what is read aloud."""
        if not index.isValid():
            return None
        hit = self._hits[index.row()]
        if role == HIT_ROLE:
            return hit
        if role == Qt.ItemDataRole.DisplayRole:
            return hit.name
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self.tr("Hit {rank}: {name}, percentile {percentile}").format(
                rank=hit.rank, name=hit.name, percentile=percentile_text(hit.percentile)
            )
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tooltip(hit)
        return None

    def _tooltip(self, hit: Hit) -> str:
        lines = [
            hit.name,
            self.tr("Percentile {p}: closer to the question than that share of random patches").format(
                p=percentile_text(hit.percentile)
            ),
            self.tr("Score {score} (cosine similarity)").format(score=score_text(hit.score)),
        ]
        if hit.case is not None:
            lines.append(self.tr("Case {name}").format(name=hit.case))
        if hit.merged > 1:
            lines.append(self.tr("Stands for {n} overlapping patches of this spot").format(n=words.count(hit.merged)))
        lines.append(self.tr("Enter opens it in the viewer"))
        return "\n".join(lines)


class HitDelegate(QStyledItemDelegate):
    """Draws a hit: its picture with a scale bar, the slide's name, percentile and score."""

    def __init__(self, store: PictureStore, theme: Theme, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._theme = theme
        self.side_px = 180
        """Side of a picture in screen pixels; the view chooses it so that the columns fill its width."""
        self.dimmed = False
        """Whether the hits answer nothing and are shown only so that the person can see for themselves."""

    def request_of(self, hit: Hit, device_ratio: float) -> m.ReadRegion:
        """What draws the hit's picture."""
        pixels = max(1, round(self.side_px * device_ratio))
        return m.ReadRegion(hit.path, hit.x0_px, hit.y0_px, hit.size0_px, hit.size0_px, pixels, pixels)

    def cell_size(self, font: QFont) -> QSize:
        """The size of every hit."""
        lines = QFontMetrics(font).height() * 2
        return QSize(self.side_px + 2 * PAD_PX, self.side_px + lines + 3 * PAD_PX)

    def sizeHint(self, option: QStyleOptionViewItem, _index: Index) -> QSize:  # noqa: N802
        """The same for all."""
        return self.cell_size(option.font)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one hit; asks the store for its picture."""
        hit = index.data(HIT_ROLE)
        if not isinstance(hit, Hit):
            return
        rect: QRect = option.rect
        state: QStyle.StateFlag = option.state
        colours = self._theme.colours
        painter.save()
        frame = QRect(rect.left() + PAD_PX, rect.top() + PAD_PX, self.side_px, self.side_px)
        selected = bool(state & QStyle.StateFlag.State_Selected)
        if selected:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(colours.accent), 2))
            painter.setBrush(QColor(colours.accent_soft))
            painter.drawRoundedRect(QRectF(rect).adjusted(1, 1, -1, -1), 7, 7)
        ratio = painter.device().devicePixelRatio()
        request = self.request_of(hit, ratio)
        pixmap = self._store.picture(request)
        if pixmap is not None:
            painter.setOpacity(0.4 if self.dimmed else 1.0)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawPixmap(QRectF(frame), pixmap, QRectF(pixmap.rect()))
            painter.setOpacity(1.0)
        else:
            self._draw_placeholder(painter, frame, self._store.reason(request))
        if hit.mpp_um is not None and pixmap is not None:
            small = painter.font()
            small.setPointSizeF(small.pointSizeF() * 0.85)
            painter.save()
            painter.setFont(small)
            bar = scale_bar(hit.size0_px * hit.mpp_um / self.side_px, self.side_px * 0.4)
            draw_scale_bar(painter, bar, frame.left() + 5, frame.bottom() - 4)
            painter.restore()
        self._draw_words(painter, frame, hit)
        painter.restore()

    def _draw_placeholder(self, painter: QPainter, frame: QRect, reason: str | None) -> None:
        painter.fillRect(frame, QColor(self._theme.colours.placeholder))
        if reason is not None:
            painter.setPen(QColor(self._theme.colours.muted))
            inside = frame.adjusted(8, 8, -8, -8)
            painter.drawText(inside, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), reason)

    def _draw_words(self, painter: QPainter, frame: QRect, hit: Hit) -> None:
        metrics = painter.fontMetrics()
        painter.setPen(QColor(self._theme.colours.text))
        top = frame.bottom() + 1 + PAD_PX // 2
        name = metrics.elidedText(hit.name, Qt.TextElideMode.ElideMiddle, frame.width())
        painter.drawText(QPointF(frame.left(), top + metrics.ascent()), name)
        painter.setPen(QColor(self._theme.colours.muted))
        percentile = self.tr("percentile {p}").format(p=percentile_text(hit.percentile))
        score = score_text(hit.score)
        baseline = top + metrics.height() + metrics.ascent()
        room = frame.width() - metrics.horizontalAdvance(score) - 8
        if metrics.horizontalAdvance(percentile) > room:
            percentile = self.tr("P {p}").format(p=percentile_text(hit.percentile))
        painter.drawText(QPointF(frame.left(), baseline), percentile)
        painter.drawText(QPointF(frame.left() + frame.width() - metrics.horizontalAdvance(score), baseline), score)
