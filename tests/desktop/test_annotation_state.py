"""Annotations being edited: shapes, sketches, undo and redo, without Qt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plipdesk.desktop.state import shapes
from plipdesk.desktop.state.annotations import AnnotationBook, colour_of
from plipdesk.desktop.state.sketch import Sketch, painted

SQUARE = shapes.rectangle((10, 10), (0, 0))


def test_shapes_are_geojson_with_closed_rings() -> None:
    assert SQUARE == {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
    assert shapes.bounds(SQUARE) == (0, 0, 10, 10)
    assert shapes.area_px2(SQUARE) == 100
    assert shapes.length_px(SQUARE) == 40
    assert shapes.length_px(shapes.line((0, 0), (3, 4))) == 5
    assert shapes.area_px2(shapes.ellipse((0, 0), (20, 10))) == pytest.approx(157, rel=0.01)
    assert shapes.moved(SQUARE, 5, -1)["coordinates"][0][0] == [5, -1]
    assert shapes.with_corner(SQUARE, 2, (20, 20))["coordinates"][0][2] == [20, 20]


def test_holes_are_no_part_of_an_area() -> None:
    holed = shapes.area_of([(((0, 0), (9, 0), (9, 9), (0, 9)), ((3, 3), (6, 3), (6, 6), (3, 6)))])
    assert shapes.area_px2(holed) == 72
    assert shapes.hit(holed, 1, 1, 0)
    assert not shapes.hit(holed, 4, 4, 0)
    assert shapes.hit(shapes.point((5, 5)), 6, 5, 1.5)
    assert not shapes.hit(shapes.line((0, 0), (10, 0)), 5, 3, 2)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=40))
def test_a_simplified_line_stays_near_the_drawn_one(points: list[tuple[float, float]]) -> None:
    fewer = shapes.simplified(points, 2.0)
    assert fewer[0] == points[0]
    assert fewer[-1] == points[-1]
    for at in points:
        assert any(
            shapes.hit(shapes.line(fewer[number - 1], fewer[number]), *at, 2.0 + 1e-9)
            for number in range(1, len(fewer))
        )


def test_a_drag_and_two_clicks_draw_the_same_rectangle() -> None:
    sketch = Sketch("rectangle")
    assert sketch.press((0, 0)) is None
    sketch.drag((10, 10))
    assert sketch.release((10, 10), 1.0) == SQUARE
    assert not sketch.begun
    assert sketch.press((0, 0)) is None
    assert sketch.release((0, 0), 1.0) is None
    assert sketch.press((10, 10)) == SQUARE


def test_keys_set_corners_and_take_them_back() -> None:
    sketch = Sketch("polygon")
    for at in ((0, 0), (10, 0), (99, 99)):
        assert sketch.place(at) is None
    sketch.back()
    sketch.place((10, 10))
    sketch.place((0, 10))
    assert sketch.finish(1.0) == SQUARE
    assert sketch.finish(1.0) is None
    assert Sketch("point").place((3, 4)) == shapes.point((3, 4))


def test_a_slip_draws_nothing() -> None:
    sketch = Sketch("freehand")
    sketch.press((0, 0))
    sketch.drag((1, 1))
    assert sketch.release((1, 1), 1.0) is None
    flat = Sketch("polygon")
    for at in ((0, 0), (5, 0), (10, 0)):
        flat.place(at)
    assert flat.finish(1.0) is None


def test_the_eraser_can_take_everything() -> None:
    area = painted(None, [(50, 50)], 10, erase=False)
    assert area is not None
    assert painted(area, [(50, 50)], 20, erase=True) is None


def book() -> AnnotationBook:
    made = AnnotationBook()
    made.begin("a" * 32)
    return made


def test_every_step_can_be_undone_and_done_again() -> None:
    mine = book()
    row = mine.add("rectangle", SQUARE)
    mine.edit(row.annotation_id, geometry=shapes.moved(SQUARE, 1, 1))
    mine.remove(row.annotation_id)
    assert mine.rows == {}
    assert mine.undo()
    assert mine.undo()
    assert mine.rows[row.annotation_id].geometry == SQUARE
    assert mine.redo()
    assert mine.rows[row.annotation_id].geometry == shapes.moved(SQUARE, 1, 1)
    mine.undo()
    mine.undo()
    assert not mine.undo()
    assert mine.rows == {}
    mine.add("point", shapes.point((1, 1)))
    assert not mine.can_redo


def test_what_is_locked_stays() -> None:
    mine = book()
    row = mine.add("rectangle", SQUARE)
    mine.change({row.annotation_id: replace(row, locked=True)})
    mine.edit(row.annotation_id, geometry=shapes.moved(SQUARE, 1, 1))
    assert not mine.remove(row.annotation_id)
    assert mine.rows[row.annotation_id].geometry == SQUARE


def test_only_what_the_catalogue_lacks_is_saved() -> None:
    mine = book()
    first, second = mine.add("rectangle", SQUARE), mine.add("point", shapes.point((1, 1)))
    assert mine.unsaved() == ((first, second), ())
    mine.remove(second.annotation_id)
    mine.mark_saved([first, second], [])
    # Removed while it was being saved: the catalogue must still be told.
    assert mine.unsaved() == ((), (second.annotation_id,))
    mine.mark_saved([], [second.annotation_id])
    assert mine.unsaved() == ((), ())


def test_what_others_drew_comes_in_beside_what_is_not_saved() -> None:
    mine = book()
    own = mine.add("rectangle", SQUARE)
    theirs = replace(own, annotation_id="b", name="theirs")
    mine.load([theirs])
    assert set(mine.rows) == {own.annotation_id, "b"}
    mine.mark_saved([own], [])
    mine.load([own])
    assert set(mine.rows) == {own.annotation_id}


def test_selection_goes_round_and_points_win_over_areas() -> None:
    mine = book()
    area = mine.add("rectangle", SQUARE)
    dot = mine.add("point", shapes.point((5, 5)))
    cover = mine.add("rectangle", SQUARE)
    assert mine.at(5, 5, 1) == dot
    assert mine.at(1, 9, 1) == cover
    mine.select(None)
    assert mine.select_next(1) == area
    assert mine.select_next(-1) == cover
    assert mine.at(50, 50, 1) is None


def test_colours_come_from_the_class_unless_own() -> None:
    mine = book()
    mine.class_name = "Tumour"
    row = mine.add("rectangle", SQUARE)
    assert colour_of(row) == "#c8202a"
    assert colour_of(replace(row, colour="#123456")) == "#123456"
    assert "Tumour" in mine.classes()
