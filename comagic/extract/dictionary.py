"""A dictionary that was read whole: what dlt gets of it, and whether it has changed since the last load."""

from collections.abc import Iterator
from dataclasses import dataclass

import dlt
from dlt import Schema
from dlt.common.typing import TDataItems
from dlt.extract.items import DataItemWithMeta

from ..catalog import Dictionary
from .context import Context
from .load_windows import load_dictionary
from .reader import DictionaryResult, read_dictionary
from .rejected_rows import rejected_rows
from .schema import table_columns
from .transform import Misfits, Row, content_hash

CONTENT_KEY = "content"
"""Key in a dictionary's state: a hash of what was loaded last."""
READ_AT_KEY = "read_at"
"""Key in a resource's state: when it was read last."""


@dataclass(frozen=True)
class ReadDictionary:
    """A dictionary that was read whole, its entries transformed.

    Attributes:
        dictionary: the dictionary.
        context: what it was read with.
        result: what the API sent.
        rows: its entries, for dlt.
        misfits: values that do not fit their column.
        rejected: the row for `rejected_rows`, if an entry has no key.
        content: hash of the entries.
        has_changed: whether they differ from what was loaded last.
    """

    dictionary: Dictionary
    context: Context
    result: DictionaryResult
    rows: list[Row]
    misfits: Misfits
    rejected: DataItemWithMeta | None
    content: int
    has_changed: bool = True

    @property
    def name(self) -> str:
        """Name of the dlt resource."""
        return self.context.name(self.dictionary)

    def finish(self) -> Iterator[TDataItems]:
        """Yields what is noted of it, and counts it as read."""
        state = dlt.current.resource_state(self.name)
        state[CONTENT_KEY], state[READ_AT_KEY] = self.content, self.result.read_at
        yield load_dictionary(self.dictionary.name, self.result, self.misfits, self.context.present)
        if self.rejected:
            yield self.rejected
        if self.context.progress:
            self.context.progress.finish_dictionary(self.name, self.result, self.misfits)


def read_whole(dictionary: Dictionary, context: Context, schema: Schema | None) -> ReadDictionary:
    """Reads a whole dictionary.

    Args:
        dictionary: the dictionary.
        context: what it is read with.
        schema: dlt's schema of what is in the destination; None if nothing is.

    Raises:
        ComagicError: it could not be read whole.
    """
    context.check_brand(dictionary)
    fields, parameters, zone = context.selected_fields(dictionary), context.parameters(dictionary), context.zone()
    transformer = context.transformer(dictionary, zone, parameters, table_columns(schema, dictionary))
    result = read_dictionary(context.client, dictionary, fields, transformer.redact_to_json, **parameters)
    rows = transformer.transform(result.rows)
    rejected = rejected_rows(result.rejected, dictionary.name, None, zone) if result.rejected else None
    context.warn_of_left_out(dictionary)
    if context.progress:
        context.progress.warn(transformer.unknown.warnings())
        if result.is_uncounted:
            uncounted = "the API sent no entries, and did not say that there are none: its table is empty now."
            context.progress.warn([f"{context.name(dictionary)}: {uncounted}"])
        if result.announced not in (None, result.received):
            counts = f"{result.announced:,} entries and sent {result.received:,}"
            context.progress.warn([f"{context.name(dictionary)}: the API announced {counts}."])
    return ReadDictionary(
        dictionary,
        context,
        result,
        rows,
        transformer.take_misfits(),
        rejected,
        content_hash([context.selected_fields(dictionary), rows]),
    )
