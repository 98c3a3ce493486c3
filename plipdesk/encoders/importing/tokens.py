"""The tokenizer that belongs to a model, from the files of its folder, as one ``tokenizer.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from plipdesk.encoders.card import EncoderProblem, TokenizerCard
from plipdesk.encoders.importing.documents import optional_document, read_document
from plipdesk.encoders.importing.draft import Words
from plipdesk.encoders.token_file import read_rules

TOKENIZER_NAME = "tokenizer.json"
Clean = Literal["none", "whitespace", "lower", "canonicalize"]
_MOST_BYTES = 128 << 20
_START, _END = "<|startoftext|>", "<|endoftext|>"
_PIECES = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
_REMEDY = "Fetch the model's tokenizer files again and put them into its folder."


def clip_words(folder: Path, context_length: int) -> Words:
    """CLIP's tokenizer as Hugging Face has it: ``tokenizer.json``, or else ``vocab.json`` and ``merges.txt``.

    Raises:
        EncoderProblem: neither is there, or they are no tokenizer of CLIP's kind.
    """
    if (folder / TOKENIZER_NAME).is_file():
        rules = read_rules(folder / TOKENIZER_NAME)
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        rules = _clip_rules(folder)
    else:
        raise missing(folder, "tokenizer.json, or vocab.json and merges.txt")
    ids = rules.encode("a").ids
    start, end = rules.token_to_id(_START), rules.token_to_id(_END)
    if None in (start, end) or ids[:1] != [start] or ids[-1:] != [end]:
        raise EncoderProblem("The tokenizer is not one of CLIP's kind.", path=folder, remedy=_REMEDY)
    return _words(rules, TokenizerCard(kind="tokenizers", file=TOKENIZER_NAME), context_length)


def file_words(folder: Path, context_length: int, *, clean: Clean, pad_id: int | None, zeroed: bool = False) -> Words:
    """Any tokenizer that comes as ``tokenizer.json``, or BERT's that comes as ``vocab.txt``.

    ``pad_id`` is what the files themselves say where it is None; ``zeroed`` takes the separator out again.

    Raises:
        EncoderProblem: neither is there, or it is no tokenizer.
    """
    if (folder / TOKENIZER_NAME).is_file():
        rules = read_rules(folder / TOKENIZER_NAME)
    elif (folder / "vocab.txt").is_file():
        rules = _bert_rules(folder)
    else:
        raise missing(folder, "tokenizer.json")
    if pad_id is None:
        pad_id = rules.token_to_id(_special(folder, "pad_token") or "[PAD]") or 0
    separator = rules.token_to_id(_special(folder, "sep_token") or "[SEP]") if zeroed else None
    card = TokenizerCard(
        kind="tokenizers", file=TOKENIZER_NAME, clean=clean, pad_id=pad_id, zeroed_id=separator
    )  # fmt: skip
    return _words(rules, card, context_length)


def own_clip_words(context_length: int) -> Words:
    """open_clip's own tokenizer, which models without a tokenizer of theirs were trained with."""
    return Words(TokenizerCard(kind="clip-bpe", file=None), None, context_length)


def missing(folder: Path, names: str) -> EncoderProblem:
    """The error that says which tokenizer files a folder lacks."""
    return EncoderProblem(
        f"The model's tokenizer is missing: {names}.",
        path=folder,
        remedy="Fetch it from where the model came from and put it into this folder.",
    )


def _words(rules: Any, card: TokenizerCard, context_length: int) -> Words:
    rules.no_padding()
    rules.no_truncation()
    return Words(card, rules.to_str().encode(), context_length)


def _clip_rules(folder: Path) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import BPE

    vocabulary = read_document(folder / "vocab.json")
    lines = [line for line in _lines(folder / "merges.txt") if line and not line.startswith("#version")]
    merges = [(first, second) for first, _, second in (line.partition(" ") for line in lines)]
    start, end = vocabulary.get(_START), vocabulary.get(_END)
    if not isinstance(start, int) or not isinstance(end, int) or not all(first and second for first, second in merges):
        raise EncoderProblem("The tokenizer is not one of CLIP's kind.", path=folder, remedy=_REMEDY)
    try:
        model = BPE(
            vocab=vocabulary, merges=merges, continuing_subword_prefix="", end_of_word_suffix="</w>", fuse_unk=False,
            unk_token=_special(folder, "unk_token") or _END,
        )  # fmt: skip
    except Exception as error:  # the library raises nothing narrower
        raise EncoderProblem(
            f"vocab.json and merges.txt do not fit together: {str(error)[:200]}.", path=folder, remedy=_REMEDY
        ) from error
    rules = Tokenizer(model)
    rules.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    split = pre_tokenizers.Split(Regex(_PIECES), behavior="removed", invert=True)
    rules.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    rules.decoder = decoders.ByteLevel()
    rules.post_processor = processors.RobertaProcessing(
        (_END, end), (_START, start), trim_offsets=False, add_prefix_space=False
    )
    for name, token in (("bos_token", _START), ("eos_token", _END)):
        rules.add_special_tokens([AddedToken(token, special=True, normalized=_normalised(folder, name))])
    return rules


def _bert_rules(folder: Path) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    vocabulary = {word: number for number, word in enumerate(_lines(folder / "vocab.txt")) if word}
    config = optional_document(folder / "tokenizer_config.json")
    around = {name: vocabulary.get(name) for name in ("[UNK]", "[CLS]", "[SEP]")}
    if None in around.values():
        raise EncoderProblem("vocab.txt is no vocabulary of BERT's kind.", path=folder, remedy=_REMEDY)
    rules = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    rules.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(config.get("tokenize_chinese_chars", True)),
        strip_accents=config.get("strip_accents"),
        lowercase=bool(config.get("do_lower_case", True)),
    )
    rules.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rules.decoder = decoders.WordPiece(prefix="##")
    rules.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", around["[CLS]"]), ("[SEP]", around["[SEP]"])],
    )
    special = [name for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if name in vocabulary]
    rules.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    return rules


def _special(folder: Path, name: str) -> str | None:
    entry = _entry(folder, name)
    text = entry.get("content") if isinstance(entry, dict) else entry
    return text if isinstance(text, str) else None


def _normalised(folder: Path, name: str) -> bool:
    entry = _entry(folder, name)
    return isinstance(entry, dict) and bool(entry.get("normalized", False))


def _entry(folder: Path, name: str) -> object:
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        found = optional_document(folder / file).get(name)
        if found is not None:
            return found
    return None


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large")
        return path.read_bytes().decode("utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise EncoderProblem("The tokenizer's file cannot be read.", path=path, remedy=_REMEDY) from error
