"""``tariffs.yaml``: OCPI tariff objects under ``tariffs:``, the agreements of accounts under ``plans:``; or one object alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from edgectl.config.problems import ConfigError, Mark, Place, Report, excerpt, one_of
from edgectl.config.tariff_keys import PLANS, PlanKeys, TariffsKeys
from edgectl.config.tree import Mapping, Node, Scalar, Sequence, parse, unique_entries
from edgectl.domain.site import Token
from edgectl.domain.tariff import Plan, PlanKind, PriceStanding, Pricing, Tariff
from edgectl.domain.tariff_objects import TariffError, tariff_of


@dataclass(frozen=True, slots=True)
class TariffsFile:
    tariffs: tuple[Tariff, ...]
    plans: tuple[Plan, ...]
    is_whole: bool = True
    """False when some of it could not be read: what is not there may be what was refused."""


def load_tariffs(path: Path) -> TariffsFile:
    """A file on its own, for ``edgectl price``.

    Raises:
        ConfigError: with every mistake.
        OSError: it cannot be read.
    """
    report = Report()
    found = read_tariffs(path.read_bytes(), report.place(str(path)))
    if report.has_errors:
        raise ConfigError(report.sorted())
    return found


def read_tariffs(data: bytes, place: Place) -> TariffsFile:
    """Reports all that is wrong at ``place``."""
    root = parse(data, place)
    if root is None or (isinstance(root, Scalar) and root.is_null):
        return TariffsFile((), ())
    if not isinstance(root, Mapping):
        place.wrong("is no tariff", "one OCPI tariff object, or `tariffs:` with a list of them and `plans:`")
        return TariffsFile((), ())
    parts = {name: (key.mark, value) for name, key, value in unique_entries(root, place)}
    if "elements" in parts or not parts.keys() & {"tariffs", "plans"}:
        tariff = _tariff(root, place)
        return TariffsFile((tariff,) if tariff else (), (), is_whole=tariff is not None)
    tariffs: list[Tariff] = []
    is_whole = True
    plans: tuple[Plan, ...] = ()
    for name, (mark, value) in parts.items():
        here = place.inside(excerpt(name), mark)
        if name == "tariffs":
            tariffs = _tariffs(value, here)
            is_whole = isinstance(value, Sequence) and len(tariffs) == len(value.items)
        elif name == "plans":
            plans = tuple(_plan(account, keys) for account, keys in PLANS.read(value, here))
        else:
            here.wrong("is not a known key here", one_of(name, ["tariffs", "plans"], "keys"))
    return TariffsFile(tuple(tariffs), plans, is_whole)


def _tariffs(node: Node, place: Place) -> list[Tariff]:
    if not isinstance(node, Sequence):
        place.wrong("a list is needed", "OCPI tariff objects, each after `- `")
        return []
    found: dict[str, Tariff] = {}
    for number, item in enumerate(node.items, start=1):
        here = place.item(number, item.mark)
        tariff = _tariff(item, here)
        if tariff is None:
            continue
        if tariff.id in found:
            here.wrong("has the id of another tariff", "each id once", found=excerpt(tariff.id))
        found[tariff.id] = tariff
    return list(found.values())


def _tariff(node: Node, place: Place) -> Tariff | None:
    try:
        return tariff_of(_plain(node, place))
    except TariffError as error:
        for problem in error.problems:
            here = place
            reached: Node | None = node
            for step in problem.path:
                mark, reached = _step(reached, step)
                here = here.item(step + 1, mark or here.mark) if isinstance(step, int) else here.inside(excerpt(step), mark)
            found = excerpt(reached.text) if isinstance(reached, Scalar) and problem.path else ""
            here.wrong(problem.message, problem.allowed, found=found)
        return None


def _step(node: Node | None, step: str | int) -> tuple[Mark | None, Node | None]:
    if isinstance(node, Sequence) and isinstance(step, int):
        return node.items[step].mark, node.items[step]
    if isinstance(node, Mapping):
        for key, value in node.entries:
            if key.text == step:
                return (value.mark if isinstance(value, Scalar) and not value.is_null else key.mark), value
    return None, None


def _plain(node: Node, place: Place) -> Any:
    """As JSON would be decoded, but every number is its text: nothing is lost to a float."""
    if isinstance(node, Mapping):
        return {name: _plain(value, place.inside(excerpt(name), key.mark)) for name, key, value in unique_entries(node, place)}
    if isinstance(node, Sequence):
        return [_plain(item, place.item(number, item.mark)) for number, item in enumerate(node.items, start=1)]
    if isinstance(node, Scalar):
        return None if node.is_null else node.text
    return None


def _plan(account: str, keys: PlanKeys) -> Plan:
    kind = keys.kind or PlanKind.SUBSCRIPTION
    if kind is PlanKind.INTERNAL and keys.fee_tax:
        keys.at("fee_tax").wrong("an internal account pays no tax", "remove it, or `kind: subscription`")
    return Plan(
        account=account,
        kind=kind,
        tariff=keys.tariff,
        included_wh=keys.included or 0,
        discount_percent=keys.discount or Decimal(0),
        monthly_fee=keys.monthly_fee or Decimal(0),
        fee_tax_percent=keys.fee_tax,
        cost_centre=keys.cost_centre,
    )


def compose_pricing(keys: TariffsKeys, file: TariffsFile, currency: str) -> Pricing:
    """Checks across keys: that what is named is there, and that there is one currency."""
    known = {tariff.id: tariff for tariff in file.tariffs}
    if keys.default is not None and file.is_whole and keys.default not in known:
        keys.at("default").wrong("is no tariff of the file", one_of(keys.default, sorted(known), "tariffs"))
    for plan in file.plans:
        if plan.tariff is not None and file.is_whole and plan.tariff not in known:
            keys.at("file").wrong(
                f"the plan of {excerpt(plan.account)} names a tariff that is not there",
                one_of(plan.tariff, sorted(known), "tariffs"),
                found=excerpt(plan.tariff),
            )
    for tariff in file.tariffs:
        if tariff.currency != currency:
            keys.at("file").wrong(
                f"tariff {tariff.id} is in another currency than the site",
                f"{currency}, or change site.currency",
                tariff.currency,
            )
    country, _, party = (keys.operator or "").partition("*")
    return Pricing(
        tariffs=file.tariffs,
        plans=file.plans,
        default=keys.default,
        grace_ms=keys.parking_grace,
        is_authority=keys.price is PriceStanding.BINDING,
        sells_as=(country, party) if keys.operator else None,
    )


def check_token_tariffs(tokens: Iterable[Token], pricing: Pricing, place: Place) -> None:
    """Tokens name tariffs that are there. ``place`` is where the file of tokens is named; a uid is not shown."""
    known = sorted(tariff.id for tariff in pricing.tariffs)
    for name in sorted({token.tariff for token in tokens if token.tariff is not None} - set(known)):
        place.wrong("a token names a tariff that is not there", one_of(name, known, "tariffs"), found=excerpt(name))
