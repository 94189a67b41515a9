"""YAML as configurations use it: mappings, sequences and YAML 1.2 scalars, with their lines.

PyYAML resolves scalars by YAML 1.1, in which `1e-3` is text, `no` is false, `012` is ten and
`12:30` is 750. Here only its scanner, parser and emitter are used. The core schema of YAML 1.2
(section 10.3.2) decides what a plain scalar means:

    null      null  Null  NULL  ~  and the empty scalar
    boolean   true  True  TRUE  false  False  FALSE
    integer   12  -3  +4  012 (twelve)  0o17  0x1f
    float     1e-3  1E3  .5  5.  +1.5  .inf  -.Inf  .nan
    text      everything else, such as no, off, 12:30, 1_000, 2024-01-31, an integer of more than
              300 digits; and everything in quotes

No configuration needs the following, and each could be misread or exhaust the machine. So these are
refused: a second value for a key, anchors and aliases, merge keys, tags, keys that are not text, a
second document, tabs outside quotes and comments, and files that are large, deep or not UTF-8.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 32 * 1024  # PyYAML takes up to 20 µs per byte, so the worst file takes less than 1 s
MAX_DEPTH = 20

# Longer integers are text, and so refused as numbers, because int() takes quadratic time.
_DIGITS = "{1,300}"
_SCALARS: list[tuple[str, re.Pattern[str], Callable[[str], Any]]] = [
    ("null", re.compile(r"(?:null|Null|NULL|~|)\Z"), lambda text: None),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), lambda text: text[0] in "tT"),
    ("int", re.compile(rf"[-+]?[0-9]{_DIGITS}\Z"), int),
    ("int", re.compile(rf"0o[0-7]{_DIGITS}\Z"), lambda text: int(text[2:], 8)),
    ("int", re.compile(rf"0x[0-9a-fA-F]{_DIGITS}\Z"), lambda text: int(text[2:], 16)),
    ("str", re.compile(r"[-+]?[0-9]+\Z"), str),
    ("float", re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), float),
    ("float", re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z"), lambda text: float(text.replace(".", ""))),
    ("float", re.compile(r"\.(?:nan|NaN|NAN)\Z"), lambda text: float("nan")),
]

# All characters but those that YAML 1.2 allows. NEL, LS and PS are refused too: PyYAML takes
# them for line ends.
_FOREIGN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)

LINE_END = re.compile(r"\r\n|\r|\n")
_UNTEXT = re.compile("[\0\ud800-\udfff]")

KeyPath = tuple[str | int, ...]
REFUSED: Any = object()  # in place of a value that has a fault


@dataclass(frozen=True)
class Fault:
    """A key, its line, and what is wrong there."""

    path: KeyPath
    line: int
    text: str


@dataclass
class Document:
    """The content of a text: its value, the line of each key and item (from 1), and its faults.

    `value` lacks whatever has a fault, and is `REFUSED` if nothing could be read. If a key is given
    twice, the first value counts.
    """

    value: Any = REFUSED
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def scalar(text: str) -> Any:
    """Return the value of a plain scalar: None, a bool, an int, a float or the text itself."""
    for _, pattern, convert in _SCALARS:
        if pattern.match(text):
            return convert(text)
    return text


def parse(text: str) -> Document:
    """Read one YAML document. Its faults are part of the result; nothing is raised."""
    if len(text) > MAX_BYTES:
        return Document(faults=[Fault((), 1, f"longer than {MAX_BYTES} characters. Shorten it.")])
    foreign = _FOREIGN.search(text)
    if foreign:
        line = len(LINE_END.findall(text[: foreign.start()])) + 1
        what = f"the character U+{ord(foreign[0]):04X} is not allowed here. Remove it."
        return Document(faults=[Fault((), line, what)])
    return _Reader(text).document


def dump(value: Any) -> str:
    """Return YAML that `parse` reads as an equal value. A list is written on one line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=sys.maxsize)


