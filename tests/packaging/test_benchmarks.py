"""The benchmarks' runner finds them and gathers what they measured."""

from __future__ import annotations

from benchmarks.__main__ import benchmarks, figures


def test_only_modules_that_can_be_run_are_benchmarks() -> None:
    found = benchmarks()
    assert "common" not in found
    assert "__main__" not in found


def test_figures_of_a_result_are_told_with_the_path_to_them() -> None:
    result = {
        "machine": {"cores": 2},
        "recall": {"image": 0.99, "words": None},
        "ratio_quartiles": [1.0, 1.1, 1.2],
        "sizes": [{"rows": 10}, {"rows": 20}],
        "met": True,
    }
    assert list(figures(result)) == [
        ("recall · image", "0.99"),
        ("ratio_quartiles", "1.0, 1.1, 1.2"),
        ("sizes · 0 · rows", "10"),
        ("sizes · 1 · rows", "20"),
        ("met", "True"),
    ]
