"""Debian packages without root, with a stand-in for apt-get that serves a package made on the spot."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hwsim.tools.debian import PackageError, fetch_program, find_program, unpack
from hwsim.tools.mosquitto import find_or_fetch_mosquitto

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="needs dpkg-deb, which only Debian and its children have"
)

PROGRAM = '#!/bin/sh\necho "$LD_LIBRARY_PATH|$*"\n'
APT_GET = """#!/bin/sh
echo "$*" >> "{log}"
for word in "$@"; do
  case "$word" in
    --simulate) echo "Inst libhello (1.0 Debian:12/stable [all])"; exit 0 ;;
    download) cp {archives}/*.deb . ; exit 0 ;;
  esac
done
"""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the packages hello and libhello, an apt-get that hands them out, and its log."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    build(mirror, "hello", {"usr/sbin/hello": PROGRAM, "etc/init.d/hello": "#!/bin/sh\nexit 9\n"})
    build(mirror, "libhello", {"usr/lib/deep/libhello.so.1": "a library"})
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text(APT_GET.format(log=mirror / "log", archives=mirror))
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return mirror


def build(mirror: Path, package: str, files: dict[str, str]) -> None:
    tree = mirror / package
    for name, text in {"DEBIAN/control": control_of(package), **files}.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644 if name.startswith("DEBIAN") else 0o755)
    archive = mirror / f"{package}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, archive], check=True, capture_output=True)


def control_of(package: str) -> str:
    return (
        f"Package: {package}\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: for a test\n"
    )


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_fetched_program_runs_with_its_libraries_and_its_arguments(mirror: Path, tmp_path: Path) -> None:
    cache = tmp_path / "a cache"
    launcher = fetch_program("hello", "hello", cache)
    libraries, _, arguments = run(launcher, "-p", "two words").partition("|")
    assert libraries.split(":")[0] == str(cache / "debian/hello/usr/lib/deep")
    assert arguments == "-p two words"


def test_a_dependency_the_system_lacks_is_fetched_too(mirror: Path, tmp_path: Path) -> None:
    fetch_program("hello", "hello", tmp_path / "cache")
    assert "download hello libhello" in (mirror / "log").read_text().splitlines()[-1]


def test_the_second_time_asks_nobody(mirror: Path, tmp_path: Path) -> None:
    first = fetch_program("hello", "hello", tmp_path / "cache")
    asked = (mirror / "log").read_text()
    assert fetch_program("hello", "hello", tmp_path / "cache") == first
    assert (mirror / "log").read_text() == asked


def test_a_cache_that_was_moved_still_runs(mirror: Path, tmp_path: Path) -> None:
    fetch_program("hello", "hello", tmp_path / "cache")
    moved = (tmp_path / "cache").rename(tmp_path / "elsewhere")
    assert run(moved / "debian/bin/hello", "still").endswith("|still")


def test_apt_keeps_its_state_in_the_cache(mirror: Path, tmp_path: Path) -> None:
    fetch_program("hello", "hello", tmp_path / "cache")
    calls = (mirror / "log").read_text().splitlines()
    assert [f"--option=Dir::State={tmp_path}/cache/debian/apt" in call for call in calls] == [True] * 3


def test_a_package_without_the_program_says_so(mirror: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="the Debian package hello holds no program goodbye"):
        fetch_program("hello", "goodbye", tmp_path / "cache")


def test_a_program_that_does_not_start_says_so(mirror: Path, tmp_path: Path) -> None:
    build(mirror, "hello", {"usr/sbin/hello": "#!/bin/sh\necho cannot open libmissing.so.1 >&2\nexit 127\n"})
    with pytest.raises(PackageError, match="does not start: cannot open libmissing"):
        fetch_program("hello", "hello", tmp_path / "cache")


def test_a_failing_apt_leaves_nothing_half_unpacked(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "tools" / "apt-get").write_text("#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
    with pytest.raises(PackageError, match="apt-get: E: no network"):
        unpack(["hello"], tmp_path / "cache" / "hello", with_dependencies=False)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["apt"]


def test_without_apt_it_says_where_packages_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match="only be fetched on Debian"):
        unpack(["hello"], tmp_path / "hello", with_dependencies=False)


def test_an_installed_program_is_found_where_debian_keeps_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = tmp_path / "sbin"
    servers.mkdir()
    (servers / "some-server").write_text("#!/bin/sh\n")
    (servers / "some-server").chmod(0o755)
    monkeypatch.setattr("hwsim.tools.debian._SYSTEM_FOLDERS", (str(servers),))
    assert find_program("some-server") == servers / "some-server"


def test_no_mosquitto_is_an_answer_not_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("hwsim.tools.debian._SYSTEM_FOLDERS", ())
    assert find_or_fetch_mosquitto(tmp_path / "cache") is None
    assert "sudo apt-get install mosquitto" in capsys.readouterr().err
