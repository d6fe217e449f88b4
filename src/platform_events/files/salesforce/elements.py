"""Files of metadata as trees of elements that know where they are, and what is said about them.

XML is read strictly: UTF-8 only, and no document type, which is where entities that grow come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers import expat

from platform_events.errors import Problem
from platform_events.files.document import MAX_DEPTH, Mark, Report, decode_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"


@dataclass(slots=True, eq=False)
class Element:
    """One element of a metadata file."""

    name: str
    """Without its namespace."""
    file: str
    """Path of its file as the user named it."""
    line: int
    """Where it begins, 1-based."""
    text: str = ""
    """What is written directly in it, without white space around it once it has ended."""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> list[Element]:
        """Return the children of a name."""
        return [child for child in self.children if child.name == name]

    def text_of(self, name: str) -> str:
        """Return the text of the first child of a name; empty if there is none."""
        return next((child.text for child in self.children if child.name == name), "")


@dataclass(slots=True)
class Findings:
    """What is said about the files of an import."""

    problems: list[Problem] = field(default_factory=list)
    """What makes an import impossible."""
    remarks: list[Problem] = field(default_factory=list)
    """What has no counterpart."""

    def add_problem(self, element: Element, message: str) -> None:
        """Add what is wrong with an element."""
        self.problems.append(Problem(element.file, message, element.line))

    def add_remark(self, element: Element, message: str) -> None:
        """Add what becomes of an element that has no counterpart."""
        self.remarks.append(Problem(element.file, message, element.line))

    def remark_on_others(self, elements: Iterable[Element], known: Collection[str]) -> None:
        """Remark on the children that are not known, once for each name; `false` says nothing."""
        others: dict[str, list[Element]] = {}
        for child in (child for element in elements for child in element.children):
            if child.name not in known and (child.children or child.text not in ("", "false")):
                others.setdefault(child.name, []).append(child)
        for name, found in others.items():
            more = f", {len(found)} times" if len(found) > 1 else ""
            self.add_remark(found[0], f"{name} has no counterpart{more}")


class _Refused(Exception):  # noqa: N818
    """Reading cannot go on; the text says why."""


def read_element(file: str, data: bytes, kind: str, findings: Findings) -> Element | None:
    """Return the root of a file, None (a problem) if it cannot be read.

    `kind`: the metadata type that the file's name promises, such as `CustomObject`.
    """
    report = Report(file)
    root = _parse(data, kind, report)
    findings.problems += report.problems
    return root


def _parse(data: bytes, kind: str, report: Report) -> Element | None:
    text = decode_text(data, report)
    if text is None:
        return None
    # What the file says about its encoding does not count, since it was decoded already.
    parser = expat.ParserCreate("UTF-8", " ")
    builder = _Builder(parser, report.file)
    try:
        parser.Parse(text.encode(), True)
    except _Refused as refusal:
        report.add_at(Mark(parser.CurrentLineNumber, 1), str(refusal))
        return None
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        report.add_at(
            Mark(error.lineno, error.offset + 1),
            f"not valid XML: {what}; retrieve the file from Salesforce again",
        )
        return None
    if builder.kind != f"{NAMESPACE} {kind}":
        found = builder.kind if " " in builder.kind else f"{builder.kind} without a namespace"
        report.add_at(
            Mark(builder.root.line, 1),
            f"the root element must be {kind} in the namespace {NAMESPACE}, not {found:.200}",
        )
        return None
    return builder.root


class _Builder:
    """Builds the tree while the parser reads."""

    def __init__(self, parser: expat.XMLParserType, file: str) -> None:
        self._parser = parser
        self._file = file
        self._open: list[Element] = []
        self.root: Element
        self.kind = ""
        """The root's name, after its namespace and a blank if it has one."""
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.CharacterDataHandler = self._add_text
        parser.EndElementHandler = self._end

    def _refuse_doctype(self, *_: object) -> None:
        raise _Refused("a document type (DTD) is refused: metadata has none; remove it")

    def _start(self, name: str, _: dict[str, str]) -> None:
        line = self._parser.CurrentLineNumber
        element = Element(name.rpartition(" ")[2], self._file, line)
        if not self._open:
            self.root, self.kind = element, name
        elif len(self._open) == MAX_DEPTH:
            raise _Refused(f"elements are nested more than {MAX_DEPTH} levels deep")
        else:
            self._open[-1].children.append(element)
        self._open.append(element)

    def _add_text(self, text: str) -> None:
        self._open[-1].text += text

    def _end(self, _: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()
