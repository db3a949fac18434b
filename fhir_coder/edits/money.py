"""The money of a Claim: products, sums, one currency, and no amount finer than its currency.

Takes JSON of any quality: what is no amount is left to the checks of the elements. Numbers are compared exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from fhir_coder.edits.r4_rows import MINOR_UNITS
from fhir_coder.edits.r4_values import is_currency, is_decimal
from fhir_coder.edits.structure_edits import fault
from fhir_coder.model import Finding, Json

_PARTS = {"item": "detail", "detail": "subDetail"}


def net_is_product(claim: Json, path: str = "Claim") -> Iterator[Finding]:
    """net = quantity x unitPrice x factor on every line and detail, to half the currency's smallest unit."""
    for here, line in lines(claim, path):
        net, product = amount(line.get("net")), _product(line)
        if net is not None and product is not None and abs(net - product) > _half_a_unit(line):
            yield fault("net-is-product", f"{here}.net", "net is not quantity x unit price x factor")


def net_is_sum(claim: Json, path: str = "Claim") -> Iterator[Finding]:
    """A line's net is the sum of its details' nets, where every detail has one."""
    for here, line in lines(claim, path):
        net, details = amount(line.get("net")), _details(line)
        nets = [amount(detail.get("net")) for detail in details]
        known = [n for n in nets if n is not None]
        if net is not None and known and len(known) == len(nets) and net != sum(known):
            yield fault("net-is-sum", f"{here}.net", "net is not the sum of the details' net amounts")


def total_is_sum(claim: Json, path: str = "Claim") -> Iterator[Finding]:
    """total = the sum of the lines' nets. A line without net counts with its product, which may be rounded."""
    total, items = amount(claim.get("total")), _objects(claim.get("item"))
    if total is None or not items:
        return
    rounded = sum(_half_a_unit(item) for item in items if amount(item.get("net")) is None)
    if abs(total - sum(_worth(item) for item in items)) > rounded:
        yield fault("total-is-sum", f"{path}.total", "total is not the sum of the lines' net amounts")


def one_currency(claim: Json, path: str = "Claim") -> Iterator[Finding]:
    """Total, prices and nets are in one currency; told where an amount is not in that of most."""
    named = [(here, money["currency"]) for here, money in _monies(claim, path) if is_currency(money.get("currency"))]
    counted = Counter(currency for _, currency in named)
    for most, _ in counted.most_common(1):
        for here, currency in named:
            if currency != most:
                yield fault("one-currency", f"{here}.currency", "the claim's amounts are in more than one currency")


def amounts_are_payable(claim: Json, path: str = "Claim") -> Iterator[Finding]:
    """Nets and total are no finer than the currency's smallest unit; unit prices may be."""
    for here, money in _monies(claim, path):
        value = amount(money)
        if value is not None and not here.endswith(".unitPrice") and value % _unit(money):
            yield fault("amount-too-fine", f"{here}.value", "the amount is finer than the currency's smallest unit")


MONEY_CHECKS = (net_is_product, net_is_sum, total_is_sum, one_currency, amounts_are_payable)
"""Every check of money, in the order shown to the coder."""


def lines(claim: Json, path: str = "Claim") -> Iterator[tuple[str, Json]]:
    """Items, details and subdetails with their paths, each before its own parts."""
    return _parts(claim, "item", path)


def _parts(holder: Json, part: str, path: str) -> Iterator[tuple[str, Json]]:
    entries = holder.get(part)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            here = f"{path}.{part}[{index}]"
            yield here, entry
            if part in _PARTS:
                yield from _parts(entry, _PARTS[part], here)


def amount(money: Any) -> Decimal | None:
    """The value of a Money or Quantity, None where it is none."""
    return number(money.get("value")) if isinstance(money, dict) else None


def number(value: Any) -> Decimal | None:
    """A JSON number, floats by their shortest text; None where it is none."""
    return Decimal(str(value)) if is_decimal(value) else None


def _product(line: Json) -> Decimal | None:
    """quantity x unitPrice x factor, None without a unit price. Quantity and factor are 1 where not said."""
    price = amount(line.get("unitPrice"))
    quantity = amount(line["quantity"]) if "quantity" in line else Decimal(1)
    factor = number(line["factor"]) if "factor" in line else Decimal(1)
    return None if price is None or quantity is None or factor is None else quantity * price * factor


def _worth(line: Json) -> Decimal:
    """What a line adds to the total: its net, else the nets of its details, else its product."""
    net = amount(line.get("net"))
    if net is not None:
        return net
    nets = [n for detail in _details(line) if (n := amount(detail.get("net"))) is not None]
    return sum(nets, Decimal(0)) if nets else _product(line) or Decimal(0)


def _unit(money: Json) -> Decimal:
    """The smallest unit of the amount's currency, a cent where it is not known."""
    return Decimal(1).scaleb(-MINOR_UNITS.get(str(money.get("currency")), 2))


def _half_a_unit(line: Json) -> Decimal:
    price = line.get("unitPrice")
    return _unit(price) / 2 if isinstance(price, dict) else Decimal(0)


def _details(line: Json) -> list[Json]:
    return _objects(line.get("detail")) or _objects(line.get("subDetail"))


def _monies(claim: Json, path: str) -> Iterator[tuple[str, Json]]:
    """The total, then unit price and net of each line and detail."""
    if isinstance(claim.get("total"), dict):
        yield f"{path}.total", claim["total"]
    for here, line in lines(claim, path):
        for name in ("unitPrice", "net"):
            if isinstance(line.get(name), dict):
                yield f"{here}.{name}", line[name]


def _objects(value: Any) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
