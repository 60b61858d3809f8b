"""Which credentials are used: those on the disk, or the last good ones."""

from __future__ import annotations

import pytest
from support.certificates import Authority

from edgectl.domain.settings import MqttSettings
from edgectl.uplink.keyring import Keyring

SETTINGS = MqttSettings("broker", 8883, True, client_certificate="client", ca_certificate="ca", password="word")


def test_a_broken_or_missing_file_leaves_the_last_good_ones_and_says_why() -> None:
    authority = Authority()
    first, second = authority.client("one"), authority.client("two")
    disk = {"client": first, "ca": authority.root_pem, "word": b"secret"}
    keyring = Keyring(SETTINGS, disk.__getitem__)
    assert (keyring.look(), keyring.look(), keyring.problem) == (True, False, "")
    certificate = first.split(b"-----BEGIN PRIVATE")[0]
    halves = first[: len(first) // 2], certificate, certificate + second[second.index(b"-----BEGIN PRIVATE") :]
    for name, broken in [*(("client", half) for half in halves), ("ca", b"none"), ("word", b"\xff")]:
        before, disk[name] = disk[name], broken
        assert (keyring.look(), keyring.is_falling_back) == (False, True)
        assert repr(name) in keyring.problem
        assert keyring.read(name) == before
        disk[name] = before
        assert (keyring.look(), keyring.problem) == (False, "")
    del disk["client"]
    assert (keyring.look(), keyring.problem, keyring.read("client")) == (False, "client", first)
    disk["client"] = second
    assert (keyring.look(), keyring.problem, keyring.read("client")) == (True, "", second)
    disk["word"] = b"other"
    assert keyring.look()


def test_where_none_were_ever_good_reading_one_says_why() -> None:
    keyring = Keyring(SETTINGS, {"client": b"", "ca": b"", "word": b""}.__getitem__)
    assert not keyring.look()
    assert not keyring.is_falling_back
    with pytest.raises(KeyError, match="credential 'ca' is not a PEM certificate"):
        keyring.read("client")
