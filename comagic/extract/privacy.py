"""Personal data kept out of the warehouse: fields that are left out, and fields that are replaced by pseudonyms.

A pseudonym is HMAC-SHA256 of the value under a secret key, its first 128 bits in hexadecimal. The same value gives the
same pseudonym in every field, table and run, so joins and counts of callers go on working; without the key nobody gets
from a pseudonym to the value, nor tries all telephone numbers.
"""

import hmac
from dataclasses import dataclass
from typing import Any, FrozenSet, Iterable, Optional

from ..catalog import LIST, OBJECT, Field, Resource, resources
from ..exceptions import ConfigurationError

PSEUDONYM_DIGITS = 32
SHORTEST_KEY = 16


@dataclass(frozen=True)
class Privacy:
    """What of the personal data is left out or replaced.

    Attributes:
        excluded: names of fields that do not come; `list.field` for one of a list's objects, `resource/field` for one
            resource alone.
        pseudonymized: names of text fields whose values are replaced, in the same way.
        key: the secret key of the pseudonyms.
    """

    excluded: FrozenSet[str] = frozenset()
    pseudonymized: FrozenSet[str] = frozenset()
    key: Optional[str] = None

    @classmethod
    def checked(cls, excluded: Iterable[str], pseudonymized: Iterable[str], key: Optional[str]) -> "Privacy":
        """Checks what can be checked without a report.

        Raises:
            ConfigurationError: pseudonyms are wanted without a key that deserves the name.
        """
        of = cls(frozenset(excluded), frozenset(pseudonymized), key)
        for setting, names in (("exclude_fields", of.excluded), ("pseudonymize_fields", of.pseudonymized)):
            for name in sorted(names):
                resource, slash, _ = name.rpartition("/")
                if slash and resource not in resources():
                    raise ConfigurationError(f"sources.comagic.{setting}: {name}: there is no resource {resource!r}.")
        if of.pseudonymized and len(key or "") < SHORTEST_KEY:
            raise ConfigurationError(
                f"sources.comagic.pseudonym_key: pseudonymize_fields needs a secret key of at least {SHORTEST_KEY} "
                "characters, and the same one always; make one with: "
                "python -c 'import secrets; print(secrets.token_hex(32))'"
            )
        return of

    def check(self, report: Resource) -> None:
        """Holds the names against a report's fields.

        Raises:
            ConfigurationError: a name is no field of the report, or one that cannot be left out or replaced.
        """
        for setting, names in (("exclude_fields", self.excluded), ("pseudonymize_fields", self.pseudonymized)):
            for name in sorted(names):
                of = _field(report, name)
                if of is None:
                    raise ConfigurationError(
                        f"sources.comagic.{setting}: {report.name} has no field {name!r}; the fields are listed in "
                        f"comagic/catalog ({report.name}.yaml), those of a list's objects are written list.field."
                    )
                if name in report.needed:
                    raise ConfigurationError(f"sources.comagic.{setting}: {name} is needed, rows are told by it.")
                if setting == "pseudonymize_fields" and (of.items or of).type != "text":
                    raise ConfigurationError(
                        f"sources.comagic.{setting}: {name} is a {of.type}, and only text becomes a pseudonym; "
                        f"leave it out with sources.comagic.exclude_fields."
                    )

    def of(self, resource: Resource) -> "Privacy":
        """What concerns one resource: `resource/field` is its own, a name alone of every resource that has the field.

        A name alone has to be a field of calls, so that a slip of the pen is told.

        Raises:
            ConfigurationError: a name is no field of the resource, its key, or not text and to be replaced.
        """
        own = Privacy(_concerning(resource, self.excluded), _concerning(resource, self.pseudonymized), self.key)
        own.check(resource)
        return own

    def excludes(self, name: str) -> bool:
        """True if the field does not come."""
        return name in self.excluded

    def pseudonym(self, value: Any) -> str:
        """What a value is replaced by; of a number, what its digits as text are replaced by."""
        return hmac.digest((self.key or "").encode(), str(value).encode(), "sha256").hex()[:PSEUDONYM_DIGITS]


def _concerning(resource: Resource, names: Iterable[str]) -> FrozenSet[str]:
    apart = [name.rpartition("/") for name in names]
    is_calls = resource.name == "calls"
    everywhere = {field for of, _, field in apart if not of and (is_calls or _field(resource, field))}
    return frozenset(everywhere | {field for of, _, field in apart if of == resource.name})


def _field(report: Resource, name: str) -> Optional[Field]:
    head, _, child = name.partition(".")
    of = report.fields.get(head)
    return of.children.get(child) if of and of.type in (LIST, OBJECT) and child else of if not child else None
