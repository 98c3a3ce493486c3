"""The layers that every slide has: its patches, its tissue, and the hits of the present search on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject

from plipdesk.desktop.link import Link
from plipdesk.desktop.viewer.overlays import Glass, Overlay, OverlayStack
from plipdesk.engine import messages as m
from plipdesk.search.query import Hit

TISSUE, PATCHES, HITS = "tissue", "patches", "hits"
TISSUE_COLOUR, PATCH_COLOUR, HIT_COLOUR = (0, 150, 90), "#2f6fd0", "#ffd400"


class Awaited(Overlay):
    """Stands for a layer whose data is asked for when it is first switched on."""

    def paint(self, glass: Glass) -> None:
        """Nothing yet."""


class SlideLayers(QObject):
    """Fills the stack of one view; what is not looked at is not fetched."""

    def __init__(self, link: Link, stack: OverlayStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._stack = stack
        self._tickets: dict[str, int] = {}
        self._ask: dict[str, Callable[[], int]] = {}
        self._slide_id: str | None = None
        self._path = ""
        self._hits: Sequence[Hit] = ()
        stack.listed.connect(self._look_for_awaited)

    def begin(self, path: str, slide_id: str | None, mpp_um: float | None) -> None:
        """Another slide is shown; ``slide_id`` is None where it is not in the workspace."""
        self.end()
        self._slide_id, self._path = slide_id, path
        self._ask[TISSUE] = lambda: self._ask_tissue(path, mpp_um)
        self._stack.put(Awaited(TISSUE, self.tr("Tissue"), order=0, visible=False))
        if slide_id is not None:
            self._ask[PATCHES] = lambda: self._ask_patches(slide_id)
            self._stack.put(Awaited(PATCHES, self.tr("Patches"), order=10, visible=False))
        self._show_hits()

    def end(self) -> None:
        """No slide is shown."""
        for ticket in self._tickets.values():
            self._link.forget(ticket)
        self._tickets.clear()
        self._ask.clear()
        self._slide_id, self._path = None, ""

    def set_hits(self, hits: Sequence[Hit]) -> None:
        """The answer of a search; those on this slide are shown."""
        self._hits = hits
        self._show_hits()

    def patches_changed(self) -> None:
        """The slide was indexed again: what is shown of its patches is asked anew."""
        layer = self._stack.get(PATCHES)
        if layer is not None and self._slide_id is not None:
            self._stack.put(Awaited(PATCHES, layer.title, order=10, visible=layer.visible))
            tissue = self._stack.get(TISSUE)
            if tissue is not None:
                self._stack.put(Awaited(TISSUE, self.tr("Tissue"), order=0, visible=tissue.visible))

    # --- fetching ---

    def _look_for_awaited(self) -> None:
        for layer in self._stack.layers():
            if isinstance(layer, Awaited) and layer.visible and layer.key not in self._tickets:
                ask = self._ask.get(layer.key)
                if ask is not None:
                    self._tickets[layer.key] = 0
                    self._tickets[layer.key] = ask()

    def _ask_tissue(self, path: str, mpp_um: float | None) -> int:
        if self._slide_id is None:
            return self._find_tissue(path, mpp_um, "auto")

        def found(reply: m.Message) -> None:
            if isinstance(reply, m.PatchList):
                self._tickets[TISSUE] = self._find_tissue(path, mpp_um, reply.tissue_rule)

        # Where a person corrected it, the engine knows.
        return self._link.ask(m.GetPatches(self._slide_id), found, lambda failure: self._failed(TISSUE, failure))

    def _find_tissue(self, path: str, mpp_um: float | None, rule: str) -> int:
        def found(reply: m.Message) -> None:
            self._tickets.pop(TISSUE, None)
            if isinstance(reply, m.TissueFound):
                # Late, since it brings numpy, and most windows never show it.
                from plipdesk.desktop.viewer.overlay_kinds import PictureOverlay
                from plipdesk.desktop.viewer.rasters import mask_from_bits, mask_raster

                mask = mask_from_bits(reply.bits, reply.width_px, reply.height_px)
                raster = mask_raster(mask, reply.downsample, TISSUE_COLOUR)
                self._stack.put(PictureOverlay(TISSUE, self.tr("Tissue"), raster, opacity=0.8))

        return self._link.ask(
            m.FindTissue(path, rule, mpp_um), found, lambda failure: self._failed(TISSUE, failure), channel="viewer"
        )

    def _ask_patches(self, slide_id: str) -> int:
        def found(reply: m.Message) -> None:
            self._tickets.pop(PATCHES, None)
            if isinstance(reply, m.PatchList):
                self._show_patches(reply)

        return self._link.ask(m.GetPatches(slide_id), found, lambda failure: self._failed(PATCHES, failure))

    def _show_patches(self, found: m.PatchList) -> None:
        import numpy as np

        from plipdesk.desktop.viewer.overlay_kinds import SquaresOverlay

        if not found.tilings:
            title = self.tr("Patches (not indexed yet)")
            self._stack.put(Nothing(PATCHES, title, order=10))
            return
        newest = found.tilings[-1]
        x0_px, y0_px = (np.frombuffer(part, "<i4").astype(np.int32) for part in (newest.x0_px, newest.y0_px))
        title = self.tr("Patches ({n})").format(n=len(x0_px))
        self._stack.put(SquaresOverlay(PATCHES, title, x0_px, y0_px, newest.size0_px, PATCH_COLOUR, opacity=0.8))

    def _show_hits(self) -> None:
        here = [hit for hit in self._hits if hit.slide_id == self._slide_id or hit.path == self._path]
        if not here or not self._path:
            self._stack.take(HITS)
            return
        import numpy as np

        from plipdesk.desktop.viewer.overlay_kinds import SquaresOverlay

        x0_px = np.array([hit.x0_px for hit in here], np.int32)
        y0_px = np.array([hit.y0_px for hit in here], np.int32)
        labels = [str(hit.rank) for hit in here]
        layer = SquaresOverlay(
            HITS,
            self.tr("Hits ({n})").format(n=len(here)),
            x0_px,
            y0_px,
            here[0].size0_px,
            HIT_COLOUR,
            labels=labels,
            width_px=2,
            order=40,
            on_overview=True,
        )
        self._stack.put(layer)

    def _failed(self, key: str, failure: m.Failed) -> None:
        self._tickets.pop(key, None)
        layer = self._stack.get(key)
        if layer is not None:
            title = self.tr("{layer}: {reason}").format(layer=layer.title, reason=failure.message)
            self._stack.put(Nothing(key, title, order=layer.order))


class Nothing(Overlay):
    """A layer that says in its title why there is nothing."""

    def paint(self, glass: Glass) -> None:
        """Nothing."""
