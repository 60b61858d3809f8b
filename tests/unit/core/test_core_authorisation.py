"""Who may charge when the backend's truth is old or away, and who may end what another began."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plant import NOON_UTC_MS, TAG, Bench, of, plant

from edgectl.core.authorization import Authorization
from edgectl.core.commissioning.desired import Policy, wanted_2, wanted_16
from edgectl.core.controller import Controller
from edgectl.core.managed import Managed
from edgectl.domain.bill import session_body
from edgectl.domain.decisions import Decision, Keep, Remember, Reply, TokenAnswer
from edgectl.domain.events import TokenPresented, TokensGiven
from edgectl.domain.ids import IdToken
from edgectl.domain.records import EventKept, Restored, Session, SessionKept
from edgectl.domain.remembered import MANAGED
from edgectl.domain.site import OfflinePolicy, Site, Token, TokenStatus

DAY_MS = 86_400_000
CARD = IdToken("B-1")


def site_of(policy: OfflinePolicy = OfflinePolicy.KNOWN_TOKENS, *tokens: Token, max_age_ms: int | None = DAY_MS) -> Site:
    site = plant("A", "B", "C")
    return replace(site, tokens=(*site.tokens, *tokens), offline_policy=policy, tokens_max_age_ms=max_age_ms)


def told(*uids: str, version: int = 1, mode: str = "replace") -> TokensGiven:
    return TokensGiven("a1", "backend:boss", version, mode, tuple(Token(IdToken(uid)) for uid in uids))


def asked(bench: Bench, uid: str) -> TokenAnswer:
    (reply,) = of(Reply, bench.put(TokenPresented(bench.call("A"), IdToken(uid))))
    assert isinstance(reply.answer, TokenAnswer)
    return reply.answer


def session_of(decisions: list[Decision]) -> Session:
    return [keep.record.session for keep in of(Keep, decisions) if isinstance(keep.record, SessionKept)][-1]


def alarms(decisions: list[Decision]) -> list[object]:
    kept = [keep.record for keep in of(Keep, decisions)]
    return [record.body["state"] for record in kept if isinstance(record, EventKept) and record.kind == "tokens-stale"]


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (OfflinePolicy.KNOWN_TOKENS, TokenStatus.ACCEPTED),
        (OfflinePolicy.ANYONE, TokenStatus.ACCEPTED),
        (OfflinePolicy.NOBODY, TokenStatus.UNKNOWN),
    ],
)
def test_the_offline_policy_decides_about_a_list_that_is_too_old(policy: OfflinePolicy, status: TokenStatus) -> None:
    bench = Bench(site_of(policy))
    bench.put(told("b-1"))
    assert asked(bench, CARD).verdict.status is TokenStatus.ACCEPTED
    assert session_of(bench.start("B", token=CARD)).flags == ()
    bench.wait(DAY_MS / 1_000)
    assert asked(bench, CARD).verdict.status is status
    assert asked(bench, TAG).verdict.status is TokenStatus.ACCEPTED, "the file's own token does not grow old"


def test_a_session_of_an_old_list_is_flagged_and_an_alarm_lasts_until_the_backend_speaks_again() -> None:
    bench = Bench(site_of())
    bench.boot("A")
    bench.put(told("b-1"))
    assert not alarms(bench.tick())
    bench.wait(DAY_MS / 1_000)
    assert alarms(bench.tick()) == ["raised"]
    assert {"rate-again", "token-stale"} <= set(session_of(bench.start("A", token=CARD)).flags)
    assert session_of(bench.start("B", token=TAG)).flags == ()
    bench.put(told(version=1, mode="merge"))
    assert alarms(bench.tick()) == ["cleared"], "the same version, with nothing new, says that it is still so"
    assert session_of(bench.start("C", token=CARD)).flags == ()


def test_the_age_of_a_list_is_kept_over_a_restart() -> None:
    bench = Bench(site_of(OfflinePolicy.NOBODY))
    remembered = [decision for decision in of(Remember, bench.put(told("b-1"))) if decision.kind == MANAGED]
    (document,) = [decision.document for decision in remembered]
    after = Bench(site_of(OfflinePolicy.NOBODY))
    for is_old in (False, True):
        after.wait(DAY_MS / (1_000 if is_old else 2_000))
        memory = {MANAGED: {"tokens": document}}
        after.controller = Controller(after.site, Restored(), after.ids, after.now, remembered=memory)
        assert (asked(after, CARD).verdict.status is TokenStatus.UNKNOWN) == is_old
    undated = {MANAGED: {"tokens": {key: value for key, value in document.items() if key != "told_utc_ms"}}}
    after.controller = Controller(after.site, Restored(), after.ids, after.now, remembered=undated)
    assert asked(after, CARD).verdict.status is TokenStatus.UNKNOWN, "whose age nobody knows is too old"


def test_a_session_that_anyone_began_is_to_be_rated_again() -> None:
    bench = Bench(site_of(OfflinePolicy.ANYONE))
    assert session_of(bench.start("A", token="STRANGER")).flags == ("rate-again",)


@given(
    policy=st.sampled_from(OfflinePolicy),
    age_ms=st.integers(-DAY_MS, 3 * DAY_MS),
    max_age_ms=st.none() | st.integers(1, 2 * DAY_MS),
    status=st.sampled_from([TokenStatus.ACCEPTED, TokenStatus.BLOCKED, TokenStatus.EXPIRED]),
)
@settings(deadline=None)
def test_age_never_lets_in_who_was_refused_and_equal_questions_have_equal_answers(
    policy: OfflinePolicy, age_ms: int, max_age_ms: int | None, status: TokenStatus
) -> None:
    site = site_of(policy, Token(CARD, status, is_managed=True), max_age_ms=max_age_ms)
    book = Authorization(site, NOON_UTC_MS)
    found = book.verdict(CARD, NOON_UTC_MS + age_ms)
    is_old = max_age_ms is not None and age_ms >= max_age_ms
    if status is TokenStatus.ACCEPTED:
        assert (found.status is TokenStatus.ACCEPTED) == (not is_old or policy is not OfflinePolicy.NOBODY)
    else:
        assert found.status is status
    assert book.verdict(CARD, NOON_UTC_MS + age_ms) == found
    assert ("token-stale" in book.flags_of(CARD, NOON_UTC_MS + age_ms, is_offline=False)) == is_old


@pytest.mark.parametrize(
    ("policy", "known", "unknown"),
    [
        (OfflinePolicy.KNOWN_TOKENS, "true", "false"),
        (OfflinePolicy.ANYONE, "true", "true"),
        (OfflinePolicy.NOBODY, "false", "false"),
    ],
)
def test_chargers_are_set_to_the_sites_policy(policy: OfflinePolicy, known: str, unknown: str) -> None:
    setting = Policy(
        lets_known_charge_offline=policy is not OfflinePolicy.NOBODY, lets_unknown_charge_offline=policy is OfflinePolicy.ANYONE
    )
    of_16 = {wanted.key: wanted.value for wanted in wanted_16(setting)}
    of_2 = {wanted.key: wanted.value for wanted in wanted_2(replace(setting, master_group="GUARDS"))}
    assert (of_16["LocalAuthorizeOffline"], of_16["AllowOfflineTxForUnknownId"]) == (known, unknown)
    assert (of_2["AuthCtrlr.LocalAuthorizeOffline"], of_2["AuthCtrlr.OfflineTxForUnknownIdEnabled"]) == (known, unknown)
    assert of_2["AuthCtrlr.MasterPassGroupId"] == "GUARDS"
    assert "AuthCtrlr.MasterPassGroupId" not in {wanted.key for wanted in wanted_2(setting)}


@pytest.mark.parametrize(
    ("stopper", "flags"),
    [
        ("drv-1 ", set()),
        ("DRV-2", {"stopped-by-group"}),
        ("BOSS", {"stopped-by-group"}),
        ("GUARD-1", {"stopped-by-group"}),
        (TAG, {"stopped-by-other"}),
        ("STRANGER", {"stopped-by-other"}),
    ],
)
def test_another_token_may_end_a_session_and_the_record_says_so(stopper: str, flags: set[str]) -> None:
    boss, guards = IdToken("boss"), IdToken("GUARDS")
    drivers = tuple(Token(IdToken(uid), group=boss) for uid in ("DRV-1", "DRV-2"))
    site = site_of(OfflinePolicy.KNOWN_TOKENS, *drivers, Token(IdToken("BOSS")), Token(IdToken("GUARD-1"), group=guards))
    bench = Bench(replace(site, master_group=guards))
    transaction = session_of(bench.start("A", token="DRV-1")).transaction
    bench.wait(3_600)
    done = session_of(bench.stop("A", transaction, meter_wh=5_000, token=stopper))
    assert {flag for flag in done.flags if flag.startswith("stopped-by")} == flags
    assert session_body(done).get("stopped_by") == (None if not flags else stopper)
    assert (done.status.value, done.id_token, done.energy_wh > 0) == ("completed", "DRV-1", True)


def test_a_master_token_is_of_the_group_that_bears_its_name() -> None:
    bench = Bench(site_of(OfflinePolicy.KNOWN_TOKENS, Token(IdToken("BOSS"))))
    assert asked(bench, "BOSS").verdict.group is None
    bench.put(TokensGiven("a1", "backend:boss", 1, "replace", (Token(CARD, group=IdToken("boss")),)))
    assert (asked(bench, "BOSS").verdict.group, asked(bench, CARD).verdict.group) == ("boss", "boss")


@pytest.mark.parametrize("is_on", [True, False])
def test_a_card_is_known_by_its_bytes_the_other_way_round_where_the_site_says_so(is_on: bool) -> None:
    cards = (
        Token(IdToken("04A1B2C3"), account="van-1"),
        Token(IdToken("C3B2A105")),
        Token(IdToken("05A1B2C3"), TokenStatus.BLOCKED),
    )
    bench = Bench(replace(site_of(OfflinePolicy.KNOWN_TOKENS, *cards), is_reversed_known=is_on))
    assert (asked(bench, "c3b2a104").verdict.status is TokenStatus.ACCEPTED) == is_on
    assert asked(bench, "C3B2A105").verdict.status is TokenStatus.ACCEPTED, "its own entry, not the blocked one's other way round"
    assert asked(bench, "PIV").verdict.status is TokenStatus.UNKNOWN, "VIP is no card"
    bench.start("A", token="C3B2A104")
    bench.wait(3_600)
    assert session_of(bench.stop("A", "1", meter_wh=5_000)).account == ("van-1" if is_on else None)


@given(st.binary(min_size=4, max_size=4))
@settings(deadline=None)
def test_the_other_way_round_of_every_card_has_the_same_rights(raw: bytes) -> None:
    token = Token(IdToken(raw.hex()), TokenStatus.BLOCKED, group=IdToken("G"))
    applied = Managed({}).applied(replace(site_of(OfflinePolicy.ANYONE, token), is_reversed_known=True))
    assert Authorization(applied).verdict(IdToken(raw[::-1].hex()), NOON_UTC_MS).status is TokenStatus.BLOCKED
    assert len({uid.uid.casefold() for uid in applied.tokens}) == len(applied.tokens)


# --- the same effort for every card ---------------------------------------------------------------------------------------


def effort(bench: Bench, uid: str) -> int:
    """How many calls an answer takes, of functions in Python and in C."""
    counted = 0

    def count(_frame: FrameType, what: str, _about: object) -> None:
        nonlocal counted
        counted += what in {"call", "c_call"}

    event = TokenPresented(bench.call("A"), IdToken(uid))
    sys.setprofile(count)
    try:
        bench.controller.handle(event, bench.now)
    finally:
        sys.setprofile(None)
    return counted


def test_an_answer_takes_the_same_effort_whoever_asks_and_however_long_the_list_is() -> None:
    """Who tries numbers at a reader learns nothing from the time of an answer (on sockets: the benchmark `tokens`)."""
    found: dict[int, list[int]] = {}
    for count in (10, 10_000):
        listed = tuple(Token(IdToken(f"K{n:07}"), (TokenStatus.ACCEPTED, TokenStatus.BLOCKED)[n % 2]) for n in range(count))
        bench = Bench(site_of(OfflinePolicy.KNOWN_TOKENS, *listed))
        bench.boot("A")
        assert [asked(bench, uid).verdict.status.value for uid in ("K0000002", "K0000003", "K-no-one")] == [
            "accepted",
            "blocked",
            "unknown",
        ]
        found[count] = [effort(bench, uid) for uid in ("K0000002", "K0000003", "K-no-one", "K0000002")]
    assert found[10] == found[10_000]
    assert len(set(found[10])) == 1, found
