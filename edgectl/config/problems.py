"""What is wrong in a file, where, and what would be right. Every mistake of a run is gathered; nothing stops at the first."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MAX_SHOWN = 60
"""Longest excerpt of the file in a message; a person sees at once which text is meant."""
MAX_GUESSED = 64
"""Longer text is no misspelt name, and comparing it would cost quadratic time."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A position as editors count it: both from 1."""

    line: int
    column: int


START = Mark(1, 1)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, or with ``is_warning`` something legal that its author probably did not mean."""

    file: str
    line: int
    column: int
    key: str
    """Dotted path, e.g. ``circuits.hall-a.limit``; empty when the file as a whole is meant."""
    found: str
    """What stands there, shortened; empty when nothing does or when it may be a secret."""
    message: str
    allowed: str
    is_warning: bool = False

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        found = f" (found {self.found})" if self.found else ""
        allowed = f"; {self.allowed}" if self.allowed else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.message}{found}{allowed}"


class ConfigError(Exception):
    """A file that cannot be used. ``problems`` holds every mistake and warning, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Refused(Exception):  # noqa: N818 -- not an error of the program: a text that is not what its key needs
    """Raised by the parsers of single values. ``found`` replaces the text in the message, e.g. to hide a secret."""

    def __init__(self, message: str, allowed: str, found: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.allowed = allowed
        self.found = found


@dataclass(slots=True)
class Report:
    """Gathers the problems of one run. The same fact at the same place is told once."""

    _problems: dict[Problem, int] = field(default_factory=dict)
    _files: list[str] = field(default_factory=list)

    def open_file(self, file: str) -> None:
        """Problems are listed file by file, in the order in which the files were opened."""
        if file not in self._files:
            self._files.append(file)

    def add(self, problem: Problem) -> None:
        self.open_file(problem.file)
        self._problems.setdefault(problem, len(self._problems))

    def place(self, file: str) -> Place:
        """The beginning of a file."""
        self.open_file(file)
        return Place(self, file, "", START)

    @property
    def has_errors(self) -> bool:
        return any(not problem.is_warning for problem in self._problems)

    def sorted(self) -> tuple[Problem, ...]:
        """By file, position, and for equal positions in the order of finding."""
        return tuple(
            sorted(
                self._problems,
                key=lambda problem: (self._files.index(problem.file), problem.line, problem.column, self._problems[problem]),
            )
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: the handle through which a reader says what is wrong there."""

    report: Report
    file: str
    path: str
    mark: Mark
    found: str = ""

    def at(self, mark: Mark, found: str = "") -> Place:
        return Place(self.report, self.file, self.path, mark, found)

    def inside(self, name: str, mark: Mark | None = None, found: str = "") -> Place:
        """One level deeper."""
        path = f"{self.path}.{name}" if self.path else name
        return Place(self.report, self.file, path, mark or self.mark, found)

    def item(self, number: int, mark: Mark) -> Place:
        """An item of a list, counted from 1."""
        return Place(self.report, self.file, f"{self.path}[{number}]", mark)

    def wrong(self, message: str, allowed: str = "", found: str | None = None) -> None:
        self._add(message, allowed, found, is_warning=False)

    def warn(self, message: str, allowed: str = "", found: str | None = None) -> None:
        self._add(message, allowed, found, is_warning=True)

    def _add(self, message: str, allowed: str, found: str | None, *, is_warning: bool) -> None:
        shown = self.found if found is None else found
        self.report.add(Problem(self.file, self.mark.line, self.mark.column, self.path, shown, message, allowed, is_warning))


def excerpt(text: str) -> str:
    """Text of the file as one short printable line."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text.strip()[: MAX_SHOWN + 1])
    return shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + "…"


def listed(names: Iterable[str]) -> str:
    """``a, b or c``."""
    words = list(names)
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def nearest(text: str, known: Sequence[str]) -> str | None:
    """The known name most like ``text``, or None when none is alike."""
    if len(text) > MAX_GUESSED:
        return None
    by_case = {name.casefold(): name for name in known}
    matches = difflib.get_close_matches(text.casefold(), by_case, n=1, cutoff=0.6)
    return by_case[matches[0]] if matches else None


def one_of(text: str, known: Sequence[str], what: str) -> str:
    """The ``allowed`` part for a name that is none of ``known``: the nearest first, then the list."""
    if not known:
        return f"there are no {what} yet"
    guess = nearest(text, known)
    shown = [*known[:12], "…"] if len(known) > 12 else list(known)  # a screen's worth; the nearest name is named anyway
    return (f"did you mean {guess}? " if guess else "") + f"{what}: {', '.join(shown)}"
