"""Every kind of source in its documented layout, with what is broken in it counted and what is hostile refused."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from plipdesk.base.errors import EnvironmentProblem, UsageProblem
from plipdesk.datasets.media import MediaFolder
from plipdesk.datasets.pair import Post
from plipdesk.datasets.sources.container import MAX_RATIO, Unsafe, inner_name
from plipdesk.datasets.sources.dag_cbor import Malformed, decode
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.kinds import parse_source
from plipdesk.datasets.sources.safe_xml import parse_xml
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble
from plipdesk.datasets.sources.x_archive import archive_moment
from tests.datasets.exports import draw, page, tissue
from tests.drawing import pyramidal_tiff


def read(kind: str, place: Path, tmp_path: Path) -> tuple[list[Post], Trouble]:
    trouble = Trouble()
    found = list(parse_source(f"{kind}:{place}").posts(trouble, Extracted(tmp_path / "extracted")))
    return found, trouble


def jpeg(seed: int = 1) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(tissue(seed)).save(stream, "JPEG")
    return stream.getvalue()


# --- X ---------------------------------------------------------------------------------------------------------------


def test_x_api_pages_and_flattened_posts_are_read(tmp_path: Path) -> None:
    first = {
        "id": "1",
        "author_id": "9",
        "text": "A #GIPath case",
        "attachments": {"media_keys": ["3_1", "7_2", "3_9"]},
        "possibly_sensitive": True,
        "created_at": "2020-05-06T07:08:09.123Z",
        "lang": "en",
    }
    document = json.loads(page([first]))
    document["includes"]["media"] = [
        {"media_key": "3_1", "type": "photo", "url": "https://pbs.twimg.com/media/A.jpg"},
        {"media_key": "7_2", "type": "video"},
    ]
    document["includes"]["tweets"] = [{"id": "5", "text": "Referred to", "author_id": "3"}]
    flat = {
        "id": 2,
        "text": "Own",
        "author": {"id": "4", "username": "u"},
        "public_metrics": {"like_count": "7"},
        "attachments": {"media": [{"media_key": "3_4", "type": "photo"}], "media_keys": ["3_4"]},
        "referenced_tweets": [{"type": "replied_to", "id": "1"}],
    }
    lines = [
        json.dumps(document),
        json.dumps(flat),
        "{",
        "[]",
        "7",
        '{"data": [{"id": "8"}, 5]}',
        "\ufeff" + json.dumps({"data": {"id": "6", "text": "\ud83d\ude00 emoji, \u202eright to left, lone \ud800"}}),
        '{"meta": {}}',
        "\x00",
    ]
    (tmp_path / "posts.jsonl").write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    posts, trouble = read("x-api-v2", tmp_path / "posts.jsonl", tmp_path)
    by_id = {post.id: post for post in posts}
    assert set(by_id) == {"1", "2", "5", "6"}
    one = by_id["1"]
    assert [medium.id for medium in one.media] == ["3_1", "3_9"]
    assert (one.created, one.hashtags, one.sensitive, one.group) == ("2020-05-06T07:08:09", ("GIPath",), True, "x:9")
    assert one.link == "https://twitter.com/user9/status/1"
    assert (by_id["2"].reply_to, by_id["2"].likes, by_id["2"].media[0].id) == ("1", 7, "3_4")
    assert not by_id["5"].primary
    by_id["6"].text.encode()
    assert trouble.counts == {
        "broken line": 2,
        "line that is no object": 1,
        "post without id or text": 2,
        "line without a post": 1,
    }


def test_gzipped_lines_that_were_cut_short_are_told(tmp_path: Path) -> None:
    line = json.dumps({"id": "1", "text": "x" * 100})
    whole = gzip.compress("\n".join([line] * 50).encode())
    (tmp_path / "posts.jsonl.gz").write_bytes(whole[:-20])
    _, trouble = read("x-api-v2", tmp_path, tmp_path)
    assert trouble.counts["file cut short"] == 1


def _archive(folder: Path) -> None:
    (folder / "data" / "tweets_media").mkdir(parents=True)
    (folder / "data" / "tweets_media" / "11-AbC.jpg").write_bytes(jpeg())
    media = {"media": [{"id_str": "77", "type": "photo", "media_url_https": "https://pbs.twimg.com/media/AbC.jpg"}]}
    tweets = [
        {
            "tweet": {
                "id_str": "11",
                "full_text": "Skin &amp; #dermpath",
                "created_at": "Wed Oct 10 20:19:24 +0000 2018",
                "favorite_count": "12",
                "lang": "en",
                "entities": {"hashtags": [{"text": "dermpath"}]},
                "extended_entities": media,
            }
        },
        {"tweet": {"id_str": "12", "full_text": "@me thanks", "in_reply_to_status_id_str": "11"}},
        {"tweet": {"id_str": "13"}},
    ]
    (folder / "data" / "tweets.js").write_text("window.YTD.tweets.part0 = " + json.dumps(tweets), encoding="utf-8")
    cut = "window.YTD.tweets.part1 = " + json.dumps([{"tweet": {"id": 14, "full_text": "RT @x: hello"}}] * 2)
    (folder / "data" / "tweets-part1.js").write_text(cut[:-30], encoding="utf-8")
    account = [{"account": {"accountId": "5", "username": "me"}}]
    (folder / "data" / "account.js").write_text("window.YTD.account.part0 = " + json.dumps(account), encoding="utf-8")


@pytest.mark.parametrize("packed", [False, True])
def test_an_x_archive_is_read_from_its_folder_or_zip(tmp_path: Path, packed: bool) -> None:
    place = tmp_path / "archive"
    _archive(place)
    if packed:
        zipped = tmp_path / "archive.zip"
        with zipfile.ZipFile(zipped, "w") as archive:
            for file in sorted(place.rglob("*.*")):
                archive.write(file, file.relative_to(place))
            archive.writestr("../../evil.jpg", b"x")
            archive.writestr("inner.zip", b"x")
        place = zipped
    posts, trouble = read("x-archive", place, tmp_path)
    by_id = {post.id: post for post in posts}
    assert set(by_id) == {"11", "12", "14"}
    own = by_id["11"]
    assert (own.created, own.likes, own.hashtags, own.group) == ("2018-10-10T20:19:24", 12, ("dermpath",), "x:5")
    assert own.link == "https://twitter.com/me/status/11"
    assert by_id["12"].reply_to == "11"
    assert by_id["14"].retweet
    (medium,) = own.media
    assert medium.id == "3_77"
    if packed:
        assert (tmp_path / "extracted" / str(medium.extracted)).read_bytes() == jpeg()
        assert trouble.counts["path leaves its folder"] == trouble.counts["archive inside the source"] == 1
    else:
        assert medium.file == "data/tweets_media/11-AbC.jpg"
    assert trouble.counts["post without id or text"] == 1
    assert trouble.counts["file cut short"] == 1


def test_archive_times_are_read_in_any_zone() -> None:
    assert archive_moment("Sun Jan 01 01:30:00 +0200 2017") == "2016-12-31T23:30:00"
    assert archive_moment("yesterday") == archive_moment("Wed Foo 10 20:19:24 +0000 2018") == ""


# --- Mastodon and Bluesky --------------------------------------------------------------------------------------------


def test_a_mastodon_archive_is_read(tmp_path: Path) -> None:
    note = {
        "id": "https://m.example/users/a/statuses/1",
        "type": "Note",
        "published": "2021-01-02T03:04:05Z",
        "attributedTo": "https://m.example/users/a",
        "content": "<p>Kidney <a>#RenalPath</a></p>",
        "sensitive": False,
        "contentMap": {"en": "x"},
        "tag": [{"type": "Hashtag", "name": "#RenalPath"}, {"type": "Mention", "name": "@b"}],
        "attachment": [
            {"type": "Document", "mediaType": "image/jpeg", "url": "/media_attachments/files/1/original/a.jpg"},
            {"type": "Document", "mediaType": "video/mp4", "url": "/media_attachments/files/1/original/b.mp4"},
            {"type": "Document", "mediaType": "image/png", "url": "/../../../etc/x.png"},
        ],
    }
    answer = {"id": "https://m.example/users/b/statuses/2", "content": "Nice", "inReplyTo": note["id"]}
    items = [
        {"type": "Create", "object": note},
        {"type": "Announce", "object": "https://x.example/1"},
        {"type": "Create", "object": answer},
        {"type": "Create", "object": "gone"},
        5,
    ]
    folder = tmp_path / "m"
    draw(folder / "media_attachments/files/1/original", "a.jpg", 1)
    (folder / "outbox.json").write_text(json.dumps({"type": "OrderedCollection", "orderedItems": items}))
    posts, trouble = read("mastodon", folder, tmp_path)
    first, second = posts
    assert first.hashtags == ("RenalPath",)
    assert [(m.file, m.problem) for m in first.media] == [
        ("media_attachments/files/1/original/a.jpg", None),
        (None, "path leaves its folder"),
    ]
    assert (first.language, first.created, first.platform) == ("en", "2021-01-02T03:04:05", "mastodon")
    assert second.reply_to == first.id
    assert trouble.counts == {"post without id or text": 2, "path leaves its folder": 1}
    assert trouble.seen["boosts of other posts, which archives do not hold"] == 1


def test_mastodon_statuses_of_the_api_are_read(tmp_path: Path) -> None:
    status = {
        "id": "5",
        "content": "<p>x</p>",
        "created_at": "2021-01-02T03:04:05.000Z",
        "favourites_count": 3,
        "language": "en",
        "sensitive": True,
        "account": {"acct": "a"},
        "tags": [{"name": "gipath"}],
        "media_attachments": [{"id": "8", "type": "image", "url": "https://m.example/8.png"}],
    }
    (tmp_path / "s.jsonl").write_text(json.dumps(status) + "\n" + json.dumps({**status, "id": "6", "reblog": status}))
    (own, boost), _ = read("mastodon", tmp_path / "s.jsonl", tmp_path)
    assert (own.likes, own.hashtags, own.sensitive, own.media[0].id) == (3, ("gipath",), True, "8")
    assert boost.retweet


def _cbor(value: Any) -> bytes:
    def head(major: int, number: int) -> bytes:
        return bytes([major << 5 | number]) if number < 24 else bytes([major << 5 | 25]) + struct.pack(">H", number)

    if isinstance(value, bool) or value is None:
        return bytes([{False: 0xF4, True: 0xF5, None: 0xF6}[value]])
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(_cbor, value))
    if isinstance(value, tuple):
        return b"\xd8\x2a" + _cbor(b"\0" + value[0])
    return head(5, len(value)) + b"".join(_cbor(key) + _cbor(item) for key, item in value.items())


def _cid(content: bytes, codec: int = 0x71) -> bytes:
    return bytes([1, codec, 0x12, 32]) + hashlib.sha256(content).digest()


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def test_a_bluesky_repository_is_read_with_its_blobs(tmp_path: Path) -> None:
    blob = jpeg()
    link = _cid(blob, 0x55)
    name = "b" + base64.b32encode(link).decode().lower().rstrip("=")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / name).write_bytes(blob)
    record = {
        "$type": "app.bsky.feed.post",
        "text": "Lung #PulmPath",
        "createdAt": "2024-01-02T03:04:05.678Z",
        "langs": ["en"],
        "embed": {
            "$type": "app.bsky.embed.images",
            "images": [{"alt": "", "image": {"$type": "blob", "ref": (link,), "mimeType": "image/jpeg", "size": 3}}],
        },
    }
    answer = {
        "$type": "app.bsky.feed.post",
        "text": "Yes",
        "createdAt": "2024-01-02T03:05:05Z",
        "reply": {"parent": {"uri": "at://did:plc:a/app.bsky.feed.post/k1"}},
    }
    blocks = [_cbor(record), _cbor(answer), _cbor({"did": "did:plc:a", "sig": b"s", "version": 3}), b"\xff"]
    tree = {
        "e": [
            {"p": 0, "k": b"app.bsky.feed.post/k1", "v": (_cid(blocks[0]),), "t": None},
            {"p": 20, "k": b"2", "v": (_cid(blocks[1]),), "t": None},
        ],
        "l": None,
    }
    blocks.append(_cbor(tree))
    header = _cbor({"version": 1, "roots": []})
    content = _varint(len(header)) + header
    for block in blocks:
        content += _varint(len(_cid(block)) + len(block)) + _cid(block) + block
    (tmp_path / "repo.car").write_bytes(content)
    posts, trouble = read("bluesky", tmp_path, tmp_path)
    by_id = {post.id: post for post in posts}
    own = by_id["at://did:plc:a/app.bsky.feed.post/k1"]
    assert (own.text, own.hashtags, own.created, own.group) == (
        "Lung #PulmPath",
        ("PulmPath",),
        "2024-01-02T03:04:05",
        "bluesky:did:plc:a",
    )
    assert by_id["at://did:plc:a/app.bsky.feed.post/k2"].reply_to == own.id
    assert trouble.counts == {"broken record": 1}
    assert MediaFolder([tmp_path]).find(own, own.media[0], tmp_path) == (tmp_path / "blobs" / name).resolve()
    (tmp_path / "repo.car").write_bytes(content[:-5])
    assert read("bluesky", tmp_path, tmp_path)[1].counts["file cut short"] == 1


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_as_cbor_or_refused(content: bytes) -> None:
    with contextlib.suppress(Malformed):
        decode(content)


def test_bluesky_views_of_the_api_are_read(tmp_path: Path) -> None:
    view = {
        "post": {
            "uri": "at://did:plc:a/app.bsky.feed.post/k",
            "author": {"did": "did:plc:a", "handle": "a.example"},
            "likeCount": 4,
            "labels": [{"val": "graphic-media"}],
            "record": {
                "text": "x",
                "createdAt": "2024-01-02T03:04:05Z",
                "facets": [{"features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "GIPath"}]}],
            },
        }
    }
    (tmp_path / "p.jsonl").write_text(json.dumps(view) + "\n" + json.dumps({**view, "reason": {}}))
    (own, repost), _ = read("bluesky", tmp_path / "p.jsonl", tmp_path)
    assert (own.likes, own.hashtags, own.sensitive) == (4, ("GIPath",), True)
    assert own.link == "https://bsky.app/profile/a.example/post/k"
    assert repost.retweet


# --- documents -------------------------------------------------------------------------------------------------------

PAGE = """<html><body><figure><img src="img/a.jpg"><img src="img/b.jpg"><figcaption>
Fig. 1: Two <b>nuclei</b>.</figcaption></figure><p><img src="img/a.jpg" alt="Adenoma of the colon"></p>
<img src="x.jpg" alt="logo">
<div><img src="../../secret.jpg" alt="leads outside of here"></div>
<div><img src="img/c.jpg"><p class="imgCaption">A caption beside it</p></div>
<img src="https://far.example/z.png" alt="somewhere far away"></body></html>"""


@pytest.mark.parametrize("kind", ["html", "epub"])
def test_pages_and_books_give_figures_and_described_pictures(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "book"
    (folder / "text").mkdir(parents=True)
    (folder / "text" / "p1.xhtml").write_text(PAGE, encoding="utf-8")
    for name in "abc":
        draw(folder / "text" / "img", f"{name}.jpg", ord(name))
    (folder / "book.opf").write_text(
        '<package xmlns:dc="urn:d"><dc:title>Atlas</dc:title><dc:rights>CC BY 4.0</dc:rights></package>'
    )
    place = folder
    if kind == "epub":
        place = tmp_path / "book.epub"
        with zipfile.ZipFile(place, "w") as archive:
            for file in sorted(folder.rglob("*.*")):
                archive.write(file, file.relative_to(folder))
    posts, trouble = read(kind, place, tmp_path)
    assert [(post.text, len(post.media)) for post in posts] == [
        ("Fig. 1: Two nuclei.", 2),
        ("Adenoma of the colon", 1),
        ("leads outside of here", 1),
        ("A caption beside it", 1),
        ("somewhere far away", 1),
    ]
    assert posts[2].media[0].problem == "path leaves its folder"
    assert trouble.counts == {"path leaves its folder": 1}
    if kind == "epub":
        assert (posts[0].group, posts[0].licence) == ("epub:Atlas", "CC BY 4.0")
        assert all(medium.extracted for medium in posts[0].media)
    else:
        assert posts[0].media[1].file == "text/img/b.jpg"


ARTICLE = """<?xml version="1.0"?><!DOCTYPE article PUBLIC "-//NLM//DTD JATS//EN" "JATS.dtd">
<article xmlns:xlink="http://www.w3.org/1999/xlink" xml:lang="en"><front><article-meta>
<article-id pub-id-type="pmc">123</article-id><article-id pub-id-type="doi">10.1/x</article-id>
<pub-date><year>2020</year><month>5</month></pub-date><permissions><license license-type="open-access">
<license-p>see <ext-link xlink:href="https://creativecommons.org/licenses/by-nc/4.0/">here</ext-link></license-p></license>
</permissions></article-meta></front><body><fig id="F1"><label>Fig. 1</label><caption><title>Liver.</title>
<p>Steatosis, <italic>H&amp;E</italic>.</p></caption><graphic xlink:href="fig-1"/></fig>
<fig id="F2"><caption><p>No picture</p></caption></fig>
<fig id="F3"><caption><p>Leads out</p></caption><graphic xlink:href="../../../x"/></fig></body></article>"""


def test_an_article_gives_its_figures(tmp_path: Path) -> None:
    place = tmp_path / "PMC123.tar.gz"
    with tarfile.open(place, "w:gz") as archive:
        for name, content in (("PMC123/a.nxml", ARTICLE.encode()), ("PMC123/fig-1.jpg", jpeg()), ("../e.jpg", b"x")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("PMC123/l.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (figure, outside), trouble = read("pmc", place, tmp_path)
    assert (figure.text, figure.group, figure.licence) == ("Liver. Steatosis, H&E.", "pmc:PMC123", "CC BY-NC 4.0")
    assert (figure.created, figure.link, figure.language) == ("2020-05-01T00:00:00", "https://doi.org/10.1/x", "en")
    assert (tmp_path / "extracted" / str(figure.media[0].extracted)).read_bytes() == jpeg()
    assert outside.media[0].problem == "path leaves its folder"
    assert trouble.counts == {
        "path leaves its folder": 2,
        "link inside an archive": 1,
        "figure without words or picture": 1,
    }
    hostile = ARTICLE.replace('"JATS.dtd">', '"JATS.dtd" [<!ENTITY x SYSTEM "file:///etc/passwd">]>')
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.nxml").write_text(hostile)
    posts, trouble = read("pmc", tmp_path / "p", tmp_path)
    assert (posts, trouble.counts) == ([], {"XML with entities of its own": 1})


def test_xml_that_explodes_is_refused_in_any_encoding() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><a>&b;</a>'
    for encoding in ("utf-8", "utf-16"):
        with pytest.raises(Unsafe):
            parse_xml(f'<?xml version="1.0" encoding="{encoding}"?>{bomb}'.encode(encoding))


def _pdf(images: list[bytes], pages: list[str]) -> bytes:
    """A PDF by hand: each page's content may draw /I0, /I1 … and write with /F."""
    resources = "<</Font<</F 3 0 R>>/XObject<<" + "".join(f"/I{n} {n + 4} 0 R" for n in range(len(images))) + ">>>>"
    first = 4 + len(images)
    kids = " ".join(f"{first + 2 * n} 0 R" for n in range(len(pages)))
    objects: list[bytes] = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for image in images:
        objects.append(
            b"<</Type/XObject/Subtype/Image/Width 224/Height 224/ColorSpace/DeviceRGB/BitsPerComponent 8"
            + f"/Filter/DCTDecode/Length {len(image)}>>stream\n".encode()
            + image
            + b"\nendstream"
        )
    for number, content in enumerate(pages):
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources{resources}"
            f"/Contents {first + 2 * number + 1} 0 R>>".encode()
        )
        objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream".encode())
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


