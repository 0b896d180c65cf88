"""The application: Open Inference Protocol V2, tables, metrics, description and the model pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from dxai import __version__
from dxai.inference.predict import OnBadRows
from dxai.serve.body import Bodies, deflated, inflated
from dxai.serve.edge import PATTERN, Edge
from dxai.serve.gate import Gate
from dxai.serve.limits import Limits
from dxai.serve.metrics import Metrics
from dxai.serve.openapi import openapi
from dxai.serve.protocol import HEADER_LENGTH, Answer, infer
from dxai.serve.refusal import Refusal
from dxai.serve.served import ServedModel, Shelf
from dxai.serve.table import Order, predict_table


def create_app(
    models: Sequence[ServedModel], limits: Limits, *, pages: Path | None = None, hosts: Collection[str] | None = None
) -> Starlette:
    """The application that serves these models.

    Args:
        models: Verified and loaded.
        limits: What clients may ask for.
        pages: Folder of a site that is served below ``/``.
        hosts: Names by which the server may be called; None for any.
    """
    service = Service(models, limits)
    app = Starlette(
        routes=[*service.routes(), *([] if pages else [Address("/", service.listing)])],
        middleware=[Middleware(Edge, limits, service.metrics, hosts)],
        exception_handlers={HTTPException: _no_such_address},
    )
    if pages:  # as the default, for a route may match an address and not the method
        app.router.default = StaticFiles(directory=pages, html=True)
    app.state.limits, app.state.metrics = limits, service.metrics
    return app


class Address(Route):
    """A route that tells log and metrics its pattern."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope[PATTERN] = self.path
        await super().handle(scope, receive, send)


