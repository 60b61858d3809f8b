"""What is kept is held once more against hashes, chain and signatures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from support.ledger import session

from edgectl.store.billing import FIRST_PREV_HASH, seal
from edgectl.store.signing import PublicKey, Signer
from edgectl_backend.judging.bills import Bill, read_bill
from edgectl_backend.judging.rechecking import Recheck
from edgectl_backend.postgres.chains import Ledger
from edgectl_backend.postgres.database import Database
from edgectl_backend.postgres.keeping import Batch, Keeper
from edgectl_backend.postgres.rechecking import recheck_all

pytestmark = pytest.mark.slow

COUNT = 8


def pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


KEY = Ed25519PrivateKey.generate()
SIGNER = Signer(pem(KEY))


async def keep(database: Database, signer: Signer | None, epoch: str = "e1") -> None:
    prev_hash, bills = FIRST_PREV_HASH, []
    for number in range(1, COUNT + 1):
        name = f"r{number}"
        sealed = seal(
            site="s1", epoch=epoch, seq=number, record_id=name, rev=1, prev_hash=prev_hash, session=session(name), signer=signer
        )
        prev_hash = sealed.hash
        found = read_bill("s1", sealed.body)
        assert isinstance(found, Bill), found
        bills.append(found)
    await Keeper(database).keep(Batch(bills=bills))


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def recheck(database: Database, *keys: PublicKey) -> dict[str, Recheck]:
    told: dict[str, Recheck] = {}

    def tell(ledger: Ledger, found: Recheck) -> None:
        told[ledger[1]] = found

    is_whole = await recheck_all(database, None, keys, tell)
    assert is_whole == all(found.is_whole for found in told.values())
    return told


async def test_what_is_as_it_came_is_whole_also_where_a_salvaged_ledger_named_it_again(database: Database) -> None:
    await keep(database, SIGNER)
    await keep(database, SIGNER, "e2")
    told = await recheck(database, SIGNER.public)
    assert [(found.count, found.problems) for found in told.values()] == [(COUNT, []), (COUNT, [])]
    assert (told["e1"].signed_count, told["e2"].signed_count) == (COUNT, 0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE record SET body = overlay(body placing 'x' from 300 for 1) WHERE seq = 3", "record 3:"),
        ("DELETE FROM link WHERE seq IN (4, 5)", "records 4 to 5 are missing"),
        ("UPDATE link SET prev_hash = hash WHERE seq = 2", "record 2 does not follow the one before it"),
        (
            "UPDATE record SET body = (SELECT body FROM record WHERE seq = 1) WHERE seq = 6",
            "the row and the record it holds differ",
        ),
    ],
)
async def test_each_change_in_the_database_is_found(database: Database, change: str, problem: str) -> None:
    await keep(database, None)
    await database.rows(change)
    told = await recheck(database)
    assert any(problem in words for words in told["e1"].problems), told["e1"].problems


async def test_a_signature_of_another_key_is_found(database: Database) -> None:
    await keep(database, SIGNER)
    other = Signer(pem(Ed25519PrivateKey.generate())).public
    assert all("a key that was not given" in words for words in (await recheck(database, other))["e1"].problems)
    assert (await recheck(database))["e1"].is_whole


async def test_the_command_tells_and_fails(tmp_path: Path, database: Database, database_url: str) -> None:
    await keep(database, SIGNER)
    public = tmp_path / "key.pem"
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    command = [sys.executable, "-m", "edgectl_backend", "verify", "--database", database_url, "--public-key", str(public)]
    done = run(command)
    assert (done.stdout, done.returncode) == (f"s1 e1: {COUNT} records, {COUNT} signed, whole\n", 0), done.stderr
    await database.rows("DELETE FROM link WHERE seq = 1")
    done = run(command)
    assert "NOT whole" in done.stdout
    assert done.returncode == 1
