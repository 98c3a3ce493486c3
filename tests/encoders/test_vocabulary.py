"""The shipped vocabulary, its look-ups, and what a broken vocabulary file says."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.resources import resource_path
from plipdesk.encoders.vocabulary import (
    MAX_FILE_BYTES,
    SHIPPED_VOCABULARY,
    Category,
    Vocabulary,
    VocabularyProblem,
    load_vocabulary,
)

# What the tiles that the embedded model learns from are tagged with.
TAGS = """
adenocarcinoma; adenoma; adipose tissue; adrenal cortex; amyloid; anthracotic pigment; bacteria; bile duct; blood;
blood vessel; bone; bone marrow; brain neuropil; breast ducts; calcification; cartilage; colonic crypts;
columnar glandular epithelium; cytology smear; debris; desmoplastic stroma; dysplastic glands; eosinophils;
fibrous stroma; fold or artifact; fungal organisms; gallbladder mucosa; ganglion cells; gastric glands; glial tumor;
glomerulus; goblet cells; granuloma; hemosiderin; hepatocytes; keratin; loose connective tissue; lung alveoli;
lymphoid aggregate; lymphoma; macrophages; meningothelial tumor; mesothelial cells; mixed inflammation;
mostly background; mucin; myxoid stroma; necrosis; nerve; neuroendocrine tumor; neutrophils; out of focus;
ovarian stroma; pancreatic acini; parasite; plasma cells; renal tubules; sarcoma; signet ring cells; skeletal muscle;
skin dermis; small intestinal villi; smooth muscle; solid carcinoma; spindle cell tumor; squamous cell carcinoma;
squamous epithelium; urothelium
""".replace("\n", " ")

SMALL = """\
schema_version: 1
version: 3
terms:
  - id: fat
    name: adipose tissue
    category: tissue
    synonyms: [fat, fatty tissue]
    zh: 脂肪组织
    zh_synonyms: [脂肪]
  - id: lipoma
    name: lipoma
    category: tumour
    synonyms: [benign fatty tumor]
    zh: 脂肪瘤
    broader: fat
