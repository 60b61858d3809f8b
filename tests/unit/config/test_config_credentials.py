from __future__ import annotations

from pathlib import Path

import pytest

from edgectl.config import check, credential_reader

SITE = """\
site: {id: n}
circuits: {grid: {limit: 63 A}}
chargers:
  CP-1: {circuit: grid, password: {credential: cp-1}}
ocpp: {listeners: [{address: 0.0.0.0:8887, security_profile: 1}]}
"""


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def test_systemd_comes_before_the_folder_beside_the_file(tmp_path: Path) -> None:
    put(tmp_path / "run" / "cp-1", b"of systemd")
    put(tmp_path / "secrets" / "cp-1", b"of development")

    assert credential_reader(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path / "run")})("cp-1") == b"of systemd"
    assert credential_reader(tmp_path, {})("cp-1") == b"of development"


def test_the_folder_beside_the_file_serves_what_systemd_does_not_have(tmp_path: Path) -> None:
    put(tmp_path / "secrets" / "cp-1", b"of development")

    assert credential_reader(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path / "run")})("cp-1") == b"of development"


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (b"pw\n", b"pw"),
        (b"pw\r\n", b"pw"),
        (b"pw", b"pw"),
        (b"pw\n\n", b"pw\n"),
        (b" pw ", b" pw "),
        (b"", b""),
        (b"\x00\xff", b"\x00\xff"),
    ],
)
def test_only_one_line_end_is_taken_off(tmp_path: Path, stored: bytes, read: bytes) -> None:
    put(tmp_path / "secrets" / "x", stored)

    assert credential_reader(tmp_path, {})("x") == read


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\x00b", "a\n", "ä", "x" * 65])
def test_a_name_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    put(tmp_path / "x", b"outside")
    put(tmp_path / "secrets" / "b", b"inside")

    with pytest.raises(KeyError, match="not a possible name"):
        credential_reader(tmp_path, {})(name)


def test_a_missing_credential_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(KeyError) as error:
        credential_reader(tmp_path, {"CREDENTIALS_DIRECTORY": "/run/none"})("x")

    assert "/run/none/x: No such file" in str(error.value)
    assert f"{tmp_path}/secrets/x: No such file" in str(error.value)


def test_a_folder_or_a_huge_file_is_no_credential(tmp_path: Path) -> None:
    (tmp_path / "secrets" / "folder").mkdir(parents=True)
    put(tmp_path / "secrets" / "huge", b"x" * ((1 << 20) + 1))

    for name in ("folder", "huge"):
        with pytest.raises(KeyError):
            credential_reader(tmp_path, {})(name)


def test_check_warns_of_a_missing_credential_and_names_both_places(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE, encoding="utf-8")

    (unset,) = check(path, environ={})[1]
    (both,) = check(path, environ={"CREDENTIALS_DIRECTORY": "/run/none"})[1]

    assert unset.is_warning
    assert unset.message == "there is no credential cp-1"
    assert unset.allowed == f"looked for $CREDENTIALS_DIRECTORY/cp-1 (not set here), {tmp_path}/secrets/cp-1"
    assert both.allowed == f"looked for /run/none/cp-1, /run/none/edgectl_cp-1, {tmp_path}/secrets/cp-1"


def test_a_credential_that_is_there_is_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    put(tmp_path / "secrets" / "cp-1", b"x")

    assert check(path, environ={})[1] == ()


def test_a_folder_handed_over_by_systemd_carries_its_name_before_each_file(tmp_path: Path) -> None:
    given = tmp_path / "handed"
    given.mkdir()
    (given / "edgectl_cp-1").write_bytes(b"secret\n")
    assert credential_reader(tmp_path, {"CREDENTIALS_DIRECTORY": str(given)})("cp-1") == b"secret"
