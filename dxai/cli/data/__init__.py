"""Verbs of a firm that brings data: describe a file, draft its contract, convert it, check it, pack it."""

from __future__ import annotations

import click

from dxai.cli.data.check import check
from dxai.cli.data.convert import convert
from dxai.cli.data.describe import describe
from dxai.cli.data.init import init
from dxai.cli.data.pack import pack
from dxai.cli.data.schema import schema


class _InOrder(click.Group):
    """Lists the verbs in the order of use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """As they were added."""
        return list(self.commands)


@click.group(cls=_InOrder)
def data() -> None:
    """Bring own data: from a messy file to a table that keeps a contract."""


for _verb in (describe, init, convert, check, pack, schema):
    data.add_command(_verb)
