"""Colours and icons: light or dark as the system says, or as the person chose."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Literal

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QImageReader, QPalette, QPixmap
from PySide6.QtWidgets import QApplication

from plipdesk.base.resources import resource_path

Choice = Literal["system", "light", "dark"]
CHOICES: tuple[Choice, ...] = ("system", "light", "dark")
ICON_SIZES_PX = (20, 40, 60)


@dataclass(frozen=True)
class Colours:
    """The colours of a theme, by what they are for."""

    window: str
    base: str
    alternate: str
    text: str
    muted: str
    button: str
    border: str
    accent: str
    accent_text: str
    accent_soft: str
    placeholder: str
    info: str
    info_text: str
    warning: str
    warning_text: str
    error: str
    error_text: str
    good: str
    tooltip: str
    tooltip_text: str
    canvas: str


def load_colours(name: Literal["light", "dark"]) -> Colours:
    """The colours of a shipped theme."""
    document = json.loads(resource_path(f"themes/{name}.json").read_text(encoding="utf-8"))
    return Colours(**{field.name: document[field.name] for field in fields(Colours)})


class Theme(QObject):
    """The theme in force; :attr:`changed` when the system or the person switches."""

    changed = Signal()

    def __init__(self, application: QApplication, choice: Choice = "system", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._application = application
        self._choice: Choice = choice
        self._icons: dict[str, QIcon] = {}
        self.dark = False
        self.colours = load_colours("light")
        application.styleHints().colorSchemeChanged.connect(self._refresh)
        self._apply_choice()
        self._refresh()

    @property
    def choice(self) -> Choice:
        """What the person chose."""
        return self._choice

    def choose(self, choice: Choice) -> None:
        """Follow the system, or always be light or dark."""
        self._choice = choice
        self._apply_choice()
        self._refresh()

    def icon(self, name: str) -> QIcon:
        """A shipped icon in the theme's text colour, greyed where disabled."""
        if name not in self._icons:
            source = resource_path(f"icons/{name}.svg").read_bytes()
            icon = QIcon()
            for mode, colour in ((QIcon.Mode.Normal, self.colours.text), (QIcon.Mode.Disabled, self.colours.border)):
                for size in ICON_SIZES_PX:
                    icon.addPixmap(_drawn(source.replace(b"currentColor", colour.encode()), size), mode)
            self._icons[name] = icon
        return self._icons[name]

    def picture(self, name: str, size_px: int, colour: str) -> QPixmap:
        """A shipped icon as a square pixmap in a colour."""
        source = resource_path(f"icons/{name}.svg").read_bytes()
        return _drawn(source.replace(b"currentColor", colour.encode()), size_px)

    def _apply_choice(self) -> None:
        schemes = {
            "system": Qt.ColorScheme.Unknown,
            "light": Qt.ColorScheme.Light,
            "dark": Qt.ColorScheme.Dark,
        }
        self._application.styleHints().setColorScheme(schemes[self._choice])

    def _refresh(self) -> None:
        hinted = self._application.styleHints().colorScheme() == Qt.ColorScheme.Dark
        self.dark = self._choice == "dark" or (self._choice == "system" and hinted)
        self.colours = load_colours("dark" if self.dark else "light")
        self._icons.clear()
        self._application.setPalette(_palette(self.colours))
        check = resource_path(f"icons/check-{'dark' if self.dark else 'light'}.svg").as_posix()
        self._application.setStyleSheet(_style_sheet(self.colours, check))
        self.changed.emit()


def _drawn(svg: bytes, size_px: int) -> QPixmap:
    buffer = QBuffer()
    buffer.setData(QByteArray(svg))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer, QByteArray(b"svg"))
    reader.setScaledSize(QSize(size_px, size_px))
    return QPixmap.fromImage(reader.read())


def _palette(colours: Colours) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    for kind, colour in (
        (role.Window, colours.window),
        (role.WindowText, colours.text),
        (role.Base, colours.base),
        (role.AlternateBase, colours.alternate),
        (role.Text, colours.text),
        (role.Button, colours.button),
        (role.ButtonText, colours.text),
        (role.BrightText, colours.accent_text),
        (role.Highlight, colours.accent),
        (role.HighlightedText, colours.accent_text),
        (role.Accent, colours.accent),
        (role.Link, colours.accent),
        (role.ToolTipBase, colours.tooltip),
        (role.ToolTipText, colours.tooltip_text),
        (role.PlaceholderText, colours.muted),
        (role.Mid, colours.border),
    ):
        palette.setColor(kind, QColor(colour))
    for kind in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, kind, QColor(colours.muted))
    return palette


