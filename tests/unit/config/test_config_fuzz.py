"""Whatever the bytes: settings, or problems with a position; never an exception, never an endless run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgectl.config import check

EXAMPLES = sorted(
    path for path in (Path(__file__).parents[3] / "config").glob("*.yaml") if path.name not in {"tokens.yaml", "demo.yaml"}
)
TOKENS = (Path(__file__).parents[3] / "config" / "tokens.yaml").read_bytes()

relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

YAML_PIECES = st.sampled_from([
    "{", "}", "[", "]", ":", " ", "\n", "- ", "? ", "&a ", "*a", "!!int ", "!x ", "'", '"', "|", ">", "#", "---\n", "...\n",
    "\t", "~", "<<", "%YAML 1.1\n", "%TAG ! x\n", "\ufeff", "\\x", '"\\U00110000"', "\x85", "\u2028", "site", "circuits",
    "chargers", "limit", "6 A .. 32 A", "999999999999999999999 A", "-0 A", "1e9 A", "٣ A", "L1", "credential", "tcp://[::1",
    "tcp://[]:1", "serial:///dev/?baud=1&baud=2", "\x00",
])  # fmt: skip


def holds(data: bytes, folder: Path, tokens: bytes = TOKENS) -> None:
    path = folder / "site.yaml"
    path.write_bytes(data)
    (folder / "tokens.yaml").write_bytes(tokens)

    loaded, problems = check(path, known_models=frozenset({"eastron-sdm630"}), environ={})

    assert (loaded is None) == any(not problem.is_warning for problem in problems)
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message
        assert "\n" not in str(problem)
        assert len(str(problem)) < 2_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@relaxed
@given(data=st.binary(max_size=200))
@example(b"\xff\xfes\x00")
@example(b"site: {id: \xc3\xa4\xc3}")
def test_any_bytes(folder: Path, data: bytes) -> None:
    holds(data, folder)


@relaxed
@given(pieces=st.lists(YAML_PIECES | st.text(max_size=5), max_size=40))
def test_any_text_of_yaml_pieces(folder: Path, pieces: list[str]) -> None:
    holds("".join(pieces).encode("utf-8", "surrogatepass"), folder)


@relaxed
@given(data=st.data(), path=st.sampled_from(EXAMPLES))
def test_a_damaged_example(folder: Path, data: st.DataObject, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 4), label="damages")):
        start = data.draw(st.integers(0, len(text)), label="start")
        length = data.draw(st.sampled_from([0, 1, 1, 2, 5, 20, 200]), label="length")
        text = text[:start] + data.draw(YAML_PIECES | st.text(max_size=3), label="put") + text[start + length :]

    holds(text.encode("utf-8", "surrogatepass"), folder)


@relaxed
@given(data=st.data(), path=st.sampled_from(EXAMPLES))
def test_an_example_with_a_value_exchanged(folder: Path, data: st.DataObject, path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    number = data.draw(st.integers(0, len(lines) - 1), label="line")
    key, colon, _ = lines[number].partition(":")
    other = data.draw(
        YAML_PIECES | st.sampled_from(["", "7", "[1, 2]", "{a: b}", "null", "6 A", "5 kW", "1 s", "grid", "true"]), label="value"
    )
    lines[number] = f"{key}{colon} {other}" if colon else other

    holds("\n".join(lines).encode(), folder)


@relaxed
@given(
    pieces=st.lists(
        YAML_PIECES | st.sampled_from(["tokens:", "uid", "expires: 2027-02-30", "expires: 2999-12-31", "04A2"]), max_size=30
    )
)
def test_any_token_file(folder: Path, pieces: list[str]) -> None:
    holds(EXAMPLES[0].parent.joinpath("depot.yaml").read_bytes(), folder, tokens="".join(pieces).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000,
        "? " * 50_000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"b{i}: &b{i} [{','.join(['*a'] * 9)}]\n" for i in range(500)),
        "site: {id: " + "a" * 500_000 + "}",
        "circuits:\n" + "".join(f"  c{i}: {{fed_by: c{i + 1}, limit: 1 A}}\n" for i in range(2_000)),
        "x" * (2 << 20),
        "site: '" + "1" * 100_000 + " A'",
    ],
    ids=["brackets", "braces", "dashes", "question marks", "aliases", "long value", "long chain", "too large", "long number"],
)
def test_a_hostile_file_is_refused_in_bounded_time(folder: Path, text: str) -> None:
    holds(text.encode(), folder)


def test_an_unreadable_path_is_a_problem(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "a\x00b"):
        settings, problems = check(path, environ={})

        assert settings is None
        assert [problem.message.partition(":")[0] for problem in problems] == ["cannot be read"]


def test_bytes_that_are_not_utf8_are_shown_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes("site: {id: n,\n  name: ä".encode() + b"\xe4}")

    (problem,) = check(path, environ={})[1]

    assert str(problem) == f"{path}:2:10: is not UTF-8 (found byte 0xe4); save the file in UTF-8"


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    text = EXAMPLES[0].read_text(encoding="utf-8")
    path = tmp_path / "site.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (tmp_path / "tokens.yaml").write_bytes(TOKENS)

    loaded, problems = check(path, environ={})

    assert loaded is not None, problems
