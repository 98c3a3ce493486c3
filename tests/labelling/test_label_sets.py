"""Label sets: what ships, what a person may write, what is refused and in which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plipdesk.base.errors import NotFound
from plipdesk.base.paths import Workspace
from plipdesk.labelling.label_sets import (
    LabelClass,
    LabelProblem,
    LabelSet,
    label_set_yaml,
    parse_label_set,
    read_label_set,
    shipped_label_sets,
)
from plipdesk.labelling.palette import PALETTE, colours_for, rgb
from plipdesk.labelling.shelf import find_label_set, keep_label_set, list_label_sets


def test_everything_that_is_promised_ships_with_its_source() -> None:
    found = {name: read_label_set(path) for name, path in shipped_label_sets().items()}
    assert set(found) == {
        "kather", "pannuke", "digestpath", "wsss4luad", "tissues", "stains", "artefacts", "organs",
    }  # fmt: skip
    assert all(labels.name == name and labels.source and labels.title for name, labels in found.items())
    assert len(found["tissues"].names) >= 40
    assert {"pen mark", "tissue fold", "air bubble", "out of focus"} <= set(found["artefacts"].names)


def test_the_papers_prompts_stand_by_name() -> None:
    kather = read_label_set(shipped_label_sets()["kather"])
    assert kather.names == (
        "adipose tissue", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
        "cancer-associated stroma", "colorectal adenocarcinoma epithelium",
    )  # fmt: skip
    assert kather.way_named("figure") == kather.way_named(None) == ("An H&E image of {}",)
    assert kather.way_named("code") == ("An H&E image patch of {}.",)
    ways = {name: read_label_set(shipped_label_sets()[name]) for name in ("pannuke", "digestpath", "wsss4luad")}
    assert {name: labels.way_named("figure") for name, labels in ways.items()} == dict.fromkeys(
        ways, ("An H&E image of {} tissue",)
    )
    assert ways["pannuke"].way_named("code") == ("An H&E image of {} tissue.",)
    assert ways["digestpath"].way_named("code") == ("An H&E image patch of {} tissue.",)
    with pytest.raises(LabelProblem, match="no prompts called 'book'"):
        kather.way_named("book")


@pytest.mark.parametrize(
    "text",
    ["classes: [{name: fat}, {name: muscle}]", "- fat\n- muscle", "classes:\n  - fat\n  - name: muscle"],
)
def test_a_class_needs_only_a_name(text: str) -> None:
    labels = parse_label_set(text, name="my own ü")
    assert (labels.names, labels.version, labels.name) == (("fat", "muscle"), 1, "my own -")
    assert labels.colours == PALETTE[:2]


def test_words_that_yaml_takes_for_something_else_stay_words() -> None:
    assert parse_label_set("- no\n- 3", name="x").names == ("no", "3")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("classes: []", "classes"),
        ("{}", "classes"),
        ("just words", "not right"),
        ("classes: [{name: a, colour: red}]", "class a, colour: a colour is written"),
        ("classes: [{name: a}, {name: A}]", "given twice"),
        ("classes: [{name: a, parent: b}]", "names b as its parent"),
        ("classes: [{name: a, parent: b}, {name: b, parent: a}]", "circle"),
        ("classes: [{name: none of these}]", "meaning of its own"),
        ("classes: [{name: a}]\ntemplates: [no place]", "exactly once"),
        ("classes: [{name: a, weight: 2}]", "class a, weight"),
        ("classes: [{colour: '#ffffff'}]", "class 1, name"),
        ("classes: &x [{name: a}]\ntemplates: *x", "aliases"),
        ("classes: [", "not YAML"),
        ("[" * 5000, "not YAML"),
    ],
)
def test_what_is_no_label_set_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(LabelProblem) as caught:
        parse_label_set(text, name="x")
    assert words in str(caught.value)
    assert caught.value.remedy


def test_large_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_label_set(tmp_path / "none.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (1024 * 1024 + 1))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("large.yaml", "binary.yaml"):
        with pytest.raises(LabelProblem):
            read_label_set(tmp_path / name)


_names = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20),
    min_size=1, max_size=6, unique_by=lambda name: name.casefold(),
).filter(lambda names: not {"unsure"} & {name.casefold() for name in names})  # fmt: skip


@given(_names, st.sampled_from([None, "#0072b2"]), st.integers(1, 9))
def test_what_is_written_is_read_back(names: list[str], colour: str | None, version: int) -> None:
    classes = tuple(LabelClass(name=name, colour=colour, synonyms=(f"{name} cells",)) for name in names)
    labels = LabelSet(name="mine", version=version, templates=("a picture of {}",), classes=classes)
    assert parse_label_set(label_set_yaml(labels), name="other") == labels


def test_a_workspace_keeps_every_version(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    first = keep_label_set(parse_label_set("[fat]", name="mine"), workspace)
    assert keep_label_set(first, workspace).version == 1
    second = keep_label_set(parse_label_set("[fat, nerve]", name="mine"), workspace)
    assert second.version == 2
    assert find_label_set("mine", workspace) == (second, None)
    assert find_label_set("mine@1", workspace) == (first, None)
    assert find_label_set("kather:code", workspace)[1] == "code"
    listed = list_label_sets(workspace)
    assert [(one.labels.name, one.origin) for one in listed if one.origin == "workspace"] == [("mine", "workspace")]
    for name in ("nobody", "mine@7", "mine@x", str(tmp_path / "no.yaml")):
        with pytest.raises(NotFound):
            find_label_set(name, workspace)


def test_colours_can_be_told_apart() -> None:
    assert len(set(PALETTE)) == len(PALETTE) >= 40
    # A deuteranope's view (Machado et al. 2009, severity 1) of linear light.
    view = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]])
    seen = ((np.array([rgb(colour) for colour in PALETTE[:10]]) / 255) ** 2.2) @ view.T
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 9 * np.eye(10)
    assert apart.min() > 0.05
    assert colours_for([None, PALETTE[0], None]) == (PALETTE[1], PALETTE[0], PALETTE[2])
    assert len(colours_for([None] * 100)) == 100
