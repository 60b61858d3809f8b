"""One MeterValues message with 12 samples, from text to event to answer, beside the plain ``ocpp`` package's own steps.

Sockets and handlers are left out on both sides: this is the cost of reading, checking and answering.
"""

from __future__ import annotations

import json
from collections import Counter

from ocpp.charge_point import camel_to_snake_case, remove_nones, snake_to_camel_case
from ocpp.messages import CallResult, _validate_payload, unpack

from benchmarks.report import Results
from benchmarks.timing import cpu_us
from edgectl.domain.decisions import Acknowledge
from edgectl.domain.events import Call
from edgectl.domain.ids import ChargerId
from edgectl.domain.time import Instant
from edgectl.ocpp.rpc import CallReceived, Rpc
from edgectl.ocpp.v16 import V16

NOW = Instant(1_000, 1_800_000_000_000)


def message() -> str:
    samples = [
        {"value": f"{230.1 + number}", "measurand": measurand, "phase": phase, "unit": unit, "context": "Sample.Periodic"}
        for number, (measurand, phase, unit) in enumerate(
            [
                (m, p, u)
                for m, u in (("Voltage", "V"), ("Current.Import", "A"), ("Power.Active.Import", "W"))
                for p in ("L1", "L2", "L3")
            ]
        )
    ]
    samples += [
        {"value": "123456", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": "16.0", "measurand": "Current.Offered", "unit": "A"},
        {"value": "55", "measurand": "SoC", "unit": "Percent"},
    ]
    body = {"connectorId": 1, "transactionId": 7, "meterValue": [{"timestamp": "2027-01-15T08:00:00Z", "sampledValue": samples}]}
    return json.dumps([2, "42", "MeterValues", body])


def plain(text: str) -> str:
    """What the package does between the socket and the handler, and back (synchronous validation)."""
    call = unpack(text)
    _validate_payload(call, "1.6")
    camel_to_snake_case(call.payload)
    answer = CallResult(call.unique_id, remove_nones(snake_to_camel_case({})), action=call.action)
    _validate_payload(answer, "1.6")
    return str(answer.to_json())


class Ours:
    """The same through edgectl's engine and codec."""

    def __init__(self) -> None:
        self.codec = V16()
        self.codec.warm()
        self.number = 0
        self.renew()

    def renew(self) -> None:
        self.rpc = Rpc(self.codec.dialect, self.codec.never_refused, "b", 15_000, 0, Counter())

    def __call__(self, text: str) -> str:
        self.number += 1
        unique = text.replace('"42"', f'"{self.number}"', 1)  # a repeated id would be answered from memory
        for happening in self.rpc.receive(unique, self.number * 100):
            if isinstance(happening, CallReceived) and happening.number is not None:
                call = Call(ChargerId("CP-1"), 1, happening.message_id, happening.action, happening.text)
                self.codec.decode(call, happening.payload)
                self.rpc.answer(happening.number, self.codec.encode_answer(Acknowledge(), call, NOW))
        (frame,) = self.rpc.take_frames()
        return frame.text


def run() -> Results:
    text = message()
    ours = Ours()
    assert json.loads(ours(text))[0] == json.loads(plain(text))[0] == 3
    ours_us, plain_us = cpu_us(lambda: ours(text)), cpu_us(lambda: plain(text))
    print("ocpp: CPU per 12-sample MeterValues, read, checked and answered (no socket, no disk)")
    print(f"  ocpp package {plain_us:8.0f} us\n  edgectl      {ours_us:8.0f} us   {plain_us / ours_us:.1f} times less")
    return {"ocpp_us": plain_us, "edgectl_us": ours_us}