class _Reader:
    """Builds a document from the events of PyYAML's parser."""

    def __init__(self, text: str) -> None:
        self.document = Document()
        self._line = 1
        self._events = self._checked(text)
        value = None  # if the text holds no document
        try:
            for event in self._events:
                if isinstance(event, yaml.NodeEvent):
                    value = self._node(event, (), self._line)
            self.document.value = value
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._line = mark.line + 1 if mark else self._line
            self._fault((), _reason(error))
        except (ValueError, OverflowError):  # PyYAML asks chr() for \UFFFFFFFF
            self._fault((), "an escape in double quotes is not a character. Correct it.")

    def _checked(self, text: str) -> Iterator[Any]:
        """Yield the parser's events; stop at too much depth and at a second document."""
        depth = documents = 0
        event: Any
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            self._line = event.start_mark.line + 1
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            documents += isinstance(event, yaml.DocumentStartEvent)
            problem = None
            if depth > MAX_DEPTH:
                problem = f"it is nested more than {MAX_DEPTH} levels deep"
            elif documents > 1:
                problem = "a second document begins, but only one is allowed"
            if problem:
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
            yield event

    def _fault(self, path: KeyPath, text: str) -> None:
        self.document.faults.append(Fault(path, self._line, text))

    def _node(self, event: Any, path: KeyPath, line: int) -> Any:
        self.document.lines[path] = line
        refusal = _refusal(event)
        if refusal:
            self._fault(path, refusal)
            self._skip(event)
            return REFUSED
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return scalar(event.value) if event.implicit[0] else event.value

    def _sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item = self._node(event, (*path, len(items)), self._line)
            if item is not REFUSED:
                items.append(item)
        return items

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        seen: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = self._line
            key = self._key(event, path)
            if key in seen:
                self._fault((*path, key), f"given twice, first on line {seen[key]}. Keep one.")
            value_event = next(self._events)
            if key is None or key in seen:
                self._skip(value_event)
                continue
            seen[key] = line
            value = self._node(value_event, (*path, key), line)
            if value is not REFUSED:
                entries[key] = value
        return entries

    def _key(self, event: Any, path: KeyPath) -> str | None:
        """Return a mapping's key, or None if it has a fault."""
        refusal = _refusal(event)
        key = None
        if isinstance(event, yaml.ScalarEvent) and not refusal:
            key = scalar(event.value) if event.implicit[0] else event.value
            if key == "<<" and event.implicit[0]:
                refusal = "merge keys (<<) are not supported. Write the keys out."
            elif not isinstance(key, str):
                refusal = f"the key {event.value!r} is not text. Every key must be a name."
        elif not refusal:
            refusal = "a list or mapping is used as a key. Every key must be a name."
        if refusal:
            self._fault(path, refusal)
            self._skip(event)
        return None if refusal else key

    def _skip(self, event: Any) -> None:
        """Skip the rest of the node that `event` begins."""
        depth = int(isinstance(event, yaml.CollectionStartEvent))
        while depth:
            event = next(self._events)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)


def _refusal(event: Any) -> str | None:
    """Return why a node of this kind is refused, or None if it is not."""
    if isinstance(event, yaml.AliasEvent):
        return f"aliases (*{event.anchor}) are not supported. Write the value out."
    if event.anchor is not None:
        return f"anchors (&{event.anchor}) are not supported. Remove it."
    if event.tag is not None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        return f"tags ({tag}) are not supported. Remove it."
    if isinstance(event, yaml.ScalarEvent) and _UNTEXT.search(event.value):
        return "the escape of NUL or of a surrogate is not text. Remove it."
    return None


def _reason(error: yaml.MarkedYAMLError) -> str:
    reason = f"not readable as YAML: {error.problem}"
    if error.context:
        reason += f" ({error.context})"
    if "\\t" in (error.problem or ""):
        reason += ". Use spaces instead of tabs"
    return f"{reason}."


class _Dumper(yaml.SafeDumper):
    """Quotes only text that YAML 1.2 would otherwise read as something else."""


_Dumper.yaml_implicit_resolvers = {
    None: [(f"tag:yaml.org,2002:{tag}", pattern) for tag, pattern, _ in _SCALARS]
}
_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, True)
)
