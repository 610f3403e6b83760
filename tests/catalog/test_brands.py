"""Of each brand, only fields and methods are requested that its manual has."""

import json
from pathlib import Path

import pytest

from comagic.api.brands import BRANDS, MANUALS, manual_of
from comagic.catalog import resources

LISTED: dict[str, dict[str, list[str]]] = json.loads(
    (Path(__file__).parent.parent / "data" / "brand_fields.json").read_text("utf-8")
)
"""Fields by method and manual, nested ones too, as the manuals' pages list them."""


@pytest.mark.parametrize("manual", LISTED)
def test_every_requested_field_is_on_a_page_of_the_brands_manual(manual: str) -> None:
    for name, resource in resources().items():
        listed = LISTED[manual].get(resource.method)
        if listed is None or manual in resource.not_in:
            # only the methods that are documented from the beginning were compared
            assert manual in resource.not_in or not any(resource.method in methods for methods in LISTED.values()), name
            continue
        requested = {name for name, field in resource.fields.items() if manual not in field.not_in}
        # a manual of another brand may list what is announced for removal
        assert requested - set(listed) <= {name for name, field in resource.fields.items() if field.retired}, name


@pytest.mark.parametrize("manual", LISTED)
def test_no_field_is_left_out_that_the_brands_manual_has(manual: str) -> None:
    for name, resource in resources().items():
        left_out = {field for field, declared in resource.fields.items() if manual in declared.not_in}
        assert not left_out & set(LISTED[manual].get(resource.method, ())), name
        # Novofon's chat messages have no id, and are requested by chat instead of by time
        has_method = resource.method in LISTED[manual] and (manual, name) != ("novofon", "chat_messages")
        assert manual not in resource.not_in or not has_method, name


def test_every_brand_has_a_manual_and_an_unknown_host_has_none() -> None:
    assert {manual_of(url) for url in BRANDS.values()} == set(MANUALS.values()) == set(LISTED)
    assert manual_of("http://127.0.0.1:8080/v2.0") == ""
