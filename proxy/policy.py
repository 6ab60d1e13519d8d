"""What a permitted caller's request becomes before Ollama sees it: checked, canonical, and within what the key may do.

The body is parsed once, strictly, and sent on as we understood it: what was checked is what Ollama reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway import strictjson
from proxy.attribution import remove_attribution
from proxy.caps import cap_of, foreign
from proxy.clamps import Clamps, drop, seconds_of
from proxy.context_window import OPTION, rule_for
from proxy.estimate import prompt_tokens
from proxy.exceptions import BadBody, CloudRefused, ModelNotFound
from proxy.hosted_tools import remove_hosted_tools
from proxy.names import MAX_NAME, matches, readings
from proxy.remote_files import check_files

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from apikeys.principal import Principal
    from gateway.context_window import WindowRule
    from proxy.context_window import Overflow
    from proxy.names import ModelName
    from proxy.shapes import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for all keys, from the settings."""

    default_model: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    allow_cloud: bool = False
    clamps: Clamps = field(default_factory=Clamps)
    max_batch: int = 2048
    keep_attribution: bool = False
    windows: tuple[
        tuple[WindowRule, ...], ...
    ] = ()  # sets of rules, of which the first that has one for a model counts

    def resolve(self, name: str) -> str:
        """Returns the model behind an alias, or the name itself."""
        return self.aliases.get(name.strip().lower(), name)


@dataclass(slots=True, kw_only=True)
class Ask:
    """A request that passed."""

    payload: dict[str, Any]
    model: str  # as the client spells it
    target: str  # the spelling that Ollama gets
    canonical: str
    streamed: bool = False
    unload: bool = False  # asks to unload the model: answered here
    hide_usage: bool = False  # the client did not ask for the counts that we made Ollama send
    prompt_estimate: int = 0
    cap: int | None = 0  # the most output that is asked for: None for any, 0 for none
    changed: list[str] = field(default_factory=list)
    name: ModelName | None = None
    sets_window: bool = False  # its num_ctx was taken out, to be decided upon with what is known of the model
    window: Any = None  # that num_ctx
    warning: Overflow | None = None

    def body(self) -> bytes:
        """Returns the canonical body, once: the parsed one, which may be many times as large, is let go."""
        payload, self.payload = self.payload, {}
        try:
            return strictjson.dump(payload)
        except strictjson.JSONFault as fault:
            raise not_json(fault) from None


def read(shape: Shape, raw: bytes) -> dict[str, Any]:
    """Parses a body and checks its form.  Raises BadBody with what is wrong and where."""
    example = shape.required[0] if shape.required else "model"
    if not raw.strip():
        raise BadBody(f'The body is empty: send a JSON object such as {{"{example}": …}}.')
    try:
        payload = strictjson.parse(raw)
    except strictjson.JSONFault as fault:
        raise not_json(fault) from None
    if not isinstance(payload, dict):
        raise BadBody(f'The body must be a JSON object such as {{"{example}": …}}.')
    shape.check(payload)
    return payload


def not_json(fault: strictjson.JSONFault) -> BadBody:
    """Says that a body is not valid JSON, and why."""
    return BadBody(f"The body is not valid JSON: {fault}. Forms are not taken, only a JSON object.")


def decide(
    shape: Shape, payload: dict[str, Any], principal: Principal, policy: Policy, remote: Collection[str] = ()
) -> Ask:
    """Makes a checked payload into what is sent, in place.

    `remote` has the short names of local models that stand for cloud ones.  Raises BadBody, ModelNotFound and
    CloudRefused.
    """
    one_name(payload)
    asked, names = "", []
    for name in shape.struct.models:
        said = payload.get(name)
        if not said:
            continue
        check_length(said)
        if name == "model":
            asked, payload["model"] = said, policy.resolve(said)
        names.append(permitted(payload[name], said, principal, policy, remote))
    check_remote_host(payload, policy)
    ask = Ask(
        payload=payload,
        model=asked,
        target=payload.get("model") or "",
        canonical=names[0].short if names else "",
        name=names[0] if names else None,
    )
    if shape.stream_default is not None:
        streamed = payload.get("stream")
        ask.streamed = payload["stream"] = shape.stream_default if streamed is None else streamed
    check_batch(shape, payload, policy)
    if "stream_options" in shape.types:
        speak_openai(ask)
    if shape.cap is not None:
        ask.changed = drop(payload, foreign(shape.cap))
    ask.changed += remove_unserved(shape, payload, policy)
    take_window(ask, principal, policy)
    if "manage" not in principal.scopes:
        if not shape.is_estimate:
            check_files(payload)
        ask.unload = bool(asked) and asks_to_unload(shape, payload)
        ask.changed += drop(payload, shape.privileged) + policy.clamps.apply(payload)
        ask.changed += policy.clamps.cap(payload, shape.cap)
    if shape.cap is not None:
        ask.cap = cap_of(payload, shape.cap)
    ask.prompt_estimate = prompt_tokens(payload, shape.texts)
    return ask


