"""The card: what a member firm must know before it uses a model."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dxai.contract import Contract
from dxai.contract.signature import last_of, signature_of
from dxai.contract.terms import Terms
from dxai.ship.parity import Parity

_ROLES = {
    "series": "names the series", "time": "the step", "target": "what is forecast",
    "known_future": "known for the steps ahead", "past": "known for the steps before", "static": "one value per series",
    "open": "0 where closed; known for the steps ahead", "available": "0 where not all demand could be met",
}  # fmt: skip


def card(
    contract: Contract, terms: Terms, *, bundle: str, version: str, context: int, shortest: int, outputs: list[str],
    summary: dict[str, Any], parity: Parity, figures: list[str],
) -> str:  # fmt: skip
    """Markdown, the same bytes for the same run: no date, no host, no commit (those are in the manifest).

    Args:
        contract: Inputs, units, ranges, purpose, limits.
        terms: Licence, citation and usage.
        bundle: Name of the bundle.
        version: Of the bundle.
        context: Steps of history of a demand model.
        shortest: Known steps from which it forecasts a series.
        outputs: Names of the graph's outputs.
        summary: ``summary.json`` of the evaluation.
        parity: Figures of the export's check.
        figures: File names under figures/.
    """
    template = Environment(
        loader=PackageLoader("dxai.ship", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    ).get_template("card.md.j2")
    return template.render(
        contract=contract, terms=terms, bundle=bundle, version=version, context=context, shortest=shortest,
        outputs=outputs, summary=summary, parity=parity, figures=figures, roles=_ROLES, end=last_of(contract),
        beside=[t for t in signature_of(contract).inputs if t.column in {c.name for c in contract.covariates}],
    )  # fmt: skip