def _write(x: int, y: int, words: str) -> str:
    return f"BT /F 10 Tf {x} {y} Td ({words}) Tj ET "


def _place(name: str, x: int, y: int, side: int) -> str:
    return f"q {side} 0 0 {side} {x} {y} cm /{name} Do Q "


def test_a_pdf_gives_its_pictures_with_the_captions_beside_them(tmp_path: Path) -> None:
    one = (
        _write(50, 780, "A title of the page")
        + _place("I0", 50, 550, 200)
        + _place("I1", 300, 550, 200)
        + _write(50, 530, "Figure 1: Colon with a tubular adeno-")
        + _write(50, 518, "ma, seen in two stains.")
        + _write(50, 470, "The text of the page goes on here.")
        + _place("I0", 500, 780, 15)
    )
    two = _write(50, 700, "Fig. 2. Above its picture.") + _place("I1", 50, 450, 230) + _write(50, 100, "No caption.")
    three = _place("I0", 50, 300, 200) + _write(50, 280, "Nothing that names a picture")
    file = tmp_path / "atlas.pdf"
    file.write_bytes(_pdf([jpeg(1), jpeg(2)], [one, two, three]))
    posts, trouble = read("pdf", file, tmp_path)
    assert [(post.text, len(post.media)) for post in posts] == [
        ("Figure 1: Colon with a tubular adenoma, seen in two stains.", 2),
        ("Fig. 2. Above its picture.", 1),
    ]
    assert trouble.counts == {"picture without a caption": 1}
    shown = Image.open(tmp_path / "extracted" / str(posts[0].media[0].extracted))
    with shown, Image.open(io.BytesIO(jpeg(1))) as original:
        difference = np.asarray(shown, dtype=int) - np.asarray(original, dtype=int)
    assert np.abs(difference).max() <= 2
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    with pytest.raises(SourceProblem, match="damaged"):
        read("pdf", tmp_path / "broken.pdf", tmp_path)
    assert read("pdf", tmp_path, tmp_path)[1].counts["damaged file"] == 1