def take_window(ask: Ask, principal: Principal, policy: Policy) -> None:
    """Takes a request's num_ctx out, unless its key may set it to anything and there is no rule for the model."""
    options = ask.payload.get("options")
    if isinstance(options, dict) and OPTION in options:
        is_free = "manage" in principal.scopes
        rules = (principal.windows, *(() if is_free else policy.windows))
        ruled = ask.name is not None and rule_for(ask.name, *rules) is not None
        if not ruled and (is_free or OPTION in policy.clamps.options):
            return
        ask.window, ask.sets_window = options.pop(OPTION), True


def one_name(payload: dict[str, Any]) -> None:
    """Gives the legacy field `name`, which ollama-js still sends, its new name."""
    legacy = payload.get("name")
    if not isinstance(legacy, str) or not legacy:
        return
    if payload.get("model") not in (None, "", legacy):
        raise BadBody("'model' and 'name' differ: send 'model' alone.")
    del payload["name"]
    payload["model"] = legacy


def check_length(text: Any) -> None:
    """Raises BadBody for a name that is too long to be one, before it is kept or written anywhere."""
    if isinstance(text, str) and len(text) > MAX_NAME:
        raise BadBody(f"{text[:80]!r}… is no model name: it is too long.")


def permitted(text: Any, said: Any, principal: Principal, policy: Policy, remote: Collection[str]) -> ModelName:
    """Returns the model that a spelling names, if the key may use it whichever way Ollama reads it.

    A model that the key may not use looks like one that does not exist, and what is behind an alias is not told: `said`
    is what the client wrote.
    """
    names = readings(text) if isinstance(text, str) else ()
    if not names:
        raise BadBody(f"{str(said)[:80]!r} is no model name: write it like `mistral` or `mistral:7b`.")
    for name in names:
        if principal.models and not any(matches(name, pattern) for pattern in principal.models):
            raise ModelNotFound(str(said))
        if not policy.allow_cloud and (name.cloud or name.short in remote):
            raise CloudRefused(f"{str(said)[:80]!r} runs in Ollama's cloud, which is off here (ALLOW_CLOUD).")
    return names[0]


def check_remote_host(payload: dict[str, Any], policy: Policy) -> None:
    """Raises CloudRefused for a field that reaches the cloud whatever the model's name is."""
    if payload.get("remote_host") and not policy.allow_cloud:
        raise CloudRefused("'remote_host' makes a cloud model, and cloud models are off here (ALLOW_CLOUD).")


def remove_unserved(shape: Shape, payload: dict[str, Any], policy: Policy) -> list[str]:
    """Removes what a client may send and Ollama should not get, whatever the key; returns what was removed."""
    changed = [] if policy.allow_cloud else remove_hosted_tools(payload, is_estimate=shape.is_estimate)
    return changed + remove_attribution(payload) if shape.attribution and not policy.keep_attribution else changed


def check_batch(shape: Shape, payload: dict[str, Any], policy: Policy) -> None:
    """Raises BadBody for more inputs in one request than allowed."""
    inputs = payload.get(shape.batch) if shape.batch else None
    if isinstance(inputs, list) and len(inputs) > policy.max_batch:
        raise BadBody(f"{len(inputs)} inputs are too many for one request: send at most {policy.max_batch}.")


def asks_to_unload(shape: Shape, payload: dict[str, Any]) -> bool:
    """Tells whether Ollama would unload the model: nothing to answer, and a keep_alive of zero."""
    return (
        shape.load is not None
        and not payload.get(shape.load)
        and payload.get("keep_alive") is not None
        and seconds_of(payload["keep_alive"]) == 0
    )


def speak_openai(ask: Ask) -> None:
    """Makes up for two differences between Ollama and OpenAI: a newer field, and counts within streams."""
    payload = ask.payload
    newer = payload.pop("max_completion_tokens", None)
    if newer is not None and payload.get("max_tokens") is None:
        payload["max_tokens"] = newer
    if ask.streamed:
        options = payload.get("stream_options") or {}
        ask.hide_usage = options.get("include_usage") is not True
        payload["stream_options"] = {**options, "include_usage": True}
