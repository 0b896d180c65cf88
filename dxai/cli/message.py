"""Every mistake as one short message on standard error, with its exit code."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from dxai.errors import DxaiError, InterruptedRunError, NotFoundError


@contextmanager
def one_message() -> Iterator[None]:
    """Turn every error into one short message and its exit code."""
    try:
        yield
    except DxaiError as error:
        _leave(error)
    except (click.Abort, KeyboardInterrupt):
        _leave(InterruptedRunError("Interrupted; nothing half-written is left.", fix="Give the command again."))
    except (click.exceptions.Exit, click.ClickException):
        raise
    except Exception as error:
        if isinstance(error, BrokenPipeError) or "os error 32" in str(error):  # the second in the words of Rust
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has seen enough
            raise SystemExit(0) from None
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            _leave(NotFoundError("A name is longer than a file's can be.", where=str(error.filename)[:80]))
        if os.environ.get("DXAI_DEBUG"):
            raise
        told = str(error).splitlines()[0] if str(error) else ""
        fix = "Set DXAI_DEBUG=1, give the command again, and report what it prints."
        _leave(DxaiError(f"This is a defect of dxai: {type(error).__name__}: {told}", fix=fix))


def _leave(error: DxaiError) -> NoReturn:
    click.echo(f"dxai: {error.message()}", err=True)
    raise SystemExit(error.exit_code)
