"""``edgectl service install`` on a folder that stands for the gateway's root."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgectl.service import ServiceError, install
from edgectl.service.install import run_command

STARTER = "site:\n  id: depot-north\n"
EXECUTABLE = Path("/opt/pipx/venvs/edgectl/bin/edgectl")
UNIT = "etc/systemd/system/edgectl.service"
SITE = "etc/edgectl/site.yaml"


class Gateway:
    """A root folder with an executable edgectl, and the commands that were run on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: list[str] = []
        self.add_executable(EXECUTABLE)

    def add_executable(self, path: Path) -> None:
        file = self.root / path.relative_to("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)

    def install(self, executable: Path = EXECUTABLE, *, dry_run: bool = False) -> list[str]:
        return install(self.root, executable, dry_run=dry_run, starter=STARTER, run=self._record)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}

    def _record(self, arguments: Sequence[str]) -> None:
        self.commands.append(" ".join(arguments).replace(str(self.root), "ROOT"))


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def test_writes_the_unit_its_user_its_folders_and_a_starter_file(gateway: Gateway) -> None:
    gateway.install()
    executable = str(EXECUTABLE.relative_to("/"))
    assert gateway.files() - {executable} == {UNIT, "etc/sysusers.d/edgectl.conf", "etc/tmpfiles.d/edgectl.conf", SITE}
    assert gateway.read(SITE) == STARTER


def test_the_unit_runs_the_executable_that_was_named(gateway: Gateway) -> None:
    gateway.install()
    starts = [line for line in gateway.read(UNIT).splitlines() if line.startswith("ExecStart")]
    assert starts == [f"ExecStart={EXECUTABLE} run"]


def test_a_path_that_systemd_would_take_apart_is_quoted(gateway: Gateway) -> None:
    awkward = Path('/opt/100% "edge" ctl/edgectl')
    gateway.add_executable(awkward)
    gateway.install(awkward)
    assert 'ExecStart="/opt/100%% \\"edge\\" ctl/edgectl" run\n' in gateway.read(UNIT)


def test_the_user_exists_before_the_folders_and_the_unit_is_enabled_last(gateway: Gateway) -> None:
    gateway.install()
    assert gateway.commands == [
        "systemd-sysusers --root=ROOT /etc/sysusers.d/edgectl.conf",
        "systemd-tmpfiles --root=ROOT --create /etc/tmpfiles.d/edgectl.conf",
        "systemctl --root=ROOT enable edgectl.service",
    ]


def test_a_second_time_writes_nothing(gateway: Gateway) -> None:
    gateway.install()
    before = {path: (gateway.root / path).stat().st_mtime_ns for path in gateway.files()}
    lines = gateway.install()
    assert {path: (gateway.root / path).stat().st_mtime_ns for path in gateway.files()} == before
    assert [line for line in lines if line.startswith("wrote")] == []


def test_a_site_file_is_never_touched(gateway: Gateway) -> None:
    gateway.install()
    (gateway.root / SITE).write_text("site:\n  id: mine\n")
    lines = gateway.install()
    assert gateway.read(SITE) == "site:\n  id: mine\n"
    assert "left /etc/edgectl/site.yaml as it is" in lines


def test_an_older_unit_is_brought_up_to_date(gateway: Gateway) -> None:
    gateway.install()
    current = gateway.read(UNIT)
    (gateway.root / UNIT).write_text("[Service]\nExecStart=/usr/bin/edgectl run\n")
    lines = gateway.install()
    assert gateway.read(UNIT) == current
    assert f"wrote /{UNIT}" in lines


def test_a_fresh_site_file_comes_with_what_to_do_next(gateway: Gateway) -> None:
    assert gateway.install()[-1].startswith("next: describe the site in /etc/edgectl/site.yaml")


def test_files_can_be_read_by_systemd_and_the_service(gateway: Gateway) -> None:
    gateway.install()
    modes = {path: stat.S_IMODE((gateway.root / path).stat().st_mode) for path in (UNIT, SITE)}
    assert modes == {UNIT: 0o644, SITE: 0o644}


def test_a_dry_run_says_all_and_does_nothing(gateway: Gateway) -> None:
    before = gateway.files()
    lines = gateway.install(dry_run=True)
    assert gateway.files() == before
    assert gateway.commands == []
    assert f"would write /{UNIT}" in lines
    assert f"would run systemctl --root={gateway.root} enable edgectl.service" in lines


@pytest.mark.parametrize("folder", ["/home/pi/.local/bin", "/" + "root/.local/bin", "/tmp/venv/bin", "/var/tmp/bin"])
def test_an_executable_that_the_unit_hides_from_itself_is_refused(gateway: Gateway, folder: str) -> None:
    hidden = Path(folder) / "edgectl"
    gateway.add_executable(hidden)
    with pytest.raises(ServiceError, match="sees no home folders"):
        gateway.install(hidden)
    assert UNIT not in gateway.files()


def test_an_executable_that_is_not_there_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ServiceError, match="/opt/nothing is not an executable file"):
        gateway.install(Path("/opt/nothing"))


def test_a_relative_executable_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ServiceError, match="absolute path"):
        gateway.install(Path("bin/edgectl"))


def test_without_root_rights_it_says_so_before_it_does_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ServiceError, match="needs root: run it again with sudo"):
        install(starter=STARTER, run=lambda _: pytest.fail("a command was run"))


def test_a_folder_that_cannot_be_written_is_named(gateway: Gateway) -> None:
    (gateway.root / "etc").write_text("in the way")
    with pytest.raises(ServiceError, match=f"cannot write /{UNIT}"):
        gateway.install()


def test_a_failing_command_is_reported_in_its_own_words() -> None:
    with pytest.raises(ServiceError, match="`sh -c echo no such user >&2; exit 3` failed: no such user"):
        run_command(["sh", "-c", "echo no such user >&2; exit 3"])


def test_a_system_without_systemd_is_told_apart() -> None:
    with pytest.raises(ServiceError, match="systemctl-of-nowhere is missing: this system is not run by systemd"):
        run_command(["systemctl-of-nowhere", "enable", "edgectl.service"])
