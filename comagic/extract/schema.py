"""dlt's column hints: of declared fields, and of the columns that dlt itself adds."""

from dataclasses import replace
from typing import Collection, Dict, Iterable, Iterator, Mapping

from dlt.common.schema.typing import TColumnSchema

from ..catalog import LIST, OBJECT, Field

ROOT_COLUMNS = {
    "_dlt_id": "Key of the row for its child tables, where it is their _dlt_root_id.",
    "_dlt_load_id": "Load package that last changed the row; its time and status are in _dlt_loads.",
}
"""What dlt's own columns of a table mean."""

CHILD_COLUMNS = {
    "_dlt_id": "Key of the row.",
    "_dlt_root_id": "_dlt_id of the row that the list belongs to.",
    "_dlt_parent_id": "_dlt_id of the row that the list belongs to.",
    "_dlt_list_idx": "Place in the list, from 0.",
}
"""What dlt's own columns of a child table mean."""


USER_ID = Field("user_id", "bigint", "Client of the agency; customer_users.id.")
"""The column that tables have besides, where several clients of an agency are loaded into them."""


def described(meanings: Mapping[str, str]) -> Dict[str, TColumnSchema]:
    """Descriptions of columns that dlt adds and types itself."""
    return {name: {"name": name, "description": meaning} for name, meaning in meanings.items()}


def columns(fields: Iterable[Field], key: Collection[str] = ()) -> Dict[str, TColumnSchema]:
    """Column hints of fields that are no lists: with a type and a description each, an all-null column exists too."""
    return {
        of.name: {
            "name": of.name,
            "data_type": of.type,  # type: ignore[typeddict-item]
            "description": of.description,
            "nullable": of.name not in key,
        }
        for of in flattened(fields)
        if of.type != LIST
    }


def flattened(fields: Iterable[Field]) -> Iterator[Field]:
    """Fields as columns: those of an object come one by one, named `object__field` as dlt names them."""
    for of in fields:
        if of.type == OBJECT:
            yield from (replace(child, name=f"{of.name}__{child.name}") for child in of.children.values())
        else:
            yield of