class Service:
    """The endpoints of one server."""

    def __init__(self, models: Sequence[ServedModel], limits: Limits) -> None:
        self.shelf, self.limits, self.metrics = Shelf(models), limits, Metrics()
        self._bodies, self._gate = Bodies(limits), Gate(limits, self.metrics.queue)
        self._openapi = openapi(self.shelf, limits)

    def routes(self) -> list[Address]:
        """Every address but those of the pages."""
        model = "/v2/models/{name}"
        return [
            *(Address(f"{at}/infer", self.infer, methods=["POST"]) for at in (model, model + "/versions/{version}")),
            *(Address(f"{at}/ready", self.model_ready) for at in (model, model + "/versions/{version}")),
            *(Address(at, self.model_metadata) for at in (model, model + "/versions/{version}")),
            Address("/v2/health/live", self.live),
            Address("/v2/health/ready", self.ready),
            Address("/v2/repository/index", self.index, methods=["POST"]),
            Address("/v2", self.server_metadata),
            Address("/models/{name}/predict", self.predict, methods=["POST"]),
            Address("/metrics", self.prometheus),
            Address("/openapi.json", self.description),
        ]

    async def infer(self, request: Request) -> Response:
        """Open Inference Protocol: inference."""
        served = self._served(request)
        work = partial(infer, served, header_length=request.headers.get(HEADER_LENGTH), most_rows=self.limits.rows)
        return await self._answered(request, work)

    async def predict(self, request: Request) -> Response:
        """A table in, a table with predictions out; mistakes are told in plain text unless JSON is asked for."""
        as_json = "application/json" in request.headers.get("accept", "")
        try:
            served, asked = self._served(request), _asked(request)
            work = partial(predict_table, served, **asked, most_rows=self.limits.rows, as_json=as_json)
            return await self._answered(request, work)
        except Refusal as refusal:
            refusal.as_text = not as_json
            raise

    async def _answered(self, request: Request, work: Callable[..., Answer]) -> Response:
        """Read the body, do the work, answer; only small requests are worked on here, on the event loop."""
        headers = request.headers
        encoding, accepted = headers.get("content-encoding", "").lower(), headers.get("accept-encoding", "")

        def whole(body: bytes) -> tuple[Answer, bytes, dict[str, str]]:
            answer = work(body=inflated(body, encoding, self.limits.body_bytes))
            return answer, *deflated(answer.body, accepted)

        async with self._bodies.read(request) as body:
            small = not encoding and len(body) <= self.limits.small_bytes
            answer, packed, packing = whole(body) if small else await self._gate.run(partial(whole, body))
        request.state.rows = answer.rows
        return Response(packed, headers={**answer.headers, **packing})

    def _served(self, request: Request) -> ServedModel:
        served = self.shelf.find(request.path_params["name"], request.path_params.get("version"))
        request.state.model = served.name
        return served

    async def server_metadata(self, _: Request) -> Response:
        """Open Inference Protocol: server metadata."""
        extensions = ["binary_tensor_data", "model_repository"]
        return JSONResponse({"name": "dxai", "version": __version__, "extensions": extensions})

    async def live(self, _: Request) -> Response:
        """Open Inference Protocol: the server answers."""
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """Open Inference Protocol: every model is loaded before the server listens."""
        return JSONResponse({"ready": True})

    async def model_metadata(self, request: Request) -> Response:
        """Open Inference Protocol: model metadata."""
        return JSONResponse(self.shelf.metadata(self._served(request)))

    async def model_ready(self, request: Request) -> Response:
        """Open Inference Protocol: this model is loaded."""
        return JSONResponse({"name": self._served(request).name, "ready": True})

    async def index(self, _: Request) -> Response:
        """Triton's model repository extension: what is there."""
        return JSONResponse([
            {"name": served.name, "version": served.version, "state": "READY", "reason": ""} for served in self.shelf
        ])  # fmt: skip

    async def prometheus(self, _: Request) -> Response:
        """What was counted."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def description(self, _: Request) -> Response:
        """This server in OpenAPI 3.1."""
        return JSONResponse(self._openapi)

    async def listing(self, _: Request) -> Response:
        """Where to go from here, for a server without pages."""
        models = [
            {
                "name": served.name,
                "version": served.version,
                "title_en": served.bundle.contract.title_en,
                "title_ko": served.bundle.contract.title_ko,
                "predict": f"/models/{served.name}/predict",
                "infer": f"/v2/models/{served.name}/versions/{served.version}/infer",
            }
            for served in self.shelf
        ]
        return JSONResponse({"models": models, "openapi": "/openapi.json", "metrics": "/metrics"})


def _asked(request: Request) -> dict[str, Any]:
    """What is to be done about bad rows, units and plans, and the order that is asked for; all but models know."""
    given = dict(request.query_params)
    chosen: Any = given.pop("on_bad_rows", "stop")
    switches = {name: given.pop(name, "false") for name in ("convert_units", "carry_forward")}
    order, is_order = _order(given.pop("service_level", None), given.pop("lead_time", None))
    known = chosen in get_args(OnBadRows) and {"true", "false"}.issuperset(switches.values())
    if given or not known or not is_order:
        told = f"on_bad_rows, one of {', '.join(get_args(OnBadRows))}, convert_units and carry_forward, true or false"
        orders = "of a forecast service_level, such as 0.95, and with it lead_time, in steps"
        raise Refusal(400, f"The query parameters are {told}; {orders}.")
    return {"on_bad_rows": chosen, "order": order, **{name: value == "true" for name, value in switches.items()}}


def _order(level: str | None, lead: str | None) -> tuple[Order | None, bool]:
    """The order that two parameters mean, and whether they mean something."""
    if level is None:
        return None, lead is None
    try:
        order = Order(float(level), 0 if lead is None else int(lead))
    except ValueError:
        return None, False
    return order, lead is None or order.lead_time > 0


async def _no_such_address(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = {404: "There is nothing at this address.", 405: "This address does not take that method."}
    problem = f"{told.get(error.status_code, error.detail)} GET /openapi.json tells what there is."
    return Response(json.dumps({"error": problem}), error.status_code, error.headers, "application/json")
