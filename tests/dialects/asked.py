"""What pure tests ask with: keys, policies, and one call of the decision."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from apikeys.principal import Principal
from gateway.context_window import parse
from proxy.call import Facts
from proxy.clamps import Clamps
from proxy.policy import Ask, Policy, decide, read
from proxy.shapes import Shape

MANAGE = frozenset({"inference", "manage"})


def key(*models: str, manage: bool = False) -> Principal:
    """A key for some models, all where none is named."""
    return Principal("id", "label", None, MANAGE if manage else frozenset({"inference"}), models)


def policy(*, cloud: bool = False, aliases: dict[str, str] | None = None, max_batch: int = 3, **clamps: Any) -> Policy:
    """A policy whose default model is `mistral`."""
    rules = tuple(parse(clamps.pop("windows", "")))
    if "options" in clamps:
        clamps["options"] = frozenset(clamps["options"])
    return Policy(
        default_model="mistral",
        aliases=aliases or {},
        allow_cloud=cloud,
        clamps=Clamps(**clamps),
        max_batch=max_batch,
        windows=(rules,),
    )


def decided(
    shape: Shape,
    payload: object,
    *,
    principal: Principal | None = None,
    house: Policy | None = None,
    remote: Collection[str] = (),
) -> Ask:
    """Reads a body and decides on it, as a route does."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decide(shape, read(shape, raw), principal or key(), house or policy(), remote)


def facts(*, model: str = "m", target: str = "", hide_usage: bool = False) -> Facts:
    """What a streamed request asks for."""
    return Facts(model=model, target=target or model, canonical="m:latest", streamed=True, hide_usage=hide_usage)
