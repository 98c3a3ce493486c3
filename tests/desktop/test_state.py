"""The query, the slide list, the jobs and the questions for µm per pixel and channels: no Qt."""

from __future__ import annotations

from dataclasses import replace

from plipdesk.base.progress import Progress
from plipdesk.desktop.state.channels import channel_names, lacks_channels
from plipdesk.desktop.state.jobs import JobsState
from plipdesk.desktop.state.library import LibraryState
from plipdesk.desktop.state.mpp import MppAnswer, MppQuestions, index_params, lacks_mpp, objective_mpp_um, resubmission
from plipdesk.desktop.state.query_draft import QueryDraft, Turn, is_picture_name
from plipdesk.search.query import PicturePart, RegionPart, SlidePart, TextPart
from tests.desktop.fakes import embedding, item, job, slide


def test_words_and_an_example_make_one_query() -> None:
    region = RegionPart("abc", (0, 0, 100, 100))
    draft = QueryDraft(words="  adipose tissue ", example=region, k=100, group="case", collection="teaching")
    query = draft.query()
    assert query.texts == (TextPart("adipose tissue"),)
    assert query.regions == (region,)
    assert (query.k, query.group) == (100, "case")
    assert query.filters.collections == ("teaching",)


def test_an_example_alone_replaces_the_words() -> None:
    draft = QueryDraft(words="fat", k=20).like(PicturePart(path="/a.png"), "a.png")
    assert draft.query().texts == ()
    assert draft.query().pictures == (PicturePart(path="/a.png"),)
    assert draft.k == 20
    assert QueryDraft().like(SlidePart("x"), "x").query().slides == (SlidePart("x"),)


def test_slides_and_cases_are_left_out_once_each() -> None:
    draft = QueryDraft(words="x").leaving_out_slide("1", "a").leaving_out_slide("1", "a").leaving_out_case("c")
    filters = draft.leaving_out_case("c").query().filters
    assert filters.not_slide_ids == ("1",)
    assert filters.not_cases == ("c",)
    assert replace(draft, only_slide=("2", "b")).query().filters.slide_ids == ("2",)


def test_an_empty_draft_is_known() -> None:
    assert QueryDraft(words="  ").empty
    assert not QueryDraft(words="x").empty
    assert not QueryDraft(example=SlidePart("x")).empty


def test_pictures_are_told_from_slides_by_their_names() -> None:
    assert is_picture_name("/a/b.PNG")
    assert not is_picture_name("/a/b.svs")
    assert not is_picture_name("/a/b.tif")


def test_only_the_latest_turn_counts() -> None:
    turn = Turn()
    first, second = turn.next(), turn.next()
    assert not turn.is_latest(first)
    assert turn.is_latest(second)


def library(*rows: int) -> LibraryState:
    state = LibraryState()
    slides = [slide(number) for number in rows]
    state.encoder = "plipdesk-mini"
    state.replace(slides, [embedding(row) for row in slides])
    return state


def test_slides_and_files_under_way_are_one_sorted_list() -> None:
    jobs = JobsState()
    jobs.put(job(1, "running", params={"paths": ["/in/aa.svs", "/in/zz.svs"]}), Progress(30, 120, "patches", "aa.svs"))
    jobs.put_item(item("/in/broken.svs"))
    entries = library(1).entries(jobs)
    assert [(entry.name, entry.state) for entry in entries] == [
        ("aa.svs", "indexing"),
        ("broken.svs", "failed"),
        ("slide-1.svs", "indexed"),
        ("zz.svs", "queued"),
    ]
    assert entries[1].reason == "The file is damaged."
    assert entries[2].patches == 120


def test_a_folder_in_work_shows_how_far_its_job_is() -> None:
    jobs = JobsState()
    jobs.put(job(1, "running", params={"paths": ["/in/folder"]}), Progress(30, 120, "patches", "1 of 4 slides"))
    (entry,) = library().entries(jobs)
    assert (entry.name, entry.state, entry.share) == ("folder", "indexing", 0.25)
    jobs.put(job(1, "done", params={"paths": ["/in/folder"]}))
    assert library().entries(jobs) == []


def test_a_failure_that_a_later_job_mended_is_forgotten() -> None:
    jobs = JobsState()
    jobs.put(job(1, "done"))
    jobs.put_item(item("/in/a.svs", job_id=1))
    jobs.put(job(2, "done"))
    jobs.put_item(item("/in/a.svs", "indexed", job_id=2))
    assert [entry.name for entry in library(1).entries(jobs)] == ["slide-1.svs"]


