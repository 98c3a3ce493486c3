"""What looks like a patient's data in a caption: shown, taken out, or a reason to drop the pair."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from plipdesk.datasets.pair import Pair
from plipdesk.datasets.steps.base import Noting, TextStep, Verdict

Action = Literal["show", "redact", "drop"]
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\.?"
)
_CAPITALISED = r"[A-ZÀ-Þ][a-zà-ÿ]+(?:-[A-ZÀ-Þ][a-zà-ÿ]+)?"
# Kinds in the order in which they are looked for: what an earlier one found, a later one does not see.
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("address", re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+")),
    (
        "name",
        re.compile(
            r"(?:\b(?i:patient(?:'s|’s)?\s+name|pt\.?\s+name|name\s+of\s+(?:the\s+)?patient|surname|name)\s*[:=]\s*"
            rf"(?:[A-ZÀ-Þ][\w'’-]*[,.]?\s*){{1,3}})|\b(?:Mr|Mrs|Ms|Miss|Herr|Frau|Mme|Señora?|Sig)\b\.?\s+{_CAPITALISED}"
            rf"(?:\s+{_CAPITALISED})?|\b(?:[Pp]atient|[Pp]t)[,:]?\s+{_CAPITALISED}\s+{_CAPITALISED}\b"
        ),
    ),
    (
        "number",
        re.compile(
            r"\b(?i:mrn|nhs|ssn|hospital|patient\s+id|pid|accession|acc|case|specimen|lab)\.?\s*(?i:no|nr|number|num|id|\#)?"
            r"\.?\s*[:#=]?\s*(?=[A-Z0-9/-]*\d{4})[A-Z]{0,4}[0-9][A-Z0-9/-]{3,20}\b"
            r"|(?<![\w/-])[A-Z]{1,3}[- ]?(?:19|20)?\d{2}[-/]\d{3,7}(?![\w/-])"
            r"|(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])|(?<![\w.-])\d{3} \d{3} \d{4}(?!\w)"
        ),
    ),
    (
        "date",
        re.compile(
            r"(?<![\w./-])(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./](?:19|20)?\d{2})(?![\w/-])"
            rf"|\b\d{{1,2}}(?:st|nd|rd|th)?\.?\s+{_MONTH}\s+(?:19|20)\d{{2}}\b"
            rf"|\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+(?:19|20)\d{{2}}\b"
            r"|\b(?:dob|date\s+of\s+birth|born(?:\s+on)?)\b\s*[:=]?\s*\d[\d./-]{3,9}",
            re.IGNORECASE,
        ),
    ),
    ("phone", re.compile(r"(?<![\w.])\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}(?!\w)|\(\d{3}\) ?\d{3}-\d{4}")),
    (
        "age over 89",
        re.compile(
            r"\b(?:9\d|1[01]\d)[\s-]*(?:yo\b|y/o\b|yrs?\b|years?(?:[\s-]+old\b|\s+of\s+age\b)|-year-old\b)", re.I
        ),
    ),
)
KINDS = tuple(kind for kind, _ in _PATTERNS)


@dataclass(frozen=True)
class Finding:
    """A stretch of a text, ``start`` to ``end`` in characters, that looks like a person's data."""

    kind: str
    start: int
    end: int


def find_identifiers(text: str) -> list[Finding]:
    """Everything in ``text`` that looks like it identifies a person, in the order of the text."""
    return sorted(_findings(text), key=lambda finding: finding.start)


def redacted(text: str, findings: list[Finding]) -> str:
    """``text`` with each finding replaced by its kind in brackets."""
    for finding in sorted(findings, key=lambda finding: -finding.start):
        text = f"{text[: finding.start]}[{finding.kind}]{text[finding.end :]}"
    return " ".join(text.split())


def _findings(text: str) -> Iterator[Finding]:
    taken: list[tuple[int, int]] = []
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.start(), match.start() + len(match.group().rstrip(" ,."))
            if all(end <= other_start or start >= other_end for other_start, other_end in taken):
                taken.append((start, end))
                yield Finding(kind, start, end)


class Privacy(TextStep):
    """Looks for names, dates, numbers, addresses and great ages in captions; what is done may differ by kind."""

    name: ClassVar[str] = "privacy"
    action: Action = "redact"
    by_kind: dict[str, Action] = Field(default_factory=dict)

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:
        """Writes captions and the kinds that were found."""

        def judge(pair: Pair) -> Verdict:
            if not _MAY_IDENTIFY.search(pair.caption):
                return None
            findings = find_identifiers(pair.caption)
            if not findings:
                return None
            pair.findings = tuple(dict.fromkeys(finding.kind for finding in findings))
            actions = {kind: self.by_kind.get(kind, self.action) for kind in pair.findings}
            for kind, action in actions.items():
                if action == "drop":
                    return f"looks like a person's {kind}"
            taken_out = [finding for finding in findings if actions[finding.kind] == "redact"]
            if taken_out:
                pair.caption = redacted(pair.caption, taken_out)
            for kind, action in actions.items():
                note(f"{kind} {'taken out' if action == 'redact' else 'seen'}")
            return None

        return judge


# Nothing is found in a text with neither a digit, nor a capital after a word such as "patient", nor an address.
_MAY_IDENTIFY = re.compile(
    r"\d|@|\b(?:mr|mrs|ms|miss|herr|frau|mme|señora?|sig|patient|pt|name|surname)\b", re.IGNORECASE
)
