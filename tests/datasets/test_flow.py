"""The text flow: the paper's counts come out, every pair that goes has its reason, and sums that differ are refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plipdesk.datasets.cleaning import clean, hashtags_of
from plipdesk.datasets.counts import CountProblem, StepCount, check_counts
from plipdesk.datasets.flow import FlowProblem, TextFlow, flow_of, read_flow
from plipdesk.datasets.hashtags import read_hashtags
from plipdesk.datasets.language import LanguageDetector
from plipdesk.datasets.pair import Medium, Pair, Post, form_pairs
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.kinds import parse_source
from plipdesk.datasets.sources.trouble import Trouble
from plipdesk.datasets.steps.privacy import find_identifiers, redacted
from tests.datasets.exports import paper_export


def post(**changes: object) -> Post:
    fields = {
        "platform": "x", "id": "1", "family": "social", "text": "Fibroadenoma of the breast", "group": "x:7",
        "created": "2020-01-01T00:00:00", "hashtags": ("breastpath",), "media": [Medium("m1")],
    }  # fmt: skip
    return Post(**{**fields, **changes})  # type: ignore[arg-type]


def reply(identity: str, likes: int, text: str = "A fine picture of it", **changes: object) -> Post:
    return post(id=identity, reply_to="1", text=text, likes=likes, media=[], hashtags=(), **changes)


def run(*pairs: Pair, flow: dict[str, object] | None = None) -> tuple[list[Pair], dict[str, dict[str, int]]]:
    flowing = TextFlow(read_flow() if flow is None else flow_of({"steps": [flow]}))
    kept = flowing.run(list(pairs))
    return kept, {count.name: dict(count.reasons) for count in flowing.counts if count.reasons}


def reason(changed: Post) -> dict[str, dict[str, int]]:
    return run(*form_pairs(changed, []))[1]


def test_the_shipped_hashtags_add_up_to_the_papers_totals() -> None:
    tags = read_hashtags()
    assert len(tags) == 32
    assert (sum(tag.posts for tag in tags), sum(tag.replies for tag in tags)) == (116_504, 59_869)


def test_an_export_of_the_papers_proportions_ends_with_its_counts(tmp_path: Path) -> None:
    expected = paper_export(tmp_path, scale=1 / 200)
    trouble = Trouble()
    flow = TextFlow(read_flow())
    kept: list[Pair] = []
    posts: dict[str, Post] = {}
    replies: dict[str, list[Post]] = {}
    for kind, file in (("x-api-v2", "posts.jsonl"), ("laion", "laion.parquet")):
        for found in parse_source(f"{kind}:{tmp_path / file}").posts(trouble, Extracted(tmp_path / "e")):
            if found.reply_to:
                replies.setdefault(found.reply_to, []).append(found)
            else:
                posts[found.id] = found
    for found in posts.values():
        kept += flow.run(form_pairs(found, replies.get(found.id, [])))
    assert trouble.counts == {}
    assert Counter(pair.hashtag for pair in kept if pair.source == "Twitter") == expected.posts
    assert Counter(pair.hashtag for pair in kept if pair.source == "Twitter reply") == +expected.replies
    assert sum(pair.source == "PathLAION" for pair in kept) == expected.laion
    assert len(kept) == expected.pairs
    dropped = {(count.name, why): n for count in flow.counts for why, n in count.reasons.items()}
    assert dropped == +expected.dropped
    assert flow.formed == expected.formed
    check_counts(
        flow.counts, formed=flow.formed, pairs=len(kept), by_source={"all": len(kept)}, by_hashtag={"": len(kept)}
    )
    assert len(flow.dropped) == flow.formed - len(kept)


def test_a_post_and_its_replies_make_a_pair_for_each_picture() -> None:
    made = form_pairs(post(media=[Medium("a"), Medium("b")], sensitive=True), [reply("2", 1)])
    assert [(pair.id, pair.role, pair.text_id, pair.media_id) for pair in made] == [
        ("x-1-a", "post", "1", "a"), ("x-1-b", "post", "1", "b"),
        ("x-2-a", "reply", "2", "a"), ("x-2-b", "reply", "2", "b"),
    ]  # fmt: skip
    assert all(pair.sensitive and pair.group == "x:7" and pair.hashtags == ("breastpath",) for pair in made)


@pytest.mark.parametrize(
    ("changes", "step", "why"),
    [
        ({"created": "2006-03-20T23:59:59"}, "dates", "before 2006-03-21"),
        ({"created": "2022-11-16T00:00:00"}, "dates", "after 2022-11-15"),
        ({"hashtags": ("cats",)}, "hashtags", "no hashtag of the list"),
        ({"hashtags": ()}, "hashtags", "no hashtag"),
        ({"text": "Ein Fibroadenom der Brust, sehr schön zu sehen"}, "language", "language de"),
        ({"language": "pt"}, "language", "language pt"),
        ({"retweet": True}, "retweets", "retweet"),
        ({"text": "RT @someone: Fibroadenoma of the breast"}, "retweets", "retweet"),
        ({"sensitive": True}, "sensitive", "marked sensitive"),
        ({"text": "What is this lesion of the breast?"}, "questions", "question mark"),
        ({"text": "What is this lesion of the breast？"}, "questions", "question mark"),
        ({"text": "#BreastPath 🎉 @you https://t.co/x?y=1", "language": "en"}, "cleaning", "no words left"),
        ({"text": "word " * 12_000}, "cleaning", "longer than 10000 characters"),
        ({"consent": "withdrawn"}, "rights", "consent refused"),
    ],
)
def test_each_step_says_why_a_pair_goes(changes: dict[str, object], step: str, why: str) -> None:
    assert reason(post(**changes)) == {step: {why: 1}}


def test_the_edges_of_the_dates_stay_and_a_question_in_a_link_asks_nothing() -> None:
    for created in ("2006-03-21T00:00:00", "2022-11-15T23:59:59", ""):
        assert reason(post(created=created)) == {}
    assert reason(post(text="Fibroadenoma of the breast https://a.example/x?y=1")) == {}


def test_the_reply_with_the_most_likes_stays() -> None:
    replies = [
        reply("4", 3),
        reply("2", 9, "Foreign: ein sehr schöner Fall von Brustkrebs"),
        reply("3", 5),
        reply("5", 5),
    ]
    kept, reasons = run(*form_pairs(post(), replies))
    # The one with nine likes fell to the language before; of two with five the one with the smaller id stays.
    assert [pair.text_id for pair in kept] == ["1", "3"]
    assert reasons == {"language": {"language de": 1}, "replies": {"another reply has more likes": 2}}


def test_web_pairs_keep_their_questions_and_lose_twitters_pictures() -> None:
    web = {"platform": "laion", "family": "web", "hashtags": (), "text": "What is a fibroadenoma of the breast?"}
    assert reason(post(**web, media=[Medium("m", url="https://a.example/b.jpg")])) == {}
    gone = reason(post(**web, media=[Medium("m", url="https://pbs.twimg.com/b.jpg")]))
    assert gone == {"links": {"hosted by a network that is a source of its own": 1}}


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("Nice #dermpath case 😀\n\nfrom @a_b: see https://t.co/x  now", "Nice case from: see now"),
        ("5 &lt; 6 &amp; <b>bold</b><br/>next", "5 < 6 & bold next"),
        ("RT @who: CD20+ 👩‍⚕️👍🏽 5️⃣ ❤️ cells", "CD20+ 5 cells"),
        ("Size <5 mm and >3 mm, 10 × 5 µm → benign®", "Size <5 mm and >3 mm, 10 × 5 µm → benign®"),
        ("mail me at me@lab.example", "mail me at me@lab.example"),
        ("\u202bעברית\u202c mixed\u200b text", "עברית mixed text"),
        ("C#5 is no tag, A&B either", "C#5 is no tag, A&B either"),
    ],
)
def test_captions_are_cleaned_of_what_is_no_word(text: str, caption: str) -> None:
    assert clean(text) == caption


@given(st.text(max_size=400))
@settings(deadline=None, max_examples=150)
def test_cleaning_gives_one_line_and_changes_it_no_further(text: str) -> None:
    once = clean(text)
    assert once == " ".join(once.split())
    assert "http://" not in once
    assert clean(clean(once)) == clean(once)


def test_long_texts_take_no_long_time() -> None:
    for text in ("<" * 60_000, "@a" * 30_000, "#" * 60_000, "&amp;" * 12_000, "1" * 60_000, "A-1/" * 15_000):
        find_identifiers(clean(text))


def test_hashtags_are_words_and_not_numbers() -> None:
    assert hashtags_of("#GIpath and ＃皮膚 #2 #3D page#no") == ("GIpath", "皮膚", "3D")


def test_terms_of_pathology_are_not_taken_for_another_language() -> None:
    detector = LanguageDetector()
    for text in ("Granular cell tumor", "H&E 40x", "IHC: CD20+, Ki67 90%", "Case of the day", "Pilomatrixoma", ""):
        assert detector.foreign(text) == ""
    assert detector.foreign("Deri biyopsisinde spongiotik dermatit izleniyor") == "tr"


@pytest.mark.parametrize(
    ("text", "clean_text"),
    [
        ("Patient name: Jane Doe, seen 12.03.2019", "[name], seen [date]"),
        ("Mrs. Smith, case S19-12345, March 4, 2020", "[name], [number], [date]"),
        ("MRN 00123456 of a 93-year-old woman", "[number] of a [age over 89] woman"),
        ("Call +44 20 7946 0958 or a.b@c.example", "Call [phone] or [address]"),
        ("born on 1950-02-03", "[date]"),
    ],
)
def test_what_names_a_person_is_taken_out(text: str, clean_text: str) -> None:
    assert redacted(text, find_identifiers(text)) == clean_text


@pytest.mark.parametrize(
    "text",
    [
        "A 45-year-old woman with HPV16 and CK7/CK20, 3 x 2 x 1 cm, 400x",
        "Ki67 95%, CD3-/CD20+, p53 null, WHO 2022, ISUP 3+4, T2N0, HER2 2+",
        "Hodgkin lymphoma, Ewing sarcoma and Paget disease in one patient",
        "t(9;22)(q34;q11), BRAF V600E, 12 March is no full date",
    ],
)
def test_what_names_a_finding_is_left(text: str) -> None:
    assert find_identifiers(text) == []


def test_identifiers_can_be_shown_redacted_or_dropped() -> None:
    named = post(text="Patient name: Jane Doe with fibroadenoma of the breast on 12.03.2019")
    (kept,), _ = run(*form_pairs(named, []), flow={"privacy": {"action": "show"}})
    assert kept.findings == ("name", "date")
    assert "Jane" in kept.caption
    (kept,), _ = run(*form_pairs(named, []))
    assert kept.caption == "[name] with fibroadenoma of the breast on [date]"
    kept_pairs, reasons = run(*form_pairs(named, []), flow={"privacy": {"by_kind": {"name": "drop"}}})
    assert (kept_pairs, reasons) == ([], {"privacy": {"looks like a person's name": 1}})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"steps": ["nonsense"]}, "no step called nonsense"),
        ({"steps": [{"dates": {"frm": "2020-01-01"}}]}, "Extra inputs"),
        ({"steps": ["dates", "dates"]}, "comes twice"),
        ({"steps": ["files", "dates"]}, "must come before"),
        ({"steps": [], "split": {"shares": {"train": 0.5}}}, "add up to 1"),
        ({"steps": [{"dates": {}, "files": {}}]}, "is no step"),
        ([], "has steps"),
    ],
)
def test_a_wrong_flow_is_refused_in_words(document: object, words: str) -> None:
    with pytest.raises(FlowProblem, match=words):
        flow_of(document)


def steps() -> list[StepCount]:
    return [StepCount("a", 10, 7, Counter({"x": 2, "y": 1})), StepCount("b", 7, 7)]


def test_counts_that_add_up_pass() -> None:
    check_counts(steps(), formed=10, pairs=7, by_source={"s": 7}, by_hashtag={"h": 3, "----": 4})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"formed": 11}, "10 came in, 11 left"),
        ({"pairs": 6}, "6 pairs, 7 left"),
        ({"by_source": {"s": 8}}, "count by source"),
        ({"by_hashtag": {}}, "count by hashtag"),
        ({"steps": [StepCount("a", 10, 7, Counter({"x": 2})), StepCount("b", 7, 7)]}, "3 dropped, reasons for 2"),
        ({"steps": [StepCount("a", 10, 11, Counter({"x": -1})), StepCount("b", 11, 7)]}, "11 of 10 kept"),
    ],
)
def test_counts_that_do_not_add_up_are_refused(change: dict[str, object], words: str) -> None:
    given = {"steps": steps(), "formed": 10, "pairs": 7, "by_source": {"s": 7}, "by_hashtag": {"h": 7}, **change}
    with pytest.raises(CountProblem, match=words):
        check_counts(given.pop("steps"), **given)  # type: ignore[arg-type]
    document = {**steps()[0].document(), "dropped": 2}
    with pytest.raises(CountProblem, match="do not add up"):
        StepCount.from_document(document)