def test_annotations_on_slides_become_captioned_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    folder.mkdir()
    pyramidal_tiff(folder / "case.tif", width_px=1024, height_px=768, levels=2, seed=1)

    def feature(name: str | None) -> dict[str, Any]:
        ring = [[100, 100], [500, 100], [500, 300], [100, 300], [100, 100]]
        said = {"classification": {"name": name}} if name else {}
        return {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"objectType": "annotation", **said},
        }

    (folder / "case.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature("Tumor"), feature(None), feature("Necrosis")]})
    )
    (folder / "lost.geojson").write_text(json.dumps(feature("Tumor")))
    (folder / "captions.json").write_text(
        json.dumps({"template": "A {stain} image of {name}.", "names": {"Tumor": "adenoma"}})
    )
    posts, trouble = read("slides", folder, tmp_path)
    assert [post.text for post in posts] == ["A {stain} image of adenoma.", "A {stain} image of necrosis."]
    assert posts[0].tags == ("Tumor",)
    assert trouble.counts == {"annotation without a class": 1, "annotations without their slide": 1}
    with Image.open(tmp_path / "extracted" / str(posts[0].media[0].extracted)) as picture:
        assert picture.size[0] == picture.size[1] >= 224
    (folder / "captions.json").write_text('{"template": "no name"}')
    with pytest.raises(SourceProblem, match=r"has no \{name\}"):
        read("slides", folder, tmp_path)


