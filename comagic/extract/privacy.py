"""Personal data kept out of the destination: fields that are not loaded, and fields replaced by pseudonyms.

A pseudonym is HMAC-SHA256 of the value under a secret key, its first 128 bits in hexadecimal. The same value gets the
same pseudonym in every field, table and run, so joins and counts of callers still work; without the key nobody gets
from a pseudonym to the value, or can try all phone numbers.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..catalog import LIST, OBJECT, Field, Resource, resources
from ..exceptions import ConfigurationError
from ..settings import SOURCE_SECTION, Settings

PSEUDONYM_DIGITS = 32
EXCLUDE, PSEUDONYMIZE = "exclude_fields", "pseudonymize_fields"


@dataclass(frozen=True)
class Privacy:
    """Which personal data is not loaded or is replaced.

    Attributes:
        excluded: names of fields that are not loaded; `list.field` for a field of a list's objects, `resource/field`
            for one resource alone.
        pseudonymized: names of text fields whose values are replaced, in the same way.
        key: the secret key of the pseudonyms.
    """

    excluded: frozenset[str] = frozenset()
    pseudonymized: frozenset[str] = frozenset()
    key: str | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Privacy":
        """Reads and checks the settings.

        Raises:
            ConfigurationError: a name is unknown, or there are pseudonyms without a sufficient key.
        """
        privacy = cls(
            frozenset(settings.exclude_fields), frozenset(settings.pseudonymize_fields), settings.pseudonym_key
        )
        for setting, names in privacy._by_setting():
            for name in names:
                resource, slash, _ = name.rpartition("/")
                if slash and resource not in resources():
                    raise ConfigurationError(f"{SOURCE_SECTION}.{setting}: {name}: there is no resource {resource!r}.")
                if not slash and _find_field(resources()["calls"], name) is None:
                    raise _no_such_field(setting, resources()["calls"], name)
        if privacy.pseudonymized and not privacy.key:
            raise ConfigurationError(
                f"{SOURCE_SECTION}.pseudonym_key: pseudonymize_fields needs a secret key, always the same one. "
                "Make one with: comagic_pipeline.py make-key"
            )
        return privacy

    def for_resource(self, resource: Resource) -> "Privacy":
        """Returns what concerns one resource, its fields named without the resource.

        `resource/field` concerns that resource; a name alone concerns calls, and every other resource with that field.

        Raises:
            ConfigurationError: a name is not a field of the resource, is its key, or is not text and to be replaced.
        """
        own = Privacy(_own_names(resource, self.excluded), _own_names(resource, self.pseudonymized), self.key)
        for setting, names in own._by_setting():
            for name in names:
                _check_name(resource, setting, name)
        return own

    def excludes(self, name: str) -> bool:
        """True if the field is not loaded."""
        return name in self.excluded

    def pseudonym(self, value: Any) -> str:
        """The pseudonym of a value; a number is treated as its digits."""
        return hmac.digest((self.key or "").encode(), str(value).encode(), "sha256").hex()[:PSEUDONYM_DIGITS]

    def _by_setting(self) -> list[tuple[str, list[str]]]:
        return [(EXCLUDE, sorted(self.excluded)), (PSEUDONYMIZE, sorted(self.pseudonymized))]


def _check_name(resource: Resource, setting: str, name: str) -> None:
    field = _find_field(resource, name)
    if field is None:
        raise _no_such_field(setting, resource, name)
    if name in resource.needed:
        raise ConfigurationError(f"{SOURCE_SECTION}.{setting}: {name} is needed to identify rows.")
    if setting == PSEUDONYMIZE and (field.items or field).type != "text":
        raise ConfigurationError(
            f"{SOURCE_SECTION}.{setting}: {name} has the type {field.type}, and only text can be pseudonymized; "
            f"exclude it with {SOURCE_SECTION}.{EXCLUDE}."
        )


def _no_such_field(setting: str, resource: Resource, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{SOURCE_SECTION}.{setting}: {resource.name} has no field {name!r}; the fields are listed in docs/tables.md "
        f"({resource.name}), those of a list's objects are written list.field."
    )


def _own_names(resource: Resource, names: Iterable[str]) -> frozenset[str]:
    parts = [name.rpartition("/") for name in names]
    shared = {field for owner, _, field in parts if not owner and _find_field(resource, field)}
    return frozenset(shared | {field for owner, _, field in parts if owner == resource.name})


def _find_field(resource: Resource, name: str) -> Field | None:
    parent, dot, child = name.partition(".")
    field = resource.fields.get(parent)
    if not dot or field is None:
        return field
    return field.children.get(child) if field.type in (LIST, OBJECT) else None
