"""Signed records: who wrote them can be shown, nothing that checked the chain before is disturbed, and no byte changes unseen."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_public_key
from support.store_bench import LedgerBench, ledger_bench
from support.store_records import NOW, assert_chain, bill

from edgectl.domain.errors import StoreError
from edgectl.store import billing
from edgectl.store.billing import Bill, check_chain, seal
from edgectl.store.copies import backup
from edgectl.store.reader import LedgerFile
from edgectl.store.signing import Signer, read_public_key


def private_pem(key: object = None) -> bytes:
    made = key or Ed25519PrivateKey.generate()
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]


def public_pem(pem: bytes) -> bytes:
    return read_public_key(pem).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


PEM = private_pem(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
SIGNER = Signer(PEM)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LedgerBench]:
    with ledger_bench(tmp_path) as bench:
        yield bench


def chain(*signers: Signer | None) -> list[Bill]:
    bills: list[Bill] = []
    for number, signer in enumerate(signers, start=1):
        prev_hash = bills[-1].hash if bills else billing.FIRST_PREV_HASH
        bills.append(
            seal(
                site="depot",
                epoch="e",
                seq=number,
                record_id=f"s-{number}",
                rev=1,
                prev_hash=prev_hash,
                session={"energy_wh": number},
                signer=signer,
            )
        )
    return bills


def test_a_stranger_with_the_public_key_alone_can_check_a_record(bench: LedgerBench) -> None:
    ledger = bench.open(signer=SIGNER)
    bench.wait(ledger.commit([bill("s-1"), bill("s-2")], NOW))
    bodies = [row.body for row in bench.wait(ledger.rows("billing", 0, 9))]
    assert_chain(bodies, ledger.opened.epoch)  # knows nothing of signatures
    key = load_pem_public_key(public_pem(PEM))
    for body in bodies:
        envelope = json.loads(body)
        signature = base64.b64decode(envelope.pop("signature"))
        del envelope["hash"]
        key.verify(signature, rfc8785.dumps(envelope))  # type: ignore[union-attr,call-arg]
        assert envelope["signed_by"] == SIGNER.public.id
    report = ledger.verify_chain()
    assert (report.is_intact, report.count, report.signed_count) == (True, 2, 2)


def test_signatures_are_checked_by_the_keys_given() -> None:
    other = Signer(private_pem())
    assert check_chain(chain(None, SIGNER, SIGNER), "e", keys=[SIGNER.public]).is_intact
    assert check_chain(chain(SIGNER, other), "e", keys=[SIGNER.public, other.public]).is_intact
    strange = check_chain(chain(SIGNER, other), "e", keys=[SIGNER.public])
    assert (strange.first_broken_seq, strange.count) == (2, 1)
    assert "a key that was not given" in strange.why
    stopped = check_chain(chain(SIGNER, None), "e", keys=[SIGNER.public])
    assert (stopped.first_broken_seq, stopped.why) == (2, "it is not signed, and records before it are")
    assert check_chain(chain(SIGNER, None), "e").is_intact


def test_a_chain_that_was_made_anew_without_the_key_is_found() -> None:
    """Hashes can be made by anybody, so a chain written again from some record on is whole; its signatures are not."""
    first, _ = chain(SIGNER, SIGNER)
    forged = json.loads(first.body)
    forged["session"]["energy_wh"] = 0
    del forged["hash"]
    digest = hashlib.sha256(billing.canonical(forged)).hexdigest()
    body = billing.canonical({**forged, "hash": digest})
    row = Bill(1, "s-1", 1, billing.FIRST_PREV_HASH, digest, body)
    assert check_chain([row], "e").is_intact
    report = check_chain([row], "e", keys=[SIGNER.public])
    assert (report.first_broken_seq, report.why) == (1, "the signature does not fit the content")


def test_a_key_that_is_none_is_said_without_showing_it() -> None:
    rsa = private_pem(generate_private_key(65_537, 2_048))
    for pem in (b"", b"a secret", rsa, public_pem(PEM)):
        with pytest.raises(ValueError, match="is not an Ed25519 key in PEM form") as caught:
            Signer(pem)
        assert "secret" not in str(caught.value)
    assert read_public_key(PEM).id == read_public_key(public_pem(PEM)).id
    with pytest.raises(ValueError, match="nor its public half"):
        read_public_key(b"-----BEGIN PUBLIC KEY-----")


# --- every byte


def bodies(path: Path) -> list[bytes] | None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            return [body for (body,) in connection.execute("SELECT body FROM bill ORDER BY seq")]
    except sqlite3.Error:
        return None


def test_no_flipped_byte_of_a_copy_changes_a_billing_record_unseen(bench: LedgerBench, tmp_path: Path) -> None:
    """Each byte of the pages that hold billing records or the epoch, and a sample of all others."""
    ledger = bench.open(signer=SIGNER)
    for number in range(4):
        # The last is longer than a page, so that its rest lies on pages of its own.
        bench.wait(ledger.commit([bill(f"s-{number}", note="x" * (5_000 if number == 3 else 40))], NOW))
    ledger.close()
    copy = tmp_path / "copy.db"
    backup(bench.path, copy, NOW)
    whole, true = copy.read_bytes(), bodies(copy)
    assert true is not None
    needles = [whole.find(body[:40]) for body in true] + [whole.find(b"x" * 1_000), whole.find(ledger.opened.epoch.encode())]
    pages = {place // 4_096 for place in needles}
    dense = [place for place in range(len(whole)) if place // 4_096 in pages and whole[place] not in (0, ord("x"))]
    sparse = [place for place in range(0, len(whole), 61) if place // 4_096 not in pages] + list(range(100))
    sparse += [place for place in range(len(whole)) if whole[place] == ord("x")][::50]
    told = {"broken": 0, "unreadable": 0, "intact": 0}
    with copy.open("r+b", buffering=0) as file:
        for number, place in enumerate(sorted({*dense, *sparse})):
            file.seek(place)
            file.write(bytes([whole[place] ^ (1 << number % 8)]))
            try:
                with LedgerFile(copy) as opened:
                    report = opened.verify_chain([SIGNER.public])
            except StoreError:
                told["unreadable"] += 1
            else:
                told["intact" if report.is_intact else "broken"] += 1
                assert not report.is_intact or bodies(copy) == true, f"byte {place} changed a record and nobody saw it"
                assert report.is_intact or report.first_broken_seq in range(1, 6), report
            file.seek(place)
            file.write(whole[place : place + 1])
    assert copy.read_bytes() == whole
    assert told["broken"] > len(dense) / 2, told
    assert min(told.values()) > 10, told