# --- folders and hostility -------------------------------------------------------------------------------------------


def test_folders_take_words_from_tables_lines_and_sidecars(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    for number, name in enumerate(("a.jpg", "b.png", "c.jpg", "d.jpg", "Ünï.jpg")):
        draw(folder, name, number)
    lines = ("\ufefffile,title,caption,case,licence,tags", "a.jpg,Colon,Adenoma,7,CC0,fat|nerve", ",,x", "b.png,,")
    (folder / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    (folder / "l.jsonl").write_text('{"image": "b.png", "text": "Lung", "split": "test"}\n{"image": \n')
    (folder / "c.txt").write_text("Liver", encoding="utf-8")
    (folder / "Ünï.json").write_text('{"caption": "Skin", "consent": false}', encoding="utf-8")
    posts, trouble = read("folder", folder, tmp_path)
    told = {post.media[0].file: post for post in posts}
    assert {file: post.text for file, post in told.items()} == {
        "a.jpg": "Colon. Adenoma",
        "b.png": "Lung",
        "c.jpg": "Liver",
        "Ünï.jpg": "Skin",
    }
    assert (told["a.jpg"].group, told["a.jpg"].licence, told["a.jpg"].tags) == ("folder:7", "CC0", ("fat", "nerve"))
    assert told["b.png"].split == "test"
    assert told["Ünï.jpg"].consent == "no"
    assert trouble.counts == {
        "row without a picture": 1,
        "row without words": 1,
        "broken line": 1,
        "picture without words": 1,
    }


def test_archives_made_to_explode_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "bomb.epub"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.html", b"\0" * (1000 * MAX_RATIO * 80))
    posts, trouble = read("epub", place, tmp_path)
    assert (posts, trouble.counts) == ([], {"zip bomb": 1})
    (tmp_path / "broken.epub").write_bytes(place.read_bytes()[:-40])
    with pytest.raises(SourceProblem):
        read("epub", tmp_path / "broken.epub", tmp_path)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../b", "C:\\x", "..\\..\\x", "", ".", "a\0b", "x" * 2000]
)
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(Unsafe):
        inner_name(name)


def test_a_source_is_named_by_kind_and_path(tmp_path: Path) -> None:
    for words in ("nothing", "folder:", "gopher:/x"):
        with pytest.raises(UsageProblem, match="is no source"):
            parse_source(words)
    with pytest.raises(EnvironmentProblem, match="does not exist"):
        parse_source(f"pdf:{tmp_path / 'none.pdf'}")
    for kind in ("pdf", "html", "epub", "pmc", "slides", "laion", "folder", "x-archive", "mastodon", "x-api-v2"):
        with pytest.raises(SourceProblem):
            read(kind, tmp_path, tmp_path)
