"""Several encoders in one workspace: one for a collection, what it costs, two compared, one removed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plipdesk.cli.main import run
from plipdesk.engine import messages
from plipdesk.engine.client import EngineClient
from tests.cli.test_end_to_end import Office
from tests.drawing import pyramidal_tiff
from tests.encoders.models import SMALL_VIT, write_model


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Two slides encoded by the null encoder, one of them in a collection, and a second encoder."""
    office = Office(tmp_path_factory.mktemp("models"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLIPDESK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        write_model(office.workspace.models / "small-vit", SMALL_VIT)
        office("index", pyramidal_tiff(office.slides / "a.tif", seed=1), "--encoder", "null", "--collection", "mine")
        office("index", pyramidal_tiff(office.slides / "b.tif", seed=2), "--encoder", "null")
        yield office
        office.end()


def test_known_models_are_listed_and_described(office: Office) -> None:
    listed = office("models", "list", "--known")
    assert {"plipdesk-mini", "small-vit"} <= {model["id"] for model in listed["models"]}
    assert "plip" in {model["id"] for model in listed["known"]}
    assert office("models", "info", "plip")["installed"] is False
    assert office("models", "info", "small-vit")["installed"] is True
    assert office("models", "info", "nothing", code=3)["error"]["kind"] == "not-found"


def test_a_collection_with_its_own_encoder(office: Office) -> None:
    everything = office("models", "cost", "small-vit")
    mine = office("models", "cost", "small-vit", "--collection", "mine")
    assert (everything["slides"], mine["slides"]) == (2, 1)
    assert everything["patches"] > mine["patches"] > 50
    assert everything["seconds"] == pytest.approx(everything["patches"] / everything["rate_per_s"], rel=0.05, abs=0.1)

    assert office("models", "use", "small-vit", "--collection", "mine")["encoder"] == "small-vit"
    assert office("collections", "list")["collections"][0]["encoder"] == "small-vit"
    encoded = office("models", "encode", "small-vit", "--collection", "mine")
    assert [slide["status"] for slide in encoded["slides"]] == ["indexed"]
    assert encoded["slides"][0]["patches"] == mine["patches"], "the same grid as before"
    assert office("models", "cost", "small-vit", "--collection", "mine")["patches"] == 0

    found = office("search", "text", "pink", "--in-collection", "mine")
    assert found["encoder"] == "small-vit"
    assert found["notes"][0] == "mine: searched with small-vit, as was chosen there."
    assert office("search", "text", "pink")["encoder"] == "plipdesk-mini"
    new = pyramidal_tiff(office.slides / "c.tif", seed=3)
    assert office("index", new, "--collection", "mine")["encoder"] == "small-vit"


def test_the_same_question_to_two(office: Office) -> None:
    asked = ("models", "compare", "pink tissue", "--encoder", "null", "--encoder", "small-vit", "-k", "10")
    compared = office(*asked, "--collection", "mine")
    assert compared["encoders"] == ["null", "small-vit"]
    assert compared["common"] == len(compared["pairs"])
    assert compared["share"] == compared["common"] / 10
    for first, second in compared["pairs"]:
        one, other = compared["answers"][0]["hits"][first - 1], compared["answers"][1]["hits"][second - 1]
        assert one["slide_id"] == other["slide_id"]
    assert compared["notes"], "small-vit knows one slide more"
    office("models", "compare", "pink", "--encoder", "null", code=2)
    region = ("--region", office.slides / "a.tif", "--box", "100,100,200,200")
    assert office("models", "compare", *region, "--encoder", "null", "--encoder", "small-vit")["k"] == 20


def test_encoders_come_and_go_as_jobs_too(office: Office, tmp_path: Path) -> None:
    write_model(office.workspace.models / "carried", SMALL_VIT)
    stick = tmp_path / "carried.plipdesk-model"
    with EngineClient.connect(office.workspace, role="command", linger_s=60) as engine:
        heard: queue.Queue[messages.Message] = queue.Queue()
        changed = threading.Event()

        def hear(event: messages.Message) -> None:
            heard.put(event)
            if isinstance(event, messages.ModelsChanged):
                changed.set()

        engine.on_event(hear)
        engine.request(messages.Subscribe())

        def done(kind: str, **params: str) -> dict[str, Any]:
            submitted = engine.request(messages.SubmitJob(kind, dict(params), 1))
            assert isinstance(submitted, messages.JobReply)
            while True:
                event = heard.get(timeout=60)
                mine = isinstance(event, messages.JobChanged) and event.job.job_id == submitted.job.job_id
                if mine and event.job.state in ("done", "failed"):  # type: ignore[attr-defined]
                    return event.job.result  # type: ignore[attr-defined, no-any-return]

        assert done("export-model", id="carried", path=str(stick))["bytes"] == stick.stat().st_size
        assert done("import-model", path=str(stick), id="arrived")["name"] == "A random model"
        assert changed.wait(60)
        refused = done("import-model", path=str(stick), id="arrived")
        assert "already" in refused["error"]["message"]
        refused = done("download-model", id="plip", accepted_licence="")
        assert "licence has to be accepted" in refused["error"]["message"]
        for model_id in ("carried", "arrived"):
            assert isinstance(engine.request(messages.RemoveModel(model_id)), messages.Removed)


def test_removing_one_frees_what_it_made(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office("models", "remove", "small-vit", code=2)
    before = set(office.workspace.vectors.rglob("*.safetensors"))
    removed = office("models", "remove", "small-vit", "--yes")
    assert removed["slides"] == 2
    assert removed["freed_bytes"] > 1_000_000
    assert len(set(office.workspace.vectors.rglob("*.safetensors"))) == len(before) - 2
    assert not list(office.workspace.models.iterdir())
    assert office("collections", "list")["collections"][0]["encoder"] is None
    assert office("models", "remove", "plipdesk-mini", "--yes", code=2)["error"]["message"].endswith(
        "cannot be removed."
    )
    assert office("search", "text", "pink", "--encoder", "null", "--in-collection", "mine")["hits"]
    assert run(["models", "list", "--workspace", str(office.workspace.root)]) == 0
    assert "small-vit" not in capsys.readouterr().out
