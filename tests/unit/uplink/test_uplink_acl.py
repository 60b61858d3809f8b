"""What the broker lets us do, by its reason codes; and the sample access lists say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgectl.uplink.acl import AccessTest
from edgectl.uplink.topics import Topics
from hwsim.world.broker import topic_matches

CONFIG = Path(__file__).resolve().parents[3] / "config"
NEEDED, FOREIGN = "edgectl/v1/s1/billing/probe", "edgectl/v1/s1/receipt/probe"
DENIED = 0x87


@pytest.mark.parametrize(
    ("needed", "foreign", "words", "problem"),
    [
        (0x00, DENIED, "enough", ""),
        (0x10, DENIED, "enough", ""),
        (0x00, 0x00, "open", ""),
        (DENIED, DENIED, "denied: publishing on billing/#", "the broker's access list denies publishing on billing/#"),
    ],
)
def test_the_reason_codes_say_what_may_be_written(needed: int, foreign: int, words: str, problem: str) -> None:
    access = AccessTest(Topics("s1"))
    assert (access.probes(), access.words) == ((NEEDED, FOREIGN), "unknown")
    assert not access.answered(NEEDED, needed)
    assert access.answered(FOREIGN, foreign)
    assert (access.words, access.problem) == (words, problem)
    assert access.probes() == (), "once at a start"


def test_a_subscription_that_is_denied_is_news_once() -> None:
    access = AccessTest(Topics("s1"))
    assert access.refused("edgectl/v1/s1/cmd/+")
    assert not access.refused("edgectl/v1/s1/cmd/+")
    assert access.problem == "the broker's access list denies subscribing to edgectl/v1/s1/cmd/+"


# --- the samples ----------------------------------------------------------------------------------------------------------


def emqx_rules() -> list[tuple[str, str | None, str, list[str]]]:
    """Permission, user, action and topic filters of each line."""
    text = re.sub(r"%%.*", "", (CONFIG / "emqx.acl").read_text())
    found = []
    for line in filter(None, (part.strip() for part in text.split("}."))):
        permission, rest = re.fullmatch(r"\{(\w+), (.*)", line, re.DOTALL).groups()  # type: ignore[union-attr]
        user = re.search(r'\{username, "(\w+)"\}', rest)
        action = re.search(r"\b(publish|subscribe)\b", rest)
        topics = re.findall(r'"([^"]*/[^"]*)"', rest)
        found.append((permission, user[1] if user else None, action[1] if action else "all", topics))
    return found


def mosquitto_rules() -> list[tuple[str, str | None, str, list[str]]]:
    """The same in mosquitto's words."""
    user: str | None = None
    found = []
    for line in (CONFIG / "mosquitto.acl").read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "user":
            user = words[1]
            continue
        action = {"write": "publish", "read": "subscribe"}[words[1]]
        found.append(("allow", user if words[0] == "topic" else None, action, [words[2].replace("%u", "${username}")]))
    return found


def allows(rules: list[tuple[str, str | None, str, list[str]]], user: str, action: str, topic: str) -> bool:
    for permission, who, what, filters in rules:
        if who in {None, user} and what in {"all", action}:
            wanted = [one.replace("${username}", user) for one in filters]
            if not filters or any(topic_matches(one, topic) for one in wanted):
                return permission == "allow"
    return False


@pytest.mark.parametrize("user", ["s1", "s2", "backend", "nobody"])
@pytest.mark.parametrize("action", ["publish", "subscribe"])
def test_the_access_list_for_emqx_says_what_that_for_mosquitto_says(user: str, action: str) -> None:
    """That one is tried on a real broker."""
    suffixes = [
        "status",
        "state/evse/x",
        "tele/evse",
        "event/alarm",
        "billing/session",
        "cmd-ack/x",
        "receipt/billing",
        "cmd/stop",
    ]
    topics = [f"edgectl/v1/{site}/{suffix}" for site in ("s1", "s2") for suffix in suffixes]
    for topic in [*topics, NEEDED, FOREIGN, "edgectl/v2/s1/status", "other"]:
        assert allows(emqx_rules(), user, action, topic) == allows(mosquitto_rules(), user, action, topic), topic


def test_a_gateway_may_do_by_the_sample_what_it_asks_the_broker_for() -> None:
    assert allows(emqx_rules(), "s1", "publish", NEEDED)
    assert not allows(emqx_rules(), "s1", "publish", FOREIGN)
    assert not allows(emqx_rules(), "s1", "publish", "edgectl/v1/s2/billing/session")