def test_an_indexed_slide_whose_second_run_failed_stays_indexed() -> None:
    jobs = JobsState()
    jobs.put(job(1, "done"))
    jobs.put_item(item("/slides/slide-1.svs"))
    (entry,) = library(1).entries(jobs)
    assert entry.state == "indexed"


def test_slides_come_and_go_one_by_one() -> None:
    state = library(1, 2)
    state.update([slide(2).slide_id, slide(3).slide_id], [slide(3)], [embedding(slide(3), 7)])
    assert [entry.name for entry in state.entries(JobsState())] == ["slide-1.svs", "slide-3.svs"]
    assert state.patches_of(slide(3).slide_id) == 7
    assert [entry.name for entry in state.entries(JobsState(), contains="DE-3")] == ["slide-3.svs"]
    only = frozenset({slide(1).slide_id})
    assert [entry.name for entry in state.entries(JobsState(), only=only)] == ["slide-1.svs"]


def test_patches_of_another_encoder_do_not_count() -> None:
    state = library(1)
    state.encoder = "plip"
    (entry,) = state.entries(JobsState())
    assert (entry.state, entry.patches) == ("known", 0)


def test_what_can_be_done_with_a_job_follows_its_state() -> None:
    jobs = JobsState()
    assert jobs.put(job(1, "running")).allowed() == {"pause", "cancel"}
    assert jobs.put(job(1, "paused")).allowed() == {"resume", "cancel"}
    assert jobs.put(job(1, "done")).allowed() == frozenset()
    jobs.put_item(item("/a"))
    assert jobs.put(job(1, "done")).allowed() == {"retry"}
    assert jobs.put_item(item("/a", job_id=99)) is None


def test_progress_ends_with_the_job() -> None:
    jobs = JobsState()
    view = jobs.put(job(1), Progress(5, 10, "patches"))
    assert (view.done, view.total, view.share) == (5, 10, 0.5)
    assert jobs.running() is view
    view = jobs.put(job(1, "done", done=10, total=10))
    assert view.progress is None
    assert view.share == 1.0
    assert jobs.active() == []


NO_MPP = "The MPP of this slide is not known."


def test_a_slide_without_mpp_is_asked_about_once() -> None:
    questions = MppQuestions()
    missing = item("/in/a.tif", "skipped", reason=NO_MPP)
    assert lacks_mpp(missing)
    assert not lacks_mpp(item("/in/b.tif", "skipped", reason="Not a slide."))
    assert not lacks_mpp(item("/in/c.tif", "skipped", reason="The slide has 29 µm per pixel, too coarse for patches."))
    assert questions.add(missing) is None
    assert questions.add(missing) is None
    assert len(questions.waiting) == 1
    assert questions.answer(missing, None) == []
    assert questions.add(missing) is None
    assert questions.waiting == []


def test_a_folders_answer_holds_for_all_of_it() -> None:
    questions = MppQuestions()
    first, second, other = (
        item(path, "skipped", reason=NO_MPP) for path in ("/in/a.tif", "/in/b.tif", "/elsewhere/c.tif")
    )
    for one in (first, second, other):
        questions.add(one)
    assert questions.answer(first, MppAnswer(0.5, whole_folder=True)) == [first, second]
    assert questions.waiting == [other]
    assert questions.add(item("/in/later.tif", "skipped", reason=NO_MPP)) == 0.5


def test_resubmission_keeps_what_was_chosen_for_the_job() -> None:
    params = resubmission(job(1, params={**index_params(["/in"]), "collection": "teaching"}), ["/in/a.tif"], mpp_um=0.5)
    assert params["collection"] == "teaching"
    assert params["paths"] == ["/in/a.tif"]
    assert params["mpp_um"] == 0.5
    assert objective_mpp_um(40) == 0.25


def test_channels_are_offered_as_the_reader_names_them() -> None:
    remedy = "Choose one or three of its 3 channels (0 DAPI, 1 FITC, 2) with --channels 0,1,2; or export it."
    assert lacks_channels(replace(item("/in/a.tif", "skipped", reason="No colour."), remedy=remedy))
    assert not lacks_channels(item("/in/b.tif", "skipped", reason="No colour."))
    assert channel_names(remedy) == ("0 DAPI", "1 FITC", "2")
    assert channel_names("Choose one of its 2 channels with --channels 0; or export it.") == ("0", "1")
    assert channel_names("Take it as it is, in grey, with --channels 0; or export it.") == ("0",)
