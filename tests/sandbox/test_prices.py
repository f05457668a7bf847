"""Products and their prices: what plans of a month are sold by."""

from typing import Any

import pytest
import stripe

from tests.sandbox.running import Sandbox
from tests.sandbox.test_contract import assert_fits


def new_price(sandbox: Sandbox, **params: Any) -> stripe.Price:
    order: Any = {"currency": "eur", "unit_amount": 9900, "recurring": {"interval": "month"}, **params}
    if "product" not in order:
        order["product"] = sandbox.v1.products.create({"name": "Ten hours a month"}).id
    return sandbox.v1.prices.create(order)


def test_a_product_has_prices(sandbox: Sandbox) -> None:
    product = sandbox.v1.products.create(
        {"name": "Ten hours", "default_price_data": {"currency": "eur", "unit_amount": 9900}, "metadata": {"a": "b"}}
    )
    other = new_price(sandbox, product=product.id)
    assert other.recurring is not None
    assert (other.recurring.interval, other.recurring.interval_count, other.unit_amount) == ("month", 1, 9900)
    shown = sandbox.v1.products.retrieve(product.id, {"expand": ["default_price"]})
    assert isinstance(shown.default_price, stripe.Price)
    assert shown.default_price.type == "one_time"
    assert_fits(product.to_dict())
    assert_fits(other.to_dict())
    assert_fits(sandbox.v1.prices.retrieve(other.id, {"expand": ["product"]}).to_dict())
    assert sandbox.event_types(product.id) == ["product.created"]
    assert sandbox.event_types(other.id) == ["price.created"]


def test_a_product_changes_and_says_what(sandbox: Sandbox) -> None:
    product = sandbox.v1.products.create({"name": "Ten hours", "id": "prod_ten"})
    price = new_price(sandbox, product=product.id)
    changed = sandbox.v1.products.update("prod_ten", {"name": "Ten", "default_price": price.id, "active": False})
    assert (changed.name, changed.default_price, changed.active) == ("Ten", price.id, False)
    assert sandbox.event_types("prod_ten") == ["product.created", "product.updated"]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.products.create({"name": "Again", "id": "prod_ten"})
    assert caught.value.code == "resource_already_exists"
    sandbox.v1.products.create({"name": "Other"})
    assert [one.name for one in sandbox.v1.products.list({"active": True}).data] == ["Other"]
    assert [one.name for one in sandbox.v1.products.list({"ids": ["prod_ten"]}).data] == ["Ten"]


def test_a_price_is_found_by_its_key_and_a_key_leads_to_one_price(sandbox: Sandbox) -> None:
    """Code knows the key; which price is behind it, the dashboard may change."""
    old = new_price(sandbox, lookup_key="monthly_10")
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        new_price(sandbox, lookup_key="monthly_10")
    new = new_price(sandbox, lookup_key="monthly_10", transfer_lookup_key=True, unit_amount=10900)
    assert [one.id for one in sandbox.v1.prices.list({"lookup_keys": ["monthly_10", "x"]}).data] == [new.id]
    assert sandbox.v1.prices.retrieve(old.id).lookup_key is None
    assert sandbox.v1.prices.update(new.id, {"lookup_key": "monthly_10", "nickname": "Ten"}).nickname == "Ten"


def test_prices_are_listed_by_what_they_are(sandbox: Sandbox) -> None:
    monthly = new_price(sandbox)
    yearly = new_price(sandbox, recurring={"interval": "year"}, product=str(monthly.product))
    sandbox.v1.prices.update(yearly.id, {"active": False})
    prices = sandbox.v1.prices
    assert [one.id for one in prices.list({"active": True}).data] == [monthly.id]
    assert [one.id for one in prices.list({"recurring": {"interval": "year"}}).data] == [yearly.id]
    assert [one.id for one in prices.list({"product": str(monthly.product)}).data] == [yearly.id, monthly.id]
    assert prices.list({"type": "one_time"}).data == []


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"currency": "xxx"}, "currency"),
        ({"unit_amount": -1}, "unit_amount"),
        ({"product": "prod_unknown"}, "product"),
        ({"recurring": {"interval": "month", "interval_count": 37}}, "recurring[interval_count]"),
        ({"recurring": {"interval": "month", "usage_type": "metered"}}, "recurring[usage_type]"),
        ({"tiers_mode": "volume"}, "tiers_mode"),
    ],
)
def test_a_wrong_price_is_refused(sandbox: Sandbox, params: dict[str, Any], param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        new_price(sandbox, **params)
    assert caught.value.param == param
    assert sandbox.v1.prices.list().data == []
