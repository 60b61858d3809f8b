"""What the broker lets us do, by its reason codes; and the sample access lists say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import hivemq_rbac
from support.access_table import TABLE, USERS
from support.emqx_acl import allows, parse

from edgectl.uplink.acl import AccessTest
from edgectl.uplink.topics import Topics
from edgectl_backend.judging.topics import filters

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
    assert (access.probes("one"), access.words) == ((NEEDED, FOREIGN), "unknown")
    assert not access.answered(NEEDED, needed)
    assert access.answered(FOREIGN, foreign)
    assert (access.words, access.problem) == (words, problem)
    assert access.probes("one") == ((NEEDED, FOREIGN) if problem else ()), "once at a start, where all is well"


def test_another_broker_is_asked_for_itself() -> None:
    access = AccessTest(Topics("s1"))
    for broker, needed, words in (
        ("one", 0x00, "enough"),
        ("two", DENIED, "denied: publishing on billing/#"),
        ("one", 0x00, "enough"),
    ):
        assert access.probes(broker) == (NEEDED, FOREIGN)
        assert access.words == "unknown"
        access.answered(NEEDED, needed)
        access.answered(FOREIGN, DENIED)
        assert access.words == words


def test_a_subscription_that_is_denied_is_news_once() -> None:
    access = AccessTest(Topics("s1"))
    assert access.subscribed("edgectl/v1/s1/cmd/+", DENIED)
    assert not access.subscribed("edgectl/v1/s1/cmd/+", DENIED)
    assert access.problem == "the broker's access list denies subscribing to cmd/+"
    assert access.subscribed("edgectl/v1/s1/cmd/+", 0x01)
    assert not access.subscribed("edgectl/v1/s1/cmd/+", 0x01)
    assert access.problem == ""


def test_a_denied_branch_is_named_from_its_first_answer_until_something_is_taken_there() -> None:
    access = AccessTest(Topics("s1"))
    base = "edgectl/v1/s1/"
    answers = [
        ("event/alarm", 0x00, False, ""),
        ("event/alarm", DENIED, True, "publishing on event/#"),
        ("event/other", DENIED, False, "publishing on event/#"),
        ("state/evse/CP-1-1", DENIED, True, "publishing on event/# and publishing on state/#"),
        ("status", DENIED, True, "publishing on event/# and publishing on state/# and publishing on status"),
        ("event/alarm", 0x10, True, "publishing on state/# and publishing on status"),
        ("tele/evse", 0x97, False, "publishing on state/# and publishing on status"),
        ("state/meter/main", 0x00, True, "publishing on status"),
        ("status", 0x00, True, ""),
    ]
    for suffix, code, is_news, problem in answers:
        assert access.published(base + suffix, code) is is_news
        assert access.problem.removeprefix("the broker's access list denies ") == problem
    assert not access.published("answers/of/somebody", DENIED)


def test_a_broker_that_denied_something_is_asked_again_on_the_next_connection() -> None:
    access = AccessTest(Topics("s1"))
    for code, words in ((DENIED, "denied: publishing on billing/#"), (0x00, "enough")):
        assert access.probes("one") == (NEEDED, FOREIGN)
        access.answered(NEEDED, code)
        access.answered(FOREIGN, DENIED)
        assert access.words == words
    assert access.probes("one") == ()


# --- the samples ----------------------------------------------------------------------------------------------------------


RULES = parse((CONFIG / "emqx.acl").read_text())


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("topic", TABLE)
def test_the_access_list_for_emqx_says_what_the_table_says(user: str, topic: str) -> None:
    """The table is tried on a real mosquitto with the list for that (``tests/e2e/test_uplink_mosquitto.py``)."""
    writers, readers = TABLE[topic]
    assert allows(RULES, user, "publish", topic) is (user in writers)
    assert allows(RULES, user, "subscribe", topic) is (user in readers)


def test_gateway_and_backend_may_subscribe_by_it_to_what_they_ask_for_and_no_wider() -> None:
    for topic_filter in Topics("s1").subscriptions:
        assert allows(RULES, "s1", "subscribe", topic_filter)
        assert not allows(RULES, "s2", "subscribe", topic_filter)
    for topic_filter in filters("any"):
        assert allows(RULES, "backend", "subscribe", topic_filter)
        assert not allows(RULES, "s1", "subscribe", topic_filter)
    for topic_filter in ("#", "edgectl/#", "edgectl/v1/#", "edgectl/v1/+/cmd/stop", "edgectl/v1/s1/#"):
        assert not allows(RULES, "s1", "subscribe", topic_filter), topic_filter


HIVEMQ = hivemq_rbac.parse((CONFIG / "hivemq-credentials.xml").read_text())


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("topic", TABLE)
def test_the_permissions_for_hivemq_say_what_the_table_says(user: str, topic: str) -> None:
    writers, readers = TABLE[topic]
    assert hivemq_rbac.allows(HIVEMQ, user, "publish", topic) is (user in writers)
    assert hivemq_rbac.allows(HIVEMQ, user, "subscribe", topic) is (user in readers)


def test_gateway_and_backend_may_subscribe_by_them_to_what_they_ask_for() -> None:
    assert all(hivemq_rbac.allows(HIVEMQ, "s1", "subscribe", one) for one in Topics("s1").subscriptions)
    assert all(hivemq_rbac.allows(HIVEMQ, "backend", "subscribe", one) for one in filters("any"))
    assert not any(hivemq_rbac.allows(HIVEMQ, "s1", "subscribe", one) for one in ("#", "edgectl/v1/#", "edgectl/v1/s1/#"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<name>s2</name>", "<name>s+</name>", "wildcard"),
        ("<id>gateway</id></roles>", "<id>site</id></roles>", "not there"),
        ("<activity>SUBSCRIBE</activity>", "<activity>READ</activity>", "no permission"),
        ("<activity>SUBSCRIBE</activity>", "", "no permission"),
        ("<name>s2</name>", "", "name is missing"),
    ],
)
def test_permissions_that_hivemq_does_not_know_are_an_error(old: str, new: str, words: str) -> None:
    text = (CONFIG / "hivemq-credentials.xml").read_text()
    assert old in text
    with pytest.raises(ValueError, match=words):
        hivemq_rbac.parse(text.replace(old, new))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{allow, all, publish, ["a"]}', "is missing"),
        ("{permit, all}.", "no rule"),
        ('{allow, all, write, ["a"]}.', "no action"),
        ("{allow, all, publish, []}.", "no topics"),
        ('{allow, {role, "x"}, publish, ["a"]}.', "nobody"),
        ('{allow, {username, "x"}}.', "for all"),
        ("{allow; all}.", "no Erlang term"),
    ],
)
def test_a_line_that_emqx_does_not_know_is_an_error(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text)


def test_the_first_rule_that_fits_decides_and_the_last_one_is_needed() -> None:
    rules = parse('{deny, {\'or\', [{user, "a"}, {username, {re, "^b"}}]}, all, [{eq, "t/#"}, "x/+"]}. %% words\n{allow, all}.')
    assert not allows(rules, "a", "publish", "x/1")
    assert not allows(rules, "bee", "subscribe", "t/#")
    assert allows(rules, "bee", "subscribe", "t/1")
    assert allows(rules, "c", "publish", "x/1")
    with pytest.raises(ValueError, match="no rule fits"):
        allows(RULES[:-1], "nobody", "publish", "other")
