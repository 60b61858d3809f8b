"""The state file: replaced as a whole, readable by a person, and back to the generation before when it is damaged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgectl.domain.errors import StoreError
from edgectl.store.state import KINDS, MAX_DOCUMENTS, AtomicStorage, StateFile

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def limits(path: Path) -> dict[str, dict[str, object]]:
    return StateFile(path).all("remote-limits")


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_is_there_after_reopening(path: Path, kind: str) -> None:
    StateFile(path).put(kind, "CP-1", {"firmware": "1.2", "rewritten": [1, 2], "who": "Jürgen"})
    state = StateFile(path)
    assert state.get(kind, "CP-1") == {"firmware": "1.2", "rewritten": [1, 2], "who": "Jürgen"}
    assert state.get(kind, "CP-2") is None
    assert state.damaged == ()


def test_a_document_replaces_the_whole_one_before(path: Path) -> None:
    state = StateFile(path)
    state.put("remote-limits", "hall-a", {"limit_ma": 10_000, "until": "2026-01-01T00:00:00.000Z"})
    state.put("remote-limits", "hall-a", {"limit_ma": 9_000})
    assert limits(path) == {"hall-a": {"limit_ma": 9_000}}


def test_kinds_do_not_mix(path: Path) -> None:
    state = StateFile(path)
    state.put("remote-limits", "a", {"n": 1})
    state.put("token-list", "a", {"n": 2})
    state.remove("remote-limits", "a")
    state.remove("remote-limits", "never there")
    assert (state.all("remote-limits"), state.all("token-list")) == ({}, {"a": {"n": 2}})


def test_an_unknown_kind_is_a_mistake(path: Path) -> None:
    with pytest.raises(KeyError, match="remote-limits"):
        StateFile(path).get("sessions", "a")


def test_a_document_that_is_not_json_changes_nothing(path: Path) -> None:
    state = StateFile(path)
    state.put("token-list", "a", {"n": 1})
    for value in (float("nan"), object()):
        with pytest.raises((ValueError, TypeError)):
            state.put("token-list", "a", {"n": value})
    assert state.get("token-list", "a") == {"n": 1}
    assert StateFile(path).get("token-list", "a") == {"n": 1}


def test_a_person_can_read_it(path: Path) -> None:
    StateFile(path).put("remote-limits", "hall-a", {"limit_ma": 9_000})
    text = path.read_text()
    assert '"limit_ma": 9000' in text
    assert len(text.splitlines()) > 5
    assert sorted(json.loads(text)) == ["sha256", "tables"]


def test_the_generation_before_is_kept(path: Path) -> None:
    state = StateFile(path)
    state.put("remote-limits", "a", {"n": 1})
    first = path.read_bytes()
    state.put("remote-limits", "a", {"n": 2})
    state.remove("remote-limits", "not there")
    state.put("remote-limits", "a", {"n": 2})
    assert path.with_name("state.json.prev").read_bytes() == first


def test_the_first_document_of_a_kind_is_one_generation(path: Path) -> None:
    state = StateFile(path)
    state.put("remote-limits", "a", {"n": 1})
    first = path.read_bytes()
    state.put("token-list", "a", {"n": 1})
    assert path.with_name("state.json.prev").read_bytes() == first


def test_any_flipped_byte_brings_back_the_generation_before(path: Path) -> None:
    state = StateFile(path)
    state.put("remote-limits", "a", {"n": 1})
    state.put("remote-limits", "a", {"n": 2})
    current, previous = path.read_bytes(), path.with_name("state.json.prev").read_bytes()
    for place in range(len(current)):
        damaged = bytearray(current)
        damaged[place] ^= 0x04
        path.write_bytes(damaged)
        state = StateFile(path)
        assert state.all("remote-limits") == {"a": {"n": 1}}, place
        (aside,) = state.damaged
        assert aside.read_bytes() == damaged
        assert path.with_name("state.json.prev").read_bytes() == previous


@pytest.mark.parametrize("bytes_left", [0, 1, 40, -1])
def test_a_truncated_file_brings_back_the_generation_before(path: Path, bytes_left: int) -> None:
    state = StateFile(path)
    state.put("remote-limits", "a", {"n": 1})
    state.put("remote-limits", "a", {"n": 2})
    path.write_bytes(path.read_bytes()[:bytes_left])
    assert limits(path) == {"a": {"n": 1}}


def test_a_write_after_damage_keeps_the_good_generation(path: Path) -> None:
    state = StateFile(path)
    state.put("remote-limits", "a", {"n": 1})
    state.put("remote-limits", "a", {"n": 2})
    path.write_bytes(b"{")
    StateFile(path).put("remote-limits", "a", {"n": 3})
    assert limits(path) == {"a": {"n": 3}}
    path.unlink()
    assert limits(path) == {"a": {"n": 1}}


def test_two_damaged_generations_leave_an_empty_state_and_both_files(path: Path) -> None:
    path.write_bytes(b"one")
    path.with_name("state.json.prev").write_bytes(b"two")
    state = StateFile(path)
    assert state.all("remote-limits") == {}
    assert [aside.read_bytes() for aside in state.damaged] == [b"one", b"two"]


def test_too_many_documents_are_refused_before_anything_is_written(path: Path) -> None:
    tables = {"token-list": {str(number): {"key": f"k{number}", "document": {}} for number in range(MAX_DOCUMENTS)}}
    AtomicStorage(path).write(tables)
    state = StateFile(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"too-large: state\.json would hold 2001 documents"):
        state.put("remote-limits", "one more", {})
    assert path.read_bytes() == before
    state.put("token-list", "k7", {"is": "replaced"})


def test_too_many_bytes_are_refused_before_anything_is_written(path: Path) -> None:
    state = StateFile(path)
    state.put("token-list", "a", {"n": 1})
    before = path.read_bytes()
    with pytest.raises(StoreError, match="at most 2000 in 1000000 are kept") as caught:
        state.put("token-list", "b", {"text": "x" * 1_000_000})
    assert caught.value.is_permanent
    assert path.read_bytes() == before
    assert state.all("token-list") == {"a": {"n": 1}}


KILLED_CHILD = """
import os, signal, sys
from pathlib import Path
from edgectl.store.state import StateFile

def fault(name):
    if name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

StateFile(Path(sys.argv[1]), fault).put("remote-limits", "a", {"n": 2})
"""


@pytest.mark.parametrize("window", ["state-before-rename", "state-between-renames"])
def test_a_kill_in_a_narrow_window_leaves_the_state_before(path: Path, window: str) -> None:
    StateFile(path).put("remote-limits", "a", {"n": 1})
    command = [sys.executable, "-c", KILLED_CHILD, str(path), window]
    child = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=False)
    assert child.returncode == -signal.SIGKILL
    state = StateFile(path)
    assert (state.all("remote-limits"), state.damaged) == ({"a": {"n": 1}}, ())
    state.put("remote-limits", "a", {"n": 3})
    assert limits(path) == {"a": {"n": 3}}
