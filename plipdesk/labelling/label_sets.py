"""Label sets: the classes that patches are given, in words, as versioned YAML documents.

A class needs only a ``name``. The shortest label set is a list of names; everything else has a default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from plipdesk.base.errors import EnvironmentProblem, NotFound
from plipdesk.base.ids import settings_id
from plipdesk.base.resources import resource_path
from plipdesk.labelling.palette import colours_for, hex_colour

SCHEMA_VERSION = 1
MAX_FILE_BYTES = 1024 * 1024
NONE_OF_THESE = "none of these"
UNSURE = "unsure"
_HEX = re.compile(r"#[0-9a-f]{6}")
_REMEDY = "See 'plipdesk labels show tissues' for how a label set is written."


class LabelProblem(EnvironmentProblem):
    """A label set cannot be used, or what is asked of it makes no sense."""

    kind = "labels"


def _as_hex(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) == 3 and all(type(part) is int for part in value):
        if not all(0 <= part <= 255 for part in value):
            raise ValueError("a colour's parts lie between 0 and 255")
        return hex_colour(value)
    if isinstance(value, str):
        found = value.strip().lower()
        if not _HEX.fullmatch(found):
            raise ValueError("a colour is written as #rrggbb or [red, green, blue]")
        return found
    return value


def _as_text(value: Any) -> Any:
    """Words that YAML takes for something else: a class may be called "no" or "3"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int | float) else value


Words = Annotated[
    str, BeforeValidator(_as_text), StringConstraints(strip_whitespace=True, min_length=1, max_length=300)
]
Name = Annotated[str, BeforeValidator(_as_text), StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
Colour = Annotated[str, BeforeValidator(_as_hex)]
SetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]*$", max_length=80)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelClass(_Strict):
    """One class.

    Its vector is the mean over its ``prompts`` as they are; without any, over its name and ``synonyms`` in each
    template. ``parent`` names the class that includes this one. ``threshold``: from which score on a patch is given
    this class where it may have several.
    """

    name: Name
    short: Name | None = None
    """An abbreviation, such as the name of the data set's folder."""
    colour: Colour | None = None
    synonyms: tuple[Words, ...] = ()
    prompts: tuple[Words, ...] = ()
    parent: Name | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_name_suffices(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) and isinstance(value, str | int | float | bool):
            return {"name": value}
        if isinstance(value, Mapping) and "color" in value and "colour" not in value:
            return {("colour" if key == "color" else key): part for key, part in value.items()}
        return value


class PromptWay(_Strict):
    """One published way of asking: its templates (``{}`` stands for the class's words), and where it comes from."""

    templates: Annotated[tuple[Words, ...], Field(min_length=1)]
    source: str = ""

    @model_validator(mode="after")
    def _templates_hold_one_place(self) -> PromptWay:
        _check_templates(self.templates)
        return self


