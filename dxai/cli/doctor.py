"""The verb for everybody: what is wrong here, and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dxai.cli.options import Verb


@click.command(cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--fix", is_flag=True, help="Remove stale locks and half outputs, close dead runs in MLflow; nothing else."
)
def doctor(as_json: bool, fix: bool) -> None:
    """Say what is wrong with this installation and this checkout, and what to do.

    One line each: ok, note or problem. Without --fix nothing is changed. Exit code 2: there is a problem.
    """
    from dxai.doctor.examination import examine
    from dxai.errors import SettingsError

    findings, done = [], list[str]()
    for finding in examine(Path.cwd()):
        mended = finding.mend() if fix and finding.mend else ""
        done += [mended] if mended else []
        findings.append((finding, mended))
        if not as_json:
            click.echo(f"{finding.line}\n{'fixed':<8} {mended}" if mended else finding.line)
    problems = sum(finding.status == "problem" for finding, mended in findings if not mended)
    if as_json:
        records = [{**finding.record, **({"fixed": mended} if mended else {})} for finding, mended in findings]
        click.echo(json.dumps({"problems": problems, "findings": records}, ensure_ascii=False, indent=2))
    else:
        click.echo(f"{problems or 'no'} problem{'' if problems == 1 else 's'}{f', {len(done)} fixed' if done else ''}")
    raise SystemExit(SettingsError.exit_code if problems else 0)
