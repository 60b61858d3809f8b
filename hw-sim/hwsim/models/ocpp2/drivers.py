"""Who stands at which connector: cards, starts from afar, reservations (blocks C, E, F and H)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwsim.models.evse import Evse
from hwsim.models.ocpp2.transactions import Running, running_at

if TYPE_CHECKING:
    from hwsim.models.ocpp2.station import Station20

CARD = "ISO14443"
ASK_AGAIN_S = 10.0
"""After an Authorize that nobody answered."""


@dataclass(frozen=True)
class Remote:
    """A start from afar."""

    token: str
    token_type: str
    number: int
    """``remoteStartId``."""
    until_s: float
    """By then the cable has to be plugged in."""
    profile: dict[str, Any] | None = None


@dataclass(frozen=True)
class Reservation:
    id: int
    evse: int
    """0 is any."""
    token: str
    until_s: float
    """By the wall clock."""
    group: str | None = None

    def admits(self, token: str, group: str | None = None) -> bool:
        """Whether this card may begin there; ``group`` is what the server says it belongs to."""
        return token == self.token or (self.group is not None and group == self.group)


class Drivers:
    """Lets drivers charge, or not."""

    def __init__(self, station: Station20) -> None:
        self.reservations: dict[int, Reservation] = {}
        self._station = station
        self._waiting: dict[int, float] = {}
        """EVSEs with a driver who has not been let in yet, and when the card is looked at next."""
        self._expected: dict[int, Remote] = {}

    # --- at the connector

    def came(self, evse: Evse, now_s: float) -> None:
        """A car has been plugged in; its driver holds a card to the reader, or somebody else has started it already."""
        station = self._station
        is_early = station.device.text("TxCtrlr.TxStartPoint") == "EVConnected"
        if is_early and station.is_powered and evse.is_operative:
            self._begin(evse, "CablePluggedIn", now_s)
        remote = self._expected.pop(evse.number, None)
        if remote is not None and now_s < remote.until_s and station.is_powered:
            self.start_remotely(evse, remote, now_s)
        else:
            self._waiting[evse.number] = now_s

    def advance(self, now_s: float) -> None:
        for number, at_s in list(self._waiting.items()):
            evse = self._station.evses[number]
            if evse.car is None:
                del self._waiting[number]
            elif now_s >= at_s and not evse.is_authorising and evse.is_operative:
                self._present(evse, evse.car.token, now_s)
        self._expected = {number: remote for number, remote in self._expected.items() if now_s < remote.until_s}
        self._expire(now_s)

    def _present(self, evse: Evse, token: str, now_s: float) -> None:
        station = self._station
        reserved = self.reservation_at(evse.number)
        is_others = reserved is not None and not reserved.admits(token)
        if reserved is not None and is_others and reserved.group is None:
            self._refuse(evse)
        elif station.tokens.needs_no_asking(token) and not is_others:
            self.admit(evse, token, now_s)
        elif station.is_online:
            self._authorise(evse, token, CARD, None, now_s)
        elif is_others:
            self._refuse(evse)
        elif station.tokens.charges_offline(token):
            self.admit(evse, token, now_s)

    def _authorise(self, evse: Evse, token: str, token_type: str, remote: Remote | None, now_s: float) -> None:
        evse.is_authorising = True

        def answered(answer: dict[str, Any] | None, now_s: float) -> None:
            evse.is_authorising = False
            if answer is None:
                if evse.number in self._waiting:
                    self._waiting[evse.number] = now_s + ASK_AGAIN_S
                return
            status = answer["idTokenInfo"]["status"]
            self._station.tokens.note(token, status)
            group = answer["idTokenInfo"].get("groupIdToken", {}).get("idToken")
            reserved = self.reservation_at(evse.number)
            if status == "Accepted" and (reserved is None or reserved.admits(token, group)):
                self.admit(evse, token, now_s, remote)
            else:
                self._refuse(evse)

        self._station.wire.ask("Authorize", {"idToken": {"idToken": token, "type": token_type}}, answered)

    def _refuse(self, evse: Evse) -> None:
        self._waiting.pop(evse.number, None)
        evse.is_refused = True
        self._station.rejected_tokens += 1

    def forget_asking(self) -> None:
        """The link is gone, and with it every question."""
        for evse in self._station.evses.values():
            evse.is_authorising = False

    def restart(self) -> None:
        self.forget_asking()
        self._expected.clear()

    # --- from afar

    def start_remotely(self, evse: Evse, remote: Remote, now_s: float) -> None:
        """Now, when the server is asked first, or when the cable comes."""
        if evse.car is None:
            self._expected[evse.number] = remote
        elif self._station.device.flag("AuthCtrlr.AuthorizeRemoteStart") and self._station.is_online:
            self._waiting.pop(evse.number, None)
            self._authorise(evse, remote.token, remote.token_type, remote, now_s)
        else:
            self.admit(evse, remote.token, now_s, remote)

    def judged(self, transaction_id: str, status: str, now_s: float) -> None:
        """What the server said of the token in a TransactionEvent (C15, E05)."""
        if status == "Accepted":
            return
        for evse in self._station.evses.values():
            running = running_at(evse)
            if running is None or running.id != transaction_id:
                continue
            self._station.rejected_tokens += 1
            if self._station.device.flag("TxCtrlr.StopTxOnInvalidId"):
                self._station.stop(evse, "DeAuthorized", now_s)
                return
            running.is_authorised, running.state = False, "SuspendedEVSE"
            evse.open_contactor(now_s)
            self._station.events.updated(evse, running, "Deauthorized", now_s)

    # --- in

    def admit(self, evse: Evse, token: str, now_s: float, remote: Remote | None = None) -> None:
        """Somebody may charge: the transaction begins, or the one that waits for a driver has one."""
        self._waiting.pop(evse.number, None)
        if evse.car is None or not evse.is_operative:
            return
        trigger = "Authorized" if remote is None else "RemoteStart"
        running = running_at(evse)
        if running is not None and running.token:
            return
        if running is None:
            self._begin(evse, trigger, now_s, token, remote)
        else:
            _own(running, token, remote)
            self._use(evse, running)
            self._station.events.updated(evse, running, trigger, now_s)
        if remote is not None and remote.profile is not None:
            self._station.profiles.take(evse.number, remote.profile, now_s)

    def _begin(self, evse: Evse, trigger: str, now_s: float, token: str = "", remote: Remote | None = None) -> None:
        station = self._station
        running = Running("", now_s, station.wall_s(now_s), int(evse.register_wh), id=station.events.new_id(station.rng))
        if token:
            _own(running, token, remote)
            self._use(evse, running)
        evse.transaction = running
        station.started_transactions += 1
        station.events.started(evse, running, trigger, now_s)
        station.service.begin(evse.number, now_s)

    # --- reservations

    def _use(self, evse: Evse, running: Running) -> None:
        """Its driver is here: the transaction ends the reservation."""
        reserved = self.reservation_at(evse.number)
        if reserved is not None:
            running.reservation = reserved.id
            del self.reservations[reserved.id]

    def reservation_at(self, number: int) -> Reservation | None:
        """What keeps this EVSE for somebody."""
        return next((one for one in self.reservations.values() if one.evse == number), None)

    def reserve(self, payload: dict[str, Any], until_s: float, now_s: float) -> str:
        """The status of ReserveNow. Without an EVSE the first that is free is kept (H01)."""
        station = self._station
        numbers = [payload["evseId"]] if "evseId" in payload else list(station.evses)
        states = {number: station.evses[number].status for number in numbers if number in station.evses}
        known = self.reservations.get(payload["id"])
        free = [number for number, state in states.items() if state == "Available" or (known and known.evse == number)]
        if not states or until_s <= station.wall_s(now_s):
            return "Rejected"
        if not free:
            return "Unavailable" if set(states.values()) == {"Unavailable"} else "Occupied"
        token, group = payload["idToken"]["idToken"], payload.get("groupIdToken", {}).get("idToken")
        self.reservations[payload["id"]] = Reservation(payload["id"], free[0], token, until_s, group)
        station.report_statuses(now_s)
        return "Accepted"

    def cancel(self, reservation_id: int, now_s: float) -> str:
        if self.reservations.pop(reservation_id, None) is None:
            return "Rejected"
        self._station.report_statuses(now_s)
        return "Accepted"

    def _expire(self, now_s: float) -> None:
        wall_s = self._station.wall_s(now_s)
        for one in [one for one in self.reservations.values() if one.until_s <= wall_s]:
            del self.reservations[one.id]
            self._station.wire.ask("ReservationStatusUpdate", {"reservationId": one.id, "reservationUpdateStatus": "Expired"})
            self._station.report_statuses(now_s)


def _own(running: Running, token: str, remote: Remote | None) -> None:
    running.token, running.is_authorised = token, True
    running.token_type = CARD if remote is None else remote.token_type
    running.remote_start = None if remote is None else remote.number
