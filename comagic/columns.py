"""dlt's column hints of declared fields."""

from typing import Dict, Iterable

from dlt.common.schema.typing import TColumnSchema

from comagic.catalog import LIST, Field


def columns(fields: Iterable[Field], primary_key: str = "") -> Dict[str, TColumnSchema]:
    """Column hints of scalar fields: with a type and a description for each, an all-null column exists too."""
    return {
        of.name: {
            "name": of.name,
            "data_type": of.type,  # type: ignore[typeddict-item]
            "description": of.description,
            "nullable": of.name != primary_key,
        }
        for of in fields
        if of.type != LIST
    }
