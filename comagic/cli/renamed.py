"""Commands that were renamed: the old name gives one message with the new one, for one minor version."""

from typing import Any

import click
from click_default_group import DefaultGroup

RENAMED: dict[str, str] = {"view": "views"}
"""New names by old ones. Remove an entry one minor version after it was added."""


class RenamingGroup(DefaultGroup):
    """A group with a default command, which knows the former names of its commands."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Finds the command; called by click.

        Raises:
            UsageError: it has another name now.
        """
        if args and args[0] in RENAMED:
            raise click.UsageError(f"The command {args[0]} is called {RENAMED[args[0]]} now.", ctx)
        return super().resolve_command(ctx, args)
