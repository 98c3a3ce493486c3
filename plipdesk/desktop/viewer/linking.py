"""Views side by side that move together at equal µm per pixel. Plain numbers, no Qt."""

from __future__ import annotations

from dataclasses import replace

from plipdesk.desktop.viewer.camera import Camera

MOST_VIEWS = 4


def aligned(leader: Camera, other: Camera, leader_mpp_um: float | None, other_mpp_um: float | None) -> Camera:
    """``other`` where it is, but at the leader's µm per pixel; as it is where an MPP is not known."""
    if leader_mpp_um is None or other_mpp_um is None:
        return other
    return replace(other, zoom=leader.zoom * other_mpp_um / leader_mpp_um)


def followed(
    before: Camera, after: Camera, other: Camera, leader_mpp_um: float | None, other_mpp_um: float | None
) -> Camera:
    """Where ``other`` looks after the leader moved from ``before`` to ``after``.

    It goes the same way on the screen and in µm, zooms and turns as much. Where an MPP is not known, the scales keep
    their ratio instead of becoming equal.
    """
    turned = other.turned(after.rotation_deg - before.rotation_deg)
    if leader_mpp_um is None or other_mpp_um is None:
        zoomed = replace(turned, zoom=other.zoom * after.zoom / before.zoom)
    else:
        zoomed = aligned(after, turned, leader_mpp_um, other_mpp_um)
    cosine, sine = after.turn
    x, y = (after.x0_px - before.x0_px) * after.zoom, (after.y0_px - before.y0_px) * after.zoom
    return zoomed.panned(x * cosine - y * sine, x * sine + y * cosine)


def grid_place(number: int, views: int) -> tuple[int, int, int]:
    """(row, column, columns taken) of a view among so many: two side by side, then two rows."""
    if views <= 2:
        return 0, number, 1
    alone = views == 3 and number == 2
    return number // 2, number % 2, 2 if alone else 1
