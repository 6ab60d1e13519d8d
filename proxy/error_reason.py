"""What the log and the record say of a failed call: an error's code and a text that quotes no prompt and no answer."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from proxy import structs
from proxy.exceptions import BadBody, UpstreamRefusal
from proxy.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Collection

    from gateway.rest import Refusal
    from proxy.call import Outcome

MAX_REASON = 300
# Of a longer text only the beginning is looked at.
MAX_READ = 500
# A request body up to this size is searched for the words of an error; those of a larger one all count as quoted.
MAX_SEARCHED = 64 * 1024
HIDDEN = "…"
QUOTES = "\"'`"
CLIENT_LEFT = ("client_left", "The client closed the connection before the answer ended.")
CUT = ("client_too_slow", "The client did not read the answer in time.")
# A product of RFC 9110, with the space that the OpenAI SDK has in place of its slash: `OpenAI/Python 1.40.0`.
PRODUCT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}(?:/[A-Za-z0-9._+-]{1,24})?(?=[\s;,(]|$)")
SDK = re.compile(r"((?:Async)?(?:Azure)?(?:OpenAI|Anthropic)/[A-Za-z]{1,12}) ([0-9A-Za-z.+-]{1,24})")
# A count, a size or a duration; a longer number may be anything.
AMOUNT = re.compile(r"[~<>=±+-]*\d{1,7}(?:[.,:/]\d{1,6})*(?:%|[kmgt]?i?b|ms|s|m|h)?", re.IGNORECASE)
# The words of Ollama's and its runners' own errors.
WORDS = """
    a abort aborted answer broke off its ollama's
    accept access address after again all allocate allocated allocation already also amount an
    and any api are argument arguments array as assertion at auth authentication available backend bad batch be
    because been before begin below between bit block body broken buffer build busy but by byte bytes cache call
    called calls can can't cancel canceled cancelled cannot capabilities capability channel character chat check
    checksum chunk client close closed cloud code command compatible completion compute config configuration
    connect connection content context contains corrupt corrupted could couldn't count create cuda cublas cudart
    data deadline decode decoding default delete denied device digest dimension dimensions directory disabled
    disk do does doesn't done download driver due duplicate during eagain early either embed embedding
    embeddings empty encode encoding encountered end ended eof error errors exceed exceeded exceeds execute
    exhausted exist exists exit expected expecting expired failed failure fault field file files find finish
    first float for forbidden format forward found free from full function generate generated generation get
    gib mib kib gb mb kb
    gguf ggml given gpu grammar greater group had handle has have header host image images implemented in
    incomplete index inference init initialize input inputs insufficient int integer internal interrupted into
    invalid io is it its json key kernel killed known large larger layer layers least length less limit
    limitations limited list llama llama.cpp load loaded loading local location logs long longer lookup lost
    manifest max maximum may memory message messages metal method min minimum missing mismatch mmap model models
    more most multimodal must name need needed needs negative network newer no node none not number object of
    offload ollama on one only open operation option options or order out outside overflow overloaded parallel
    parameter parameters parse parser parsing part path pending permission permitted pipe please pointer port
    position positive predict process processing projector prompt property pull quantization queue range rate
    raw read ready reason reached reading reasoning received refused registry reject rejected remote remove
    request requested requests require required requires reset resource resources respond response retry return
    returned role rocm run runner running runtime sampler sampling schema seed segmentation send sent sequence
    server service set shape shift shut shutdown shutting signal sigsegv sigabrt size slot slots small smaller
    softmax space specified start started state status stop stopped stream streaming string struct structured
    such support supported supports system tag template tensor tensors terminated text than that the their then
    there they thinking this timed timeout tls to token tokens too tool tools total transfer try type types
    unable unauthorized unavailable undefined unexpected unexpectedly unknown unload unmarshal unrecognized
    unsupported until unreachable update upgrade upload upstream url usage use used using valid value values
    vector verify version via vision vram vocab vocabulary was wait waiting was were when where which while
    width will window with within without word work write writing wrong xcode you your zero
