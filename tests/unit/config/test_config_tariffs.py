"""``tariffs.yaml``: every mistake has its line, and what is named is there."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from edgectl.config import ConfigError, check, describe_changes, load_tariffs
from edgectl.domain.tariff import Plan, PlanKind

SITE = """\
site: {id: n, timezone: Europe/Berlin}
circuits: {grid: {limit: 250 A}}
chargers: {CP-1: {circuit: grid}}
ocpp: {listeners: [{address: "0.0.0.0:8887", security_profile: 1}]}
authorization: {tokens: tokens.yaml}
tariffs: {file: tariffs.yaml, default: day, parking_grace: 15 min, operator: DE*ABC}
"""
TOKENS = "A1: {account: fleet}\nB2: {tariff: night}\n"
TARIFFS = """\
tariffs:
  - id: day
    currency: EUR
    elements:
      - price_components:
          - {type: ENERGY, price: 0.3900, vat: 19, step_size: 1}
        restrictions: {start_time: 06:00, end_time: "22:00"}
  - {id: night, currency: EUR, elements: [{price_components: [{type: FLAT, price: 1}]}]}
plans:
  fleet: {kind: subscription, tariff: night, included: 120 kWh, discount: 12.5 %, monthly_fee: 29.90, fee_tax: 19 %}
  works: {kind: internal, cost_centre: K-4711}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("site.yaml", SITE), ("tokens.yaml", TOKENS), ("tariffs.yaml", TARIFFS)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def edit(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")


def test_prices_are_read_digit_for_digit(folder: Path) -> None:
    settings, problems = check(folder / "site.yaml", environ={})
    assert settings is not None, [str(problem) for problem in problems]
    pricing = settings.site.pricing
    assert [tariff.id for tariff in pricing.tariffs] == ["day", "night"]
    component = pricing.tariffs[0].elements[0].components[0]
    assert (str(component.price), component.tax_percent) == ("0.3900", Decimal(19))
    assert pricing.plan("fleet") == Plan(
        "fleet", PlanKind.SUBSCRIPTION, "night", 120_000, Decimal("12.5"), Decimal("29.90"), Decimal(19)
    )
    assert (pricing.default, pricing.grace_ms, pricing.is_authority, pricing.sells_as) == ("day", 900_000, False, ("DE", "ABC"))
    assert [token.tariff for token in settings.site.tokens] == [None, "night"]


@pytest.mark.parametrize(
    ("name", "old", "new", "where", "words"),
    [
        ("tariffs.yaml", "price: 0.3900", "price: 0,39", "6:37: tariffs[1]", "not a known key"),
        ("tariffs.yaml", "price: 0.3900", 'price: "0,39"', "price_components[1].price", "no possible number"),
        ("tariffs.yaml", "type: ENERGY", "type: POWER", "6:20", "ENERGY, TIME, PARKING_TIME, FLAT"),
        ("tariffs.yaml", "06:00", "6 am", "7:36: tariffs[1].elements[1].restrictions.start_time", "local time"),
        ("tariffs.yaml", "start_time", "begin_time", "tariffs[1].elements[1].restrictions.begin_time", "not a known key"),
        ("tariffs.yaml", "id: night", "id: day", "8:5: tariffs[2]", "id of another tariff"),
        ("tariffs.yaml", "tariff: night", "tariff: nigth", "6:17: tariffs.file", "did you mean night?"),
        ("tariffs.yaml", "currency: EUR, elements", "currency: SEK, elements", "6:17: tariffs.file", "another currency"),
        ("tariffs.yaml", "12.5 %", "12.5", "plans.fleet.discount", "10 %"),
        ("tariffs.yaml", "120 kWh", "120", "plans.fleet.included", "the unit is missing"),
        ("tariffs.yaml", "K-4711}", "K-4711, fee_tax: 19 %}", "plans.works.fee_tax", "pays no tax"),
        ("tariffs.yaml", "    currency: EUR\n", "    currency: EUR\n    currency: EUR\n", "4:5: tariffs[1].currency", "twice"),
        ("tariffs.yaml", "vat: 19", "vat: 190", "price_components[1].vat", "more than the whole price"),
        ("site.yaml", "default: day", "default: dya", "6:40: tariffs.default", "did you mean day?"),
        ("tokens.yaml", "tariff: night", "tariff: none", "authorization.tokens", "a token names a tariff"),
        ("site.yaml", "file: tariffs.yaml", "file: prices.yaml", "6:17: tariffs.file", "cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(folder: Path, name: str, old: str, new: str, where: str, words: str) -> None:
    edit(folder, name, old, new)
    _, problems = check(folder / "site.yaml", environ={})
    told = [str(problem) for problem in problems]
    assert any(where in one and words in one for one in told), told


def test_changes_are_told_in_words(folder: Path) -> None:
    before, _ = check(folder / "site.yaml", environ={})
    edit(folder, "site.yaml", "default: day, parking_grace: 15 min", "default: night, price: binding")
    edit(folder, "tariffs.yaml", "discount: 12.5 %", "discount: 20 %")
    edit(folder, "tariffs.yaml", "price: 1}", "price: 2}")
    after, _ = check(folder / "site.yaml", environ={})
    assert before is not None
    assert after is not None
    assert [change.split(" object")[0] for change in describe_changes(before, after)] == [
        "tariffs: default day -> night",
        "tariffs: parking_grace 15 min -> 0 s",
        "tariffs: price indicative -> binding",
        "tariff night:",
        "plan of fleet: discount 12.5 % -> 20 %",
    ]


def test_a_file_may_be_one_object_in_json(tmp_path: Path) -> None:
    path = tmp_path / "tariff.json"
    element = {"price_components": [{"type": "TIME", "price": 1.5, "vat": 5.2, "step_size": 60}]}
    path.write_text(json.dumps({"id": "1", "currency": "CAD", "tax_included": "N/A", "elements": [element]}), encoding="utf-8")
    (tariff,) = load_tariffs(path).tariffs
    assert (tariff.shape.value, tariff.elements[0].components[0].price) == ("2.3.0", Decimal("1.5"))
    path.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(ConfigError, match="one OCPI tariff object"):
        load_tariffs(path)
