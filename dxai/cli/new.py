"""`dxai new`: commented skeletons of a model, a data set or an experiment, each with a test."""

from __future__ import annotations

import re
from typing import Any

import click

from dxai.cli.options import Verb
from dxai.cli.training import need_training_extra

_DEMAND = click.option("--demand", is_flag=True, help="Of series, to be forecast; otherwise rows of a table.")


class _Name(click.ParamType):  # type: ignore[type-arg]
    """A name that Python, YAML and a file may have."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, or a usage error."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", str(value)):
            self.fail(f"{value!r} is no such name: small letters, digits and _, a letter first.", param, ctx)
        return str(value)


@click.group()
def new() -> None:
    """Write the skeleton of a model, a data set or an experiment into the checkout."""
    need_training_extra()


@new.command(cls=Verb)
@click.argument("name", type=_Name())
@_DEMAND
def model(name: str, demand: bool) -> None:
    """A network NAME: custom/NAME.py and configs/model/NAME.yaml."""
    files = {
        f"custom/{name}.py": "model.py", f"configs/model/{name}.yaml": "model.yaml",
        f"custom/test_{name}.py": "test_model.py",
    }  # fmt: skip
    title = "".join(part.capitalize() for part in name.split("_"))
    _write(files, name=name, title=title, demand=demand)
    click.echo(f"next:  pytest custom/test_{name}.py && dxai train {'experiment=retail ' * demand}model={name}")


@new.command(cls=Verb)
@click.argument("name", type=_Name())
@_DEMAND
def data(name: str, demand: bool) -> None:
    """A public data set NAME: contracts/NAME.yaml and configs/data/NAME.yaml."""
    files = {
        f"contracts/{name}.yaml": "contract.yaml", f"configs/data/{name}.yaml": "data.yaml",
        f"custom/test_{name}.py": "test_data.py",
    }  # fmt: skip
    _write(files, name=name, dashed=name.replace("_", "-"), demand=demand)
    click.echo(f"next:  correct place, sha256 and columns, then: dxai train data={name}")


@new.command(cls=Verb)
@click.argument("name", type=_Name())
@click.option("--data", "data_name", default="concrete", show_default=True, help="Data set, of configs/data/.")
@click.option("--model", "model_name", default="", help="Of configs/model/. [default: tabm, or nhits of series]")
def experiment(name: str, data_name: str, model_name: str) -> None:
    """A ready combination NAME: configs/experiment/NAME.yaml."""
    from dxai.config.compose import find_checkout, settings_from
    from dxai.contract.signature import signature_of
    from dxai.data.table import contract_of
    from dxai.data.trainable import split_rule

    checkout = find_checkout()
    contract = contract_of(settings_from([f"data={data_name}"], checkout=checkout).data, checkout)
    demand, usual = {"rows": (False, "tabm"), "series": (True, "nhits")}[signature_of(contract).grain]
    files = {f"configs/experiment/{name}.yaml": "experiment.yaml", f"custom/test_{name}.py": "test_experiment.py"}
    _write(
        files, name=name, data=data_name, demand=demand, split=split_rule(contract),
        model=model_name or usual,
    )  # fmt: skip
    click.echo(f"next:  dxai train experiment={name}")


def _write(files: dict[str, str], **values: Any) -> None:
    """Fill in the skeletons; none takes the place of a file that is there."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from dxai.config.compose import find_checkout
    from dxai.errors import SettingsError
    from dxai.files import short, write_whole

    checkout = find_checkout()
    if there := [path for path in files if (checkout / path).exists()]:
        raise SettingsError(f"There is a {there[0]} already.", where=str(checkout), fix="Choose another name.")
    environment = Environment(
        loader=PackageLoader("dxai.cli", "skeletons"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    for path, skeleton in files.items():
        target = checkout / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, environment.get_template(f"{skeleton}.j2").render(values).encode())
        click.echo(f"wrote {short(target)}")
