"""The site's own authority, on a real folder."""

from __future__ import annotations

import stat
from pathlib import Path
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from support.certificates import Key, request, rsa_key
from support.ocpp_site import Recorder

from edgectl.authority import AuthorityFiles, LocalAuthority
from edgectl.authority.requests import CSR_MAX_CHARS
from edgectl.domain.decisions import SignCertificate
from edgectl.domain.events import CertificateSigned
from edgectl.domain.ids import ChargerId
from edgectl.domain.time import Instant

NOW = Instant(0, 1_750_000_000_000)


async def sign(folder: Path, csr: str, serial: str | None = None) -> CertificateSigned:
    inbox = Recorder()
    LocalAuthority(folder, "depot", inbox, Random(1)).sign(SignCertificate(ChargerId("CP-1"), "m", csr, serial), NOW)
    return await inbox.first(CertificateSigned)


@pytest.mark.parametrize("key", [rsa_key(), ec.generate_private_key(ec.SECP384R1())], ids=["rsa", "p-384"])
@pytest.mark.parametrize("subject", ["cp-1", "sn-9"])
async def test_a_station_gets_a_client_certificate_of_the_root_in_its_own_name(tmp_path: Path, subject: str, key: Key) -> None:
    signed = await sign(tmp_path / "authority", request(subject, key, wants_ca=True), "SN-9")
    leaf = x509.load_pem_x509_certificate((signed.chain or "").encode())
    files = AuthorityFiles(tmp_path / "authority")
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(files.root_pem() or b""))
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == subject
    assert leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "depot"
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    (issued,) = files.issued()
    assert (issued.charger, int(issued.serial, 16)) == ("CP-1", leaf.serial_number)


@pytest.mark.parametrize(
    ("csr", "problem"),
    [
        ("rubbish", "not a readable"),
        ("x" * (CSR_MAX_CHARS + 1), "longer than 5500"),
        (request("CP-2"), "neither the charger's id nor"),
        (request("CP-1", rsa_key(1024)), "RSA key of 1024 bits"),
        (request("CP-1", ec.generate_private_key(ec.SECP256K1())), "neither RSA nor on one of the curves"),
    ],
    ids=["rubbish", "long", "foreign", "weak", "curve"],
)
async def test_what_cannot_be_signed_is_refused_in_words(tmp_path: Path, csr: str, problem: str) -> None:
    signed = await sign(tmp_path, csr)
    assert signed.chain is None
    assert problem in signed.problem
    assert AuthorityFiles(tmp_path).issued() == []


async def test_key_and_root_stay_the_same_and_are_nobody_elses_to_read(tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    await sign(folder, request("CP-1"))
    root = AuthorityFiles(folder).root_pem()
    await sign(folder, request("CP-1"))
    assert AuthorityFiles(folder).root_pem() == root
    assert len(AuthorityFiles(folder).issued()) == 2
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_a_root_whose_key_is_lost_is_not_overwritten(tmp_path: Path) -> None:
    await sign(tmp_path, request("CP-1"))
    root = (tmp_path / "root.pem").read_bytes()
    (tmp_path / "key.pem").unlink()
    assert "key.pem is missing" in (await sign(tmp_path, request("CP-1"))).problem
    assert (tmp_path / "root.pem").read_bytes() == root


def test_a_torn_line_of_the_register_spoils_itself_only(tmp_path: Path) -> None:
    (tmp_path / "issued.jsonl").write_text(
        '{"serial": "1", "char\n{"serial":"2","charger":"A","not_after":"x","fingerprint":"y"}\n'
    )
    assert [issued.serial for issued in AuthorityFiles(tmp_path).issued()] == ["2"]
