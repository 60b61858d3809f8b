"""edgectl's real daemon for a benchmark: a site of any size in a file, a ledger on disk, no broker."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import Server, free_port

PASSWORD = "benchmark-password-0123"
LIMIT_A_MAX = 10_000
"""More than that is taken for a slip of the keyboard by the site file."""
RUN = """
import os, sys
from pathlib import Path
from edgectl.app import run
if os.environ.get("BENCHMARK_PROFILE"):
    import cProfile
    profile = cProfile.Profile()
    code = profile.runcall(run, Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
    profile.dump_stats(os.environ["BENCHMARK_PROFILE"])
else:
    code = run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Certificates:
    """A self-signed certificate for localhost, and a client's context that trusts it."""

    pem: bytes
    trust: ssl.SSLContext


def make_certificates() -> Certificates:
    """Raises ImportError without `cryptography`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificates(private + text, ssl.create_default_context(cadata=text.decode()))


def names(count: int) -> list[str]:
    return [f"CP-{number:04}" for number in range(1, count + 1)]


def site_text(
    chargers: Sequence[str],
    port: int,
    *,
    tls: bool = False,
    meter_port: int | None = None,
    limit_a: int | None = None,
) -> str:
    """A site file: one circuit, anyone may charge. With a meter it guards the circuit; without, nothing else draws."""
    limit = limit_a or min(40 * len(chargers), LIMIT_A_MAX)
    password = ", password: {credential: charger}" if tls else ""
    listener = f'address: "127.0.0.1:{port}", security_profile: ' + ("2, certificate: {credential: ocpp-tls}" if tls else "0")
    meter = ""
    if meter_port is not None:
        meter = (
            f'meters:\n  main: {{model: eastron-sdm630, connect: "tcp://127.0.0.1:{meter_port}", unit: 1, '
            "every: 500 ms, timeout: 400 ms}\n"
        )
    circuit = f"limit: {limit} A, other_loads: 0 A" + (", meter: main" if meter else "")
    lines = "".join(f"  {charger}: {{circuit: grid{password}}}\n" for charger in chargers)
    return (
        "site: {id: benchmark}\n"
        f"{meter}circuits:\n  grid: {{{circuit}}}\n"
        "charger_defaults: {current: 6 A .. 32 A, fallback: 6 A}\n"
        f"chargers:\n{lines}"
        f"ocpp: {{listeners: [{{{listener}}}], unknown_chargers: refuse}}\n"
        "authorization: {offline: anyone}\n"
        f'web: {{listen: "127.0.0.1:{free_port()}"}}\n'
    )


def daemon(
    folder: Path,
    chargers: Sequence[str],
    *,
    certificates: Certificates | None = None,
    meter_port: int | None = None,
    limit_a: int | None = None,
) -> Server:
    """The daemon as a process, not yet started; everything it keeps is in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    site = folder / "site.yaml"
    site.write_text(site_text(chargers, port, tls=certificates is not None, meter_port=meter_port, limit_a=limit_a))
    if certificates is not None:
        secrets = folder / "secrets"
        secrets.mkdir(exist_ok=True)
        (secrets / "ocpp-tls").write_bytes(certificates.pem)
        (secrets / "charger").write_text(PASSWORD)
    command = [sys.executable, "-c", RUN, str(site), str(folder / "data"), str(folder / "api.sock")]
    return Server("edgectl", command, port, folder / "daemon.log")