class LabelSet(_Strict):
    """Classes, and how they are asked for. ``templates``: none means those of the encoder's card."""

    schema_version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    name: SetName
    title: str = ""
    version: Annotated[int, Field(ge=1)] = 1
    source: str = ""
    templates: tuple[Words, ...] = ()
    ways: dict[SetName, PromptWay] = Field(default_factory=dict)
    """Named alternatives to ``templates``; the first is used where ``templates`` is empty."""
    none_of_these: bool = False
    classes: Annotated[tuple[LabelClass, ...], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _is_sound(self) -> LabelSet:
        _check_templates(self.templates)
        for fault in _contradictions(self.classes):
            raise ValueError(fault)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names, in order."""
        return tuple(one.name for one in self.classes)

    @property
    def colours(self) -> tuple[str, ...]:
        """A colour ``#rrggbb`` for each class; those without one get one of the palette."""
        return colours_for([one.colour for one in self.classes])

    @property
    def fingerprint(self) -> str:
        """16 hex digits over all that is said here."""
        return settings_id(self.model_dump(mode="json"), digits=16)

    def way_named(self, way: str | None) -> tuple[str, ...]:
        """The templates of a way; None: the label set's own. Empty: those of the encoder.

        Raises:
            LabelProblem: there is no such way.
        """
        if way is not None:
            if way not in self.ways:
                known = ", ".join(self.ways) or "none"
                raise LabelProblem(
                    f"The label set {self.name} has no prompts called {way!r}.", remedy=f"It has: {known}."
                )
            return self.ways[way].templates
        if self.templates or not self.ways:
            return self.templates
        return next(iter(self.ways.values())).templates

    def children(self) -> dict[str | None, tuple[int, ...]]:
        """The numbers of the classes below each class, in order; those without a parent stand under None."""
        below: dict[str | None, list[int]] = {}
        for number, one in enumerate(self.classes):
            below.setdefault(one.parent, []).append(number)
        return {parent: tuple(numbers) for parent, numbers in below.items()}


def _check_templates(templates: Sequence[str]) -> None:
    if any(template.count("{}") != 1 for template in templates):
        raise ValueError("each prompt template holds {} exactly once")


def _contradictions(classes: Sequence[LabelClass]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for one in classes:
        folded = " ".join(one.name.casefold().split())
        if folded in (NONE_OF_THESE, UNSURE):
            yield f"the class name {one.name!r} has a meaning of its own; choose another"
        if folded in seen:
            yield f"the class {one.name} is given twice"
        seen[folded] = one.name
    parents = {one.name: one.parent for one in classes}
    for one in classes:
        above, passed = one.parent, {one.name}
        while above is not None:
            if above not in parents:
                yield f"{one.name} names {above} as its parent, which is no class of this set"
                break
            if above in passed:
                yield f"the parents of {one.name} lead in a circle"
                break
            passed.add(above)
            above = parents[above]


def parse_label_set(text: str, *, name: str, path: Path | None = None) -> LabelSet:
    """A label set from YAML (or JSON): a document, or just a list of classes. ``name`` where it does not say its own.

    Raises:
        LabelProblem: not YAML, or not a label set; the message says where.
    """
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=loader)):
            raise LabelProblem("The label set uses YAML aliases, and none is allowed.", path=path, remedy=_REMEDY)
        document = yaml.load(text, Loader=loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        fault = " ".join(str(error).split())
        raise LabelProblem(f"The label set is not YAML: {fault}.", path=path, remedy=_REMEDY) from error
    if isinstance(document, list):
        document = {"classes": document}
    if isinstance(document, dict):
        document = {"name": _usable_name(name), **document}
    try:
        return LabelSet.model_validate(document)
    except ValidationError as error:
        raise LabelProblem(
            f"The label set is not right: {_fault(error, document)}.", path=path, remedy=_REMEDY
        ) from error


def checked_label_set(document: Mapping[str, Any]) -> LabelSet:
    """The label set in a request's document.

    Raises:
        LabelProblem: it is none; the message says where.
    """
    try:
        return LabelSet.model_validate(document)
    except ValidationError as error:
        fault = _fault(error, document)
        raise LabelProblem(f"The label set is not right: {fault}.", remedy=_REMEDY) from error


def _usable_name(name: str) -> str:
    kept = re.sub(r"[^A-Za-z0-9._ -]", "-", name).lstrip("._ -")
    return kept[:80] or "labels"


def _fault(error: ValidationError, document: Any) -> str:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if len(where) > 1 and where[0] == "classes":
        entry = document["classes"][first["loc"][1]]
        named = entry.get("name") if isinstance(entry, dict) else None
        where[:2] = [f"class {named or int(first['loc'][1]) + 1}"]
    said = first["msg"].removeprefix("Value error, ")
    return f"{', '.join(where)}: {said}" if where else said


def read_label_set(path: Path) -> LabelSet:
    """The label set in a file.

    Raises:
        NotFound: no such file.
        LabelProblem: too large, or not a label set.
    """
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise NotFound("There is no such label set.", path=path, remedy="Check the path.") from error
    if size_bytes > MAX_FILE_BYTES:
        raise LabelProblem("This file is too large to be a label set.", path=path, remedy=_REMEDY)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise LabelProblem("This file cannot be read as text.", path=path, remedy=_REMEDY) from error
    return parse_label_set(text, name=path.stem, path=path)


def label_set_yaml(labels: LabelSet) -> str:
    """The label set as YAML that :func:`parse_label_set` reads back to an equal one; defaults are left out."""
    document = labels.model_dump(mode="json", exclude_defaults=True)
    ordered = {"schema_version": labels.schema_version, "name": labels.name, "version": labels.version, **document}
    return yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=100)


def shipped_label_sets() -> dict[str, Path]:
    """The label sets that come with plipdesk, by name."""
    return {path.stem: path for path in sorted(resource_path("labels").glob("*.yaml"))}
