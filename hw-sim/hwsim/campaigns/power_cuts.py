"""Power cuts by the thousand: ``python -m hwsim cuts --count 1000 --seed 1``.

One run of the real ledger is recorded write by write (see ``recorder``). For each cut a moment in it is drawn. Everything a file
had when its last sync returned is there; of what was written since, sectors of 512 bytes are kept or lost: all, none, a prefix,
any mixture, or with one torn in the middle. The ledger is opened on what is left and held against what its callers had been told
by then. That a sync keeps what it says is taken for granted: a card that lies about it cannot be made safe.

The recorded run has threads, so a seed repeats the cuts and not the bytes between them.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.campaigns.keeping import Told, judge, keep, open_ledger
from hwsim.campaigns.promises import BrokenPromiseError, quiet_logs

if TYPE_CHECKING:
    from hwsim.campaigns.recorder import Entry

SECTOR = 512
SESSIONS = 500
"""In a recording: some 20 MB through a log that is folded in at 4 MB, so cuts fall into several of those, too."""
CUTS_PER_RECORDING = 500
_MANNERS = ("all lost", "prefix", "scattered", "torn", "all kept")


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Entry] = field(default_factory=list)
    is_there: bool = False
    """Its name is in the folder for good."""


class Medium:
    """What stands on the disk as a recording goes on."""

    def __init__(self) -> None:
        self.files: dict[str, _File] = {}

    def take(self, entry: Entry) -> None:
        if entry.what == "delete":
            # SQLite takes nothing for granted of a deletion: a log or journal that is back is read again.
            self.files.pop(entry.file, None)
            return
        file = self.files.setdefault(entry.file, _File())
        if entry.what == "sync":
            for one in file.pending:
                _apply(file.durable, one)
            file.pending.clear()
            file.is_there = True
        else:
            file.pending.append(entry)

    def after_cut(self, rng: random.Random) -> Iterator[tuple[str, bytes]]:
        """What is found when the power is back."""
        for name, file in self.files.items():
            if not file.is_there and rng.random() < 0.5:
                continue
            content = bytearray(file.durable)
            manner = rng.choice(_MANNERS)
            parts = [part for entry in file.pending for part in _sectors(entry)]
            if manner == "prefix":
                parts = parts[: rng.randrange(len(parts) + 1)]
            elif manner == "scattered":
                share = rng.choice((0.1, 0.5, 0.9))
                parts = [part for part in parts if rng.random() < share]
            elif manner == "torn" and parts:
                cut = rng.randrange(len(parts))
                parts = parts[: cut + 1]
                last = parts[-1]
                if last.what == "write":
                    parts[-1] = _part(last, 0, rng.randrange(len(last.content) + 1))
            elif manner == "all lost":
                parts = []
            for part in parts:
                _apply(content, part)
            yield name, bytes(content)


def run_cuts(count: int, seed: int, *, keeps_syncs: bool = True) -> int:
    """Make them and print what became of them; 1 with the first that loses something. ``keeps_syncs`` False: a disk that lies."""
    began_s = time.perf_counter()
    done = records = mid_sync = 0
    while done < count:
        recording = seed + done // CUTS_PER_RECORDING
        try:
            with quiet_logs(), tempfile.TemporaryDirectory() as folder:
                log = record(Path(folder))
                many = min(CUTS_PER_RECORDING, count - done)
                for cut in make_cuts(log, many, recording, Path(folder) / "after", keeps_syncs=keeps_syncs):
                    done += 1
                    records += cut.records
                    mid_sync += cut.has_pending
        except BrokenPromiseError as error:
            print(f"seed {recording} cut {done % CUTS_PER_RECORDING + 1} FAILED: {error}", file=sys.stderr)
            print(f"again with: python -m hwsim cuts --seed {recording} --count {done % CUTS_PER_RECORDING + 1}", file=sys.stderr)
            return 1
        except Exception:  # noqa: BLE001 - whatever it is, it is what this looks for
            traceback.print_exc()
            print(f"seed {recording} cut {done % CUTS_PER_RECORDING + 1} FAILED", file=sys.stderr)
            return 1
    print(
        f"cuts {count}  seed {seed}  with something unsynced {mid_sync}  records judged {records}  lost 0  doubled 0  "
        f"{count / max(1e-9, time.perf_counter() - began_s):.1f}/s"
    )
    return 0


@dataclass(frozen=True)
class Cut:
    records: int
    has_pending: bool


def make_cuts(log: Sequence[Entry], count: int, seed: int, folder: Path, *, keeps_syncs: bool = True) -> Iterator[Cut]:
    """Cut the power at ``count`` moments of a recording, in their order.

    Raises:
        BrokenPromiseError: something that was told is not there.
    """
    rng = random.Random(seed)
    moments = sorted(rng.randrange(len(log) + 1) for _ in range(count))
    medium, told = Medium(), Told()
    position = 0
    folder.mkdir(exist_ok=True)
    for moment in moments:
        for entry in log[position:moment]:
            if entry.what == "told":
                told.hear(entry.file)
            elif keeps_syncs or entry.what != "sync" or rng.random() < 0.5:
                medium.take(entry)
        position = moment
        for old in folder.iterdir():
            old.unlink()
        for name, content in medium.after_cut(rng):
            (folder / name).write_bytes(content)
        yield Cut(judge(folder / "ledger.db", told), any(file.pending for file in medium.files.values()))


def record(folder: Path) -> list[Entry]:
    """One life of a ledger in a process of its own, in which SQLite writes through the recorder."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_record, args=(folder / "ledger.db", sender), daemon=True)
    process.start()
    sender.close()
    try:
        log: list[Entry] = receiver.recv()
    except EOFError as error:
        raise RuntimeError("the recording ended without a log") from error
    process.join()
    return log


def _record(path: Path, sender: object) -> None:
    from hwsim.campaigns.recorder import Recorder

    recorder = Recorder()
    with quiet_logs(), closing(open_ledger(path, "recording")) as ledger:
        keep(ledger, "r", SESSIONS, recorder.tell)
    sender.send(recorder.log)  # type: ignore[attr-defined]


def _sectors(entry: Entry) -> Iterator[Entry]:
    """A write as the disk takes it: sector by sector."""
    if entry.what != "write":
        yield entry
        return
    start = 0
    while start < len(entry.content):
        end = min(len(entry.content), start + SECTOR - (entry.offset + start) % SECTOR)
        yield _part(entry, start, end)
        start = end


def _part(entry: Entry, start: int, end: int) -> Entry:
    return type(entry)("write", entry.file, entry.offset + start, entry.content[start:end])


def _apply(content: bytearray, entry: Entry) -> None:
    if entry.what == "truncate":
        del content[entry.offset :]
        return
    if len(content) < entry.offset:
        content.extend(bytes(entry.offset - len(content)))
    content[entry.offset : entry.offset + len(entry.content)] = entry.content
