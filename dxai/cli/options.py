"""Arguments and options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
TABLE = click.Path(path_type=Path, dir_okay=False)

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


class Verb(click.Command):
    """A command that refuses an option given twice where one value is meant: click would take the last in silence."""

    def make_parser(self, ctx: click.Context) -> Any:
        """Click's parser, which tells the order in which it met the options."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_once(args: list[str]) -> tuple[dict[str, Any], list[str], list[click.Parameter]]:
            given, rest, order = parse(args)
            for option in order:
                single = isinstance(option, click.Option) and not (option.multiple or option.is_flag or option.count)
                if single and order.count(option) > 1:
                    raise click.UsageError(
                        f"{option.opts[0]} is given {order.count(option)} times; it takes one value."
                    )
            return given, rest, order

        parser.parse_args = parse_once  # type: ignore[method-assign]
        return parser


def complete_model(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
    """Names of the pulled models, and folders."""
    from click.shell_completion import CompletionItem

    from dxai.catalog.store import Store

    names = sorted({name for name, _ in Store().bundles() if name.startswith(incomplete)})
    return [*names, CompletionItem(incomplete, type="dir")]


def place_options(verb: _Verb) -> _Verb:
    """Where in a file the table is and how it is written: ``sheet``, ``header_row`` and ``encoding``."""
    options = (
        click.option("--sheet", default="", help="Excel: the sheet. [default: the first visible one]"),
        click.option("--header-row", type=click.IntRange(1), help="Line of the column names. [default: as recognised]"),
        click.option("--encoding", default="", help="Of a text: cp949, windows-1252 … [default: as recognised]"),
    )
    for option in reversed(options):
        verb = option(verb)
    return verb


def trust_options(verb: _Verb) -> _Verb:
    """How far a bundle is trusted: ``key`` and ``unsigned``."""
    key = click.option("--key", type=FILE, help="Public key (PEM) that must have signed the model.")
    unsigned = click.option(
        "--unsigned", is_flag=True, help="Take a bundle nobody signed, such as one just released here."
    )
    return key(unsigned(verb))


def catalog_options(verb: _Verb) -> _Verb:
    """Which catalog is read and from which trust root: ``place``, ``root`` and ``offline``."""
    options = (
        click.option(
            "--from", "place", metavar="URL|DIR", envvar="DXAI_CATALOG", help="Catalog; remembered once read."
        ),
        click.option("--root", type=FILE, help="Trust root of the catalog (root.json from its owner)."),
        click.option("--offline", is_flag=True, help="Open no network connection."),
    )
    for option in reversed(options):
        verb = option(verb)
    return verb