def _style_sheet(colours: Colours, check: str) -> str:
    return f"""
    QRadioButton::indicator, QCheckBox::indicator {{
        width: 14px; height: 14px; border: 1px solid {colours.muted}; background: {colours.base};
    }}
    QRadioButton::indicator {{ border-radius: 8px; }}
    QCheckBox::indicator {{ border-radius: 3px; }}
    QRadioButton::indicator:checked {{
        border-color: {colours.accent};
        background: qradialgradient(cx:0.5, cy:0.5, radius:0.5, fx:0.5, fy:0.5,
            stop:0 {colours.accent}, stop:0.5 {colours.accent}, stop:0.6 {colours.base}, stop:1 {colours.base});
    }}
    QCheckBox::indicator:checked {{
        border-color: {colours.accent}; background: {colours.accent}; image: url("{check}");
    }}
    QRadioButton:focus, QCheckBox:focus {{ color: {colours.accent}; }}
    #filterLine {{
        background: {colours.base}; border: 1px solid {colours.border}; border-radius: 5px; padding: 3px 6px;
    }}
    #filterLine:focus {{ border-color: {colours.accent}; }}
    QToolTip {{ background: {colours.tooltip}; color: {colours.tooltip_text}; border: 0; padding: 4px; }}
    #searchLine {{
        background: {colours.base}; border: 1px solid {colours.border}; border-radius: 8px; padding: 7px 10px;
        selection-background-color: {colours.accent}; selection-color: {colours.accent_text};
    }}
    #searchLine:focus {{ border: 2px solid {colours.accent}; padding: 6px 9px; }}
    #searchLine[dropping="true"] {{ border: 2px dashed {colours.accent}; padding: 6px 9px; }}
    #searchButton, #primaryButton {{
        background: {colours.accent}; color: {colours.accent_text}; border: 0; border-radius: 8px; padding: 8px 16px;
        font-weight: 600;
    }}
    #searchButton:disabled, #primaryButton:disabled {{ background: {colours.border}; color: {colours.muted}; }}
    #searchButton:focus, #primaryButton:focus {{ border: 2px solid {colours.text}; padding: 6px 14px; }}
    #chip {{ background: {colours.accent_soft}; border-radius: 8px; }}
    #chip QLabel {{ color: {colours.text}; }}
    #chipButton {{
        background: {colours.accent_soft}; color: {colours.text}; border: 1px solid {colours.accent};
        border-radius: 9px; padding: 2px 10px;
    }}
    #chipButton:focus {{ border: 2px solid {colours.accent}; padding: 1px 9px; }}
    #notice[level="info"] {{ background: {colours.info}; }}
    #notice[level="info"] QLabel {{ color: {colours.info_text}; }}
    #notice[level="warning"] {{ background: {colours.warning}; }}
    #notice[level="warning"] QLabel {{ color: {colours.warning_text}; }}
    #notice[level="error"] {{ background: {colours.error}; }}
    #notice[level="error"] QLabel {{ color: {colours.error_text}; }}
    #muted {{ color: {colours.muted}; }}
    #dropMark {{
        background: {_glass(colours.accent_soft)}; color: {colours.text}; border: 3px dashed {colours.accent};
        border-radius: 12px; font-size: 18pt;
    }}
    #panelTitle {{ font-weight: 600; }}
    #popup {{ background: {colours.window}; border: 1px solid {colours.border}; }}
    #slidePane[many="true"] {{ border: 2px solid transparent; }}
    #slidePane[active="true"] {{ border: 2px solid {colours.accent}; }}
    QListView, QTreeView {{ border: 0; }}
    QTreeView::item:selected {{ background: {colours.accent_soft}; color: {colours.text}; }}
    QTreeView::item {{ padding: 2px; }}
    QStatusBar::item {{ border: 0; }}
    QSplitter::handle {{ background: {colours.border}; }}
    """


def _glass(colour: str) -> str:
    """The colour, with what lies behind still to be guessed."""
    solid = QColor(colour)
    return f"rgba({solid.red()}, {solid.green()}, {solid.blue()}, 225)"
