"""The service about itself: models, health, readiness, metrics, and what a request would cost."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from overtone.batching.cost_model import Shape
from overtone.errors import OvertoneError, RefusedError
from overtone.pipelines.emotion import EmotionRecognizer
from overtone.server.api.dependencies import RequestOwner, ServerState, error_responses
from overtone.server.api.openai_params import NAMES
from overtone.server.api.schemas import Health, ListedModel, ModelInfo, Models, Plan, PlannedMemory, Readiness
from overtone.server.auth import Owner
from overtone.server.inference.models import AnyPipeline, Task
from overtone.server.state import Server

_DAY_S = 86_400.0


router = APIRouter(tags=["service"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> Health:
    """Answers as long as the event loop turns."""
    return Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Whether requests are taken",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not now."}},
)
async def readyz(server: ServerState) -> Response:
    """Ready only when the model answers, as it has just done or is asked to now, and the folders of uploads and jobs
    can be written; `reason` says what is wrong."""
    draining = server.service.draining.is_set()
    reasons = ["the service is ending"] if draining else []
    if not draining:
        if not await server.host.answers():
            reasons.append(f"the model does not answer ({server.host.state})")
        reasons += await asyncio.to_thread(server.storage.problems)
    ready = not reasons
    said = Readiness(
        ready=ready,
        reason="; ".join(reasons) or None,
        state="draining" if draining else server.host.state,
        restarts=server.host.restarts,
        cache="healthy" if server.service.answers.healthy else "in trouble",
    )
    return JSONResponse(said.model_dump(), 200 if ready else 503)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **error_responses(401)},
)
async def metrics(server: ServerState, owner: RequestOwner) -> Response:
    """In Prometheus' text format. Needs a key where the service has keys."""
    await asyncio.to_thread(server.storage.problems)  # looked at now, for `overtone_ready`
    body, kind = server.metrics.exposition()
    return Response(body, headers={"Content-Type": kind})


@router.get("/v1/models", summary="What is served", responses=error_responses(401, 503))
async def models(server: ServerState, owner: RequestOwner) -> Models:
    """The models, what they can say, and where they run."""
    known = [_info(server, "emotion", server.host.recognizer)]
    named = [known[0].id]
    if server.settings.transcriber is not None:
        known.append(_info(server, "transcribe", server.host.transcriber))
        named += [known[1].id, *NAMES]
    return Models(models=known, data=[listed(server, name) for name in named])


def listed(server: Server, name: str) -> ListedModel:
    """A name that requests may call a model, as OpenAI's API lists it."""
    return ListedModel(id=name, created=round(server.started), owned_by="overtone")


@router.get("/v1/plan", summary="What a request would cost now", responses=error_responses(400, 401, 503))
async def plan(
    server: ServerState,
    owner: RequestOwner,
    seconds: Annotated[float, Query(gt=0, le=_DAY_S, description="Of audio.", examples=[60])],
) -> Plan:
    """What a request of so many seconds of audio would wait, run and take now, and whether it would be let in."""
    recognizer, service, rate = server.service.check_open(), server.service, server.host.rate
    budget = recognizer.runtime.engine.plan
    refusal: OvertoneError | None = None
    if seconds > service.bounds.most_audio_s:
        refusal = RefusedError(f"{service.bounds.most_audio_s:g} s are the most that is answered at once.")
    else:
        try:
            service.admission.check(Owner.name_of(owner), rate, seconds, Owner.limit_of(owner))
        except RefusedError as busy:
            refusal = busy
    longest = min(seconds, budget.longest_s)
    return Plan(
        seconds=seconds,
        admitted=refusal is None,
        reason=None if refusal is None else refusal.worded("http"),
        retry_after_s=refusal.retry_after_s if isinstance(refusal, RefusedError) else None,
        wait_s=service.wait_s,
        run_s=seconds / rate,
        rate=rate,
        queued_s=service.admission.queued_s,
        room_s=service.admission.room_s(rate),
        memory=PlannedMemory(
            budget_bytes=budget.budget_bytes,
            planned_bytes=budget.planned_bytes,
            resident_bytes=recognizer.runtime.held_bytes,
            batch_bytes=min(budget.largest_batch_bytes, budget.cost.predict(Shape(1, longest))),
        ),
    )


def _info(server: Server, task: Task, answering: AnyPipeline) -> ModelInfo:
    runtime = answering.runtime
    return ModelInfo(
        id=runtime.model.name,
        task=task,
        labels=list(answering.labels) if isinstance(answering, EmotionRecognizer) else [],
        dim=runtime.model.task.dim,
        precision=runtime.engine.precision,
        device=runtime.engine.device,
        backend=runtime.engine.backend_name,
        fingerprint=server.host.fingerprints[task],
        longest_segment_s=answering.options.longest_s,
        models={} if isinstance(answering, EmotionRecognizer) else dict(answering.models),
    )
