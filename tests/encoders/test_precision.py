"""Other numbers than float32: int8 graphs, what a processor offers, and the proof that comes before use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from plipdesk.base.errors import Cancelled
from plipdesk.base.progress import QuietContext
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.int8_graph import quantised
from plipdesk.encoders.loading import InstalledEncoder, find_encoder, load_encoder
from plipdesk.encoders.machine import flags_in
from plipdesk.encoders.precision import Agreement, agreement, load_proven, obstacle, probe_patches, prove
from plipdesk.encoders.speed import measure_speed
from plipdesk.encoders.tuning import Tuning, kept_tuning, tuning_file
from tests.encoders.models import lowest_cosine, random_patches
from tests.vectors import unit_vectors


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIPDESK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small_vit(models: Path) -> InstalledEncoder:
    return find_encoder("small-vit", models)


def test_weights_keep_their_greatest_value_of_each_output() -> None:
    whole, scale = quantised(np.array([[1.0, -2.0, 0.5], [0, 0, 0]], dtype=np.float32))
    assert whole.tolist() == [[64, -127, 32], [0, 0, 0]]
    np.testing.assert_allclose(scale, [2 / 127, 1])


def test_int8_is_close_to_fp32_and_another_encoder(small_vit: InstalledEncoder) -> None:
    exact, quick = load_encoder(small_vit, runtime="onnx"), load_encoder(small_vit, precision="int8")
    patches = random_patches(9, 64)
    assert quick.runtime == "onnx cpu int8"
    assert quick.fingerprint == small_vit.card.fingerprint("int8") != exact.fingerprint
    assert 0.98 < lowest_cosine(exact.encode_patches(patches), quick.encode_patches(patches)) < 0.99999999
    # No patch depends on those beside it, and words stay as they are.
    np.testing.assert_array_equal(quick.encode_patches(patches)[4:5], quick.encode_patches(patches[4:5]))
    np.testing.assert_array_equal(exact.encode_texts(["gland"]), quick.encode_texts(["gland"]))
    exact.close()
    quick.close()


def test_convolutions_are_not_offered_in_int8(models: Path) -> None:
    quick = load_encoder(find_encoder("small-lite", models), precision="int8")
    with pytest.raises(EncoderProblem, match="Only Vision Transformers"):
        quick.encode_patches(random_patches(1, 64))
    quick.close()


def test_agreement_counts_neighbours_and_takes_the_lowest_cosine() -> None:
    angles = np.radians([0.0, 10, 25, 90])
    first = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert agreement(first, first, k=1) == Agreement(pytest.approx(1), 1)
    moved = np.radians([0.0, 10, 25 - 18, 90])
    second = np.stack([np.cos(moved), np.sin(moved)], axis=1).astype(np.float32)
    # Nearest were 1, 0, 1, 2; they are 2, 2, 1, 1 now: one of four is the same.
    assert agreement(first, second, k=1) == Agreement(pytest.approx(np.cos(np.radians(18))), 0.25)
    rows = unit_vectors(60, 16)
    assert agreement(rows, rows).suffices
    assert not Agreement(0.999, 0.94).suffices
    assert not Agreement(0.98, 1.0).suffices


def test_a_processor_without_the_instructions_is_told_so() -> None:
    flags = flags_in("processor : 0\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor : 1\nflags : fpu\n")
    assert flags == {"fpu", "avx2", "avx512_vnni"}
    assert flags_in("Features : asimd i8mm bf16\n") >= {"i8mm", "bf16"}
    assert obstacle("int8", flags) is None
    assert "avx512_bf16" in (obstacle("bf16", flags) or "")
    assert obstacle("bf16", frozenset({"amx_bf16"})) is None
    assert obstacle("fp32", frozenset()) is None
    assert obstacle("fp16", flags) is not None


def test_probe_patches_are_the_same_each_time_and_differ_from_each_other(small_vit: InstalledEncoder) -> None:
    patches = probe_patches(small_vit.card)
    assert patches.shape == (60, 64, 64, 3)
    assert len({patch.tobytes() for patch in patches}) == 60
    np.testing.assert_array_equal(patches, probe_patches(small_vit.card))


def test_what_is_not_proven_is_not_offered(small_vit: InstalledEncoder) -> None:
    quick = load_encoder(small_vit, precision="int8")
    proof = prove(small_vit, quick)
    quick.close()
    assert proof.cosine > 0.98
    reason = obstacle("int8")
    if reason is None and proof.suffices:
        load_proven(small_vit, precision="int8").close()
    else:
        with pytest.raises(EncoderProblem):
            load_proven(small_vit, precision="int8")
    load_proven(small_vit, precision="fp32").close()


def test_the_best_setting_is_kept_and_used(small_vit: InstalledEncoder) -> None:
    report = measure_speed(small_vit, context=QuietContext(), threads=1)
    assert report.best is not None
    assert report.best.precision == "fp32"
    assert all((one.images_per_s is None) == bool(one.reason) for one in report.settings)
    kept = kept_tuning(report.fingerprint)
    assert kept == Tuning(report.best.runtime, report.best.device, 1, report.best.batch)
    encoder = load_encoder(small_vit)
    assert encoder.runtime.split()[0] == report.best.runtime
    encoder.close()


def test_a_tuning_chooses_the_runtime_unless_one_is_asked_for(small_vit: InstalledEncoder) -> None:
    path = tuning_file(small_vit.card.fingerprint())
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"runtime": "torch", "device": "cpu", "threads": 1, "batch": 3}))
    tuned, asked = load_encoder(small_vit), load_encoder(small_vit, runtime="onnx")
    assert (tuned.runtime, asked.runtime) == ("torch cpu", "onnx cpu")
    tuned.close()
    asked.close()
    path.write_text('{"runtime": "torch", "batch": -1, "threads": 1, "device": "cpu"}')
    assert kept_tuning(small_vit.card.fingerprint()) is None


def test_measuring_stops_when_asked(small_vit: InstalledEncoder) -> None:
    class Stopping(QuietContext):
        def check_cancel(self) -> None:
            raise Cancelled

    with pytest.raises(Cancelled):
        measure_speed(small_vit, context=Stopping())
    assert kept_tuning(small_vit.card.fingerprint()) is None