"""


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load_vocabulary()


def written(folder: Path, text: str) -> Path:
    path = folder / "words 词.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def names(vocabulary: Vocabulary, prefix: str, limit: int = 10) -> list[str]:
    return [term.name for term in vocabulary.suggest(prefix, limit)]


# --- what is shipped


def test_the_shipped_vocabulary_is_large_and_of_every_category(vocabulary: Vocabulary) -> None:
    assert vocabulary.schema_version == 1
    assert len(vocabulary.terms) >= 450
    counted = {category: sum(term.category == category for term in vocabulary.terms) for category in get_args(Category)}
    assert min(counted.values()) >= 15, counted


def test_every_word_belongs_to_one_term(vocabulary: Vocabulary) -> None:
    owners: dict[str, str] = {}
    for term in vocabulary.terms:
        for word in {word.casefold() for word in (*term.english, *term.chinese)}:
            assert owners.setdefault(word, term.id) == term.id, word
    assert len({term.id for term in vocabulary.terms}) == len(vocabulary.terms)


def test_terms_are_sorted_by_category_then_name(vocabulary: Vocabulary) -> None:
    order = [(term.category, term.name.casefold()) for term in vocabulary.terms]
    assert order == sorted(order)


def test_ids_are_the_names_in_kebab_case(vocabulary: Vocabulary) -> None:
    for term in vocabulary.terms:
        plain = unicodedata.normalize("NFKD", term.name).encode("ascii", "ignore").decode().lower()
        assert term.id == re.sub(r"[^a-z0-9]+", "-", plain)


def test_english_holds_no_chinese(vocabulary: Vocabulary) -> None:
    for term in vocabulary.terms:
        assert not [word for word in term.english if re.search(r"[\u3000-\u9fff\uff00-\uffef]", word)], term.id


def test_chinese_is_simplified(vocabulary: Vocabulary) -> None:
    traditional = set("細織腫膽動靜經鱗狀體質發維結構臟腎腦膚腸縮遺組癥")
    assert not [word for term in vocabulary.terms for word in term.chinese if traditional & set(word)]


def test_british_spelling_of_every_tumor_artifact_and_edema_is_found(vocabulary: Vocabulary) -> None:
    pairs = {
        "tumor": "tumour",
        "artifact": "artefact",
        "hemo": "haemo",
        "hema": "haema",
        "edema": "oedema",
        "esophag": "oesophag",
        "leukem": "leukaem",
    }
    for term in vocabulary.terms:
        for american, british in pairs.items():
            if american in term.name.casefold() and len(term.synonyms) < 6:
                assert any(british in synonym.casefold() for synonym in term.synonyms), term.name


@pytest.mark.parametrize("tag", [tag.strip() for tag in TAGS.split(";")])
def test_every_tag_of_the_tiles_is_a_word_of_the_vocabulary(vocabulary: Vocabulary, tag: str) -> None:
    term = vocabulary.find(tag)
    assert term is not None
    assert len(term.synonyms) >= 2, "synonyms are held back from training and asked later: one is too few"


# --- find and translate


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hepatocytes", "hepatocytes"),
        ("  Liver   CELLS ", "hepatocytes"),
        ("signet-ring cells", "signet ring cells"),
        ("signet ring cells", "signet ring cells"),
        ("H&E", "hematoxylin and eosin stain"),
        ("haematoxylin and eosin stain", "hematoxylin and eosin stain"),
        ("Crohn’s disease", "Crohn disease"),
        ("Sjogren syndrome", "sialadenitis"),
        ("hurthle cells", "Hürthle cells"),
        ("congo red positive amyloid", "Congo red positive amyloid"),
        ("chromogranin positive cells", "chromogranin positive cells"),
        ("肝细胞", "hepatocytes"),
        ("粘液", "mucin"),
        ("HE 染色", "hematoxylin and eosin stain"),
        ("ＨＥ染色", "hematoxylin and eosin stain"),
    ],
)
def test_find_by_any_word(vocabulary: Vocabulary, text: str, name: str) -> None:
    term = vocabulary.find(text)
    assert term is not None
    assert term.name == name


@pytest.mark.parametrize("text", ["", "   ", "hepatocyte s", "liver cells and bile", "不存在的词", "hepatocytes\x00"])
def test_find_knows_only_whole_words(vocabulary: Vocabulary, text: str) -> None:
    assert vocabulary.find(text) is None


def test_every_word_finds_its_own_term(vocabulary: Vocabulary) -> None:
    for term in vocabulary.terms:
        assert all(vocabulary.find(word.upper()) is term for word in (*term.english, *term.chinese)), term.id
        assert all(vocabulary.translate(word) is term for word in term.chinese), term.id


def test_translate_reads_chinese_only(vocabulary: Vocabulary) -> None:
    term = vocabulary.translate(" 鳞癌 ")
    assert term is not None
    assert term.name == "squamous cell carcinoma"
    assert vocabulary.translate("squamous cell carcinoma") is None


# --- suggest


def test_suggest_puts_names_before_later_words_before_synonyms_before_letters_inside(vocabulary: Vocabulary) -> None:
    found = names(vocabulary, "lip", 100)
    assert found[0] == "lipoma"
    begins = [name for name in found if name.startswith("lip")]
    assert found[: len(begins)] == begins
    assert found.index("lipoma") < found.index("angiomyolipoma")
    assert found.index("foam cells") < found.index("angiomyolipoma")


def test_suggest_gives_a_word_typed_in_full_first(vocabulary: Vocabulary) -> None:
    assert names(vocabulary, "fat")[0] == "adipose tissue"
    assert names(vocabulary, "HCC")[0] == "hepatocellular carcinoma"
    assert names(vocabulary, "胃")[0] == "stomach"


def test_suggest_completes_the_second_word(vocabulary: Vocabulary) -> None:
    assert names(vocabulary, "signet ri")[0] == "signet ring cells"
    assert "signet ring cells" in names(vocabulary, "ring ce")


def test_suggest_in_chinese_beginnings_before_parts(vocabulary: Vocabulary) -> None:
    found = names(vocabulary, "肾小", 20)
    assert {"glomerulus", "renal tubules"} <= set(found[:3])
    parts = names(vocabulary, "小管", 20)
    assert parts.index("tubular pattern") < parts.index("renal tubules")


def test_suggest_obeys_its_limit_and_ignores_an_empty_prefix(vocabulary: Vocabulary) -> None:
    assert len(vocabulary.suggest("c", 7)) == 7
    assert vocabulary.suggest("c", 0) == []
    assert vocabulary.suggest("  ") == []
    assert vocabulary.suggest("zzzz") == []


@settings(deadline=None)
@given(text=st.text(max_size=12), limit=st.integers(-1, 30))
def test_suggest_never_repeats_and_longer_limits_only_add(vocabulary: Vocabulary, text: str, limit: int) -> None:
    short, long = vocabulary.suggest(text, limit), vocabulary.suggest(text, limit + 5)
    assert long[: len(short)] == short
    assert len({term.id for term in long}) == len(long) <= max(0, limit + 5)


@settings(deadline=None)
@given(data=st.data())
def test_every_beginning_of_a_word_offers_its_term(vocabulary: Vocabulary, data: st.DataObject) -> None:
    term = data.draw(st.sampled_from(vocabulary.terms))
    word = data.draw(st.sampled_from((*term.english, *term.chinese)))
    length = data.draw(st.integers(1, len(word)))
    assert term in vocabulary.suggest(word[:length], len(vocabulary.terms))


# --- files


def test_a_small_file_is_read(tmp_path: Path) -> None:
    vocabulary = load_vocabulary(written(tmp_path, SMALL))
    assert vocabulary.version == 3
    assert vocabulary.names() == ("adipose tissue", "lipoma")
    fat, lipoma = vocabulary.terms
    assert fat.english == ("adipose tissue", "fat", "fatty tissue")
    assert fat.chinese == ("脂肪组织", "脂肪")
    assert (fat.broader, lipoma.broader, lipoma.zh_synonyms) == (None, "fat", ())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("id: lipoma", "id: fat", "the id fat is given twice"),
        ("[benign fatty tumor]", "[Fatty-Tissue]", "“Fatty-Tissue” belongs to both fat and lipoma"),
        ("zh: 脂肪瘤", "zh: 脂肪", "“脂肪” belongs to both fat and lipoma"),
        ("broader: fat", "broader: oil", "lipoma names oil as broader, which does not exist"),
        ("broader: fat", "broader: lipoma", "the broader terms of lipoma lead in a circle"),
        ("zh: 脂肪瘤", "zh: ''", "term lipoma, zh"),
        ("zh: 脂肪瘤", "zh: lipoma", "term lipoma, zh"),
        ("    zh: 脂肪瘤\n", "", "term lipoma, zh: Field required"),
        ("[benign fatty tumor]", "[]", "term lipoma, synonyms"),
        ("[benign fatty tumor]", "[a, b, c, d, e, f, g]", "term lipoma, synonyms"),
        ("[benign fatty tumor]", "fatty", "term lipoma, synonyms"),
        ("category: tumour", "category: lump", "term lipoma, category"),
        ("id: lipoma", "id: Lipoma!", "term Lipoma!, id"),
        ("- id: lipoma\n    name", "- name", "term 2, id: Field required"),
        ("zh: 脂肪瘤", "chinese: 脂肪瘤", "term lipoma, zh: Field required"),
        ("broader: fat", "wider: fat", "term lipoma, wider"),
        ("broader: fat", "name: fat", "the key name is given twice in the entry that begins with id: lipoma"),
        ("broader: fat", "? [a]\n    : b", "a key must be one word"),
        ("name: lipoma", "name: &x lipoma\n    zh: *x", "it uses the alias x"),
        ("schema_version: 1", "schema_version: 2", "schema_version must be 1, not 2"),
        ("schema_version: 1\n", "", "schema_version must be 1, not None"),
        ("version: 3", "version: new", "version"),
        ("terms:", "terms: [", "expected"),
    ],
)
def test_a_broken_file_says_what_is_wrong_where(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SMALL
    start = SMALL.rindex(old)
    path = written(tmp_path, SMALL[:start] + new + SMALL[start + len(old) :])
    with pytest.raises(VocabularyProblem) as raised:
        load_vocabulary(path)
    assert said in raised.value.message
    assert "\n" not in raised.value.message
    assert raised.value.path == str(path)
    assert raised.value.remedy == "Correct the file."
    assert isinstance(raised.value, EnvironmentProblem)


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b\n", "a: 1\n---\nb: 2\n", "\x00"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(VocabularyProblem, match="not right"):
        load_vocabulary(written(tmp_path, text))


def test_a_file_that_is_not_there_not_text_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VocabularyProblem, match="cannot be read"):
        load_vocabulary(tmp_path / "nothing.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"terms: \xff\xfe")
    with pytest.raises(VocabularyProblem, match="not right"):
        load_vocabulary(latin)
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(VocabularyProblem, match="too large"):
        load_vocabulary(large)


def test_the_shipped_file_is_readable_text() -> None:
    lines = resource_path(SHIPPED_VOCABULARY).read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 120
    assert not [line for line in lines if "\t" in line or line != line.rstrip()]