"""
VOCABULARY = frozenset(WORDS.split())


def error_of(outcome: Outcome) -> tuple[str, str]:
    """Returns the code and the text of what went wrong with a call; two empty texts where nothing did."""
    if outcome.error:
        return outcome.error, outcome.reason
    if outcome.ended == "left":
        return CLIENT_LEFT
    return CUT if outcome.ended == "cut" else ("", "")


def note_error(outcome: Outcome, refusal: Refusal, names: Collection[str] = ()) -> None:
    """Keeps a refusal's code and loggable text in a call's outcome; `names` are what the model is called."""
    outcome.error = refusal.kind
    outcome.reason = reason_of(refusal, names)


def reason_of(refusal: Refusal, names: Collection[str] = ()) -> str:
    """Returns a refusal's text as the log and the record may keep it: one line, bounded, quoting no prompt."""
    if refusal.logged:
        return refusal.logged[:MAX_REASON]
    message = refusal.message
    if isinstance(refusal, UpstreamRefusal):
        return upstream_reason(message, names)
    if isinstance(refusal, BadBody):
        return hide_quoted(one_line(message), field_names())[:MAX_REASON]
    return message if len(message) <= MAX_REASON and message.isprintable() else one_line(message)[:MAX_REASON]


def upstream_reason(text: str, names: Collection[str] = (), sent: bytes | None = None) -> str:
    """Returns an error text of Ollama's without what it may quote of the prompt, a template or the answer.

    Quoted passages and JSON are hidden, save a model's `names`; so are the words that `sent`, the request's body, has
    too.  Without it, all are hidden that are not in VOCABULARY.
    """
    text = hide_quoted(one_line(text[:MAX_READ]).partition("{")[0], names)
    body = sent.lower() if sent is not None and len(sent) <= MAX_SEARCHED else None
    kept: list[str] = []
    unsent: set[str] = set()
    for word in text.split(" "):
        core = word.strip(".,;:!?()[]<>\"'`=-_*#|/\\").lower()
        known = not core or core in VOCABULARY or word.strip(".,;:()\"'`") in names or AMOUNT.fullmatch(core)
        if not known and body is not None and core not in unsent and core.encode() not in body:
            unsent.add(core)
        if known or core in unsent:
            kept.append(word)
        elif not kept or kept[-1] != HIDDEN:
            kept.append(HIDDEN)
    return " ".join(kept)[:MAX_REASON]


def hide_quoted(text: str, keep: Collection[str]) -> str:
    """Hides quoted passages, save those of `keep` and punctuation.

    What is quoted may hold quotes itself, so all is hidden up to the text's last one.
    """
    shown: list[str] = []
    place, last = 0, max(map(text.rfind, QUOTES))
    while place < len(text):
        quote = text[place]
        # Within a word it is an apostrophe.
        if quote not in QUOTES or (place and text[place - 1].isalnum()):
            shown.append(quote)
            place += 1
            continue
        end = text.find(quote, place + 1)
        inner = text[place + 1 : end] if end > 0 else ""
        if inner and (inner in keep or (end == last and not any(map(str.isalnum, inner)))):
            shown.append(text[place : end + 1])
            place = end + 1
            continue
        shown.append(f"{quote}{HIDDEN}{quote}" if last > place else f"{quote}{HIDDEN}")
        place = last + 1 if last > place else len(text)
    return "".join(shown)


def one_line(text: str) -> str:
    """Returns a text on one line, without characters that are not printable."""
    return " ".join("".join(char if char.isprintable() else " " for char in text[: 2 * MAX_READ]).split())


@cache
def field_names() -> frozenset[str]:
    """Returns the names of all fields that requests have: what our errors quote of them tells nothing."""
    found: set[str] = set()
    todo = [value for value in vars(structs).values() if isinstance(value, Struct)]
    while todo:
        struct = todo.pop()
        found |= struct.names
        todo += struct.inner.values()
    return frozenset(found)


@lru_cache(maxsize=1024)
def product(user_agent: str) -> str:
    """Returns a User-Agent's first product, such as `ollama-python/0.4.7`; "" where it does not begin with one."""
    sdk = SDK.match(user_agent)
    if sdk is not None:
        return f"{sdk[1]}/{sdk[2]}"
    found = PRODUCT.match(user_agent)
    return found[0] if found is not None else ""
