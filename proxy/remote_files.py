"""Refuses images and files that Ollama would have to fetch: a request to any address from within the box's network.

Only where a dialect has files: an address in a tool's arguments, in a search result or in a text is just a text.
"""

from __future__ import annotations

from typing import Any

from proxy.exceptions import BadBody
from proxy.structs import fold

DATA = "data:"
# No scheme of an address is longer.
MAX_SCHEME = 64
ROLE_AND_TEXT = frozenset({"role", "content"})
# Fields of a message, a content part or an item that hold parts again.
NESTED = frozenset({"content", "output"})
# Fields of a part that hold a file as an object of their own.
HOLDERS = frozenset(
    {"source", "file", "image", "audio", "video", "document", "input_audio", "input_image", "input_file"}
)
# Fields in which content stands in base64; an address there is no base64.
CONTENT = frozenset({"data", "file_data", "image_data"})
# Kinds of parts that are a file themselves; elsewhere a plain `url` says where a text was found.
KINDS = ("image", "input_image", "document", "file", "input_file", "audio", "input_audio", "video", "input_video")


def check_files(payload: dict[str, Any]) -> None:
    """Raises BadBody for an image or a file of a request that is an address other than a `data:` URL."""
    check_images(payload.get("images"), "images")
    for name in ("messages", "input"):
        items = payload.get(name)
        if not isinstance(items, list):
            continue
        for index, item in enumerate(items):
            if isinstance(item, dict):
                check_item(item, f"{name}[{index}]")
    check_parts(payload.get("system"), "system")


def check_item(item: dict[str, Any], where: str) -> None:
    """Checks a message, or an item of a response's input."""
    images = item.get("images")
    if images is not None:
        check_images(images, f"{where}.images")
    # Most messages are a role and a text.
    if not (len(item) == len(ROLE_AND_TEXT) and ROLE_AND_TEXT.issubset(item) and isinstance(item["content"], str)):
        check_parts(item, where)


def check_images(images: Any, where: str) -> None:
    """Checks Ollama's own images, which are base64 alone."""
    for image in images if isinstance(images, list) else (images,):
        check_content(image, where)


def check_parts(parts: Any, where: str) -> None:
    """Checks content parts at all depths that Ollama looks at."""
    for part in parts if isinstance(parts, list) else (parts,):
        if not isinstance(part, dict):
            continue
        is_file = part.get("type") in KINDS
        for key, value in part.items():
            name = fold(key)
            if name.endswith("_url"):
                check_addresses(value, f"{where}.{key[:40]}")
            elif name == "url" and is_file:
                check_address(value, f"{where}.{key}")
            elif name in CONTENT and is_file:
                check_content(value, f"{where}.{key}")
            elif name in HOLDERS and isinstance(value, dict):
                check_holder(value, f"{where}.{key}")
            elif name in NESTED and isinstance(value, dict | list):
                check_parts(value, f"{where}.{key}")


def check_holder(holder: dict[str, Any], where: str) -> None:
    """Checks an object that holds a file: Anthropic's `source`, OpenAI's `file` and `input_audio`."""
    for key, value in holder.items():
        name = fold(key)
        if name == "url" or name.endswith("_url"):
            check_address(value, f"{where}.{key[:40]}")
        elif name in CONTENT and holder.get("type") != "text":
            check_content(value, f"{where}.{key[:40]}")
        elif name == "content" and isinstance(value, dict | list):
            check_parts(value, where)


def check_addresses(value: Any, where: str) -> None:
    """Checks an address, an object that holds one as its `url`, or a list of either."""
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, dict):
            for key, address in one.items():
                if fold(key) == "url":
                    check_address(address, where)
        else:
            check_address(one, where)


def check_address(value: Any, where: str) -> None:
    """Raises BadBody for an address that is no `data:` URL."""
    if isinstance(value, str) and value.strip() and not is_data(value):
        raise refusal(where)


def check_content(value: Any, where: str) -> None:
    """Raises BadBody for an address in the place of base64, which has no colon and no scheme."""
    if isinstance(value, str) and not is_data(value) and (":" in value[:MAX_SCHEME] or value.lstrip().startswith("//")):
        raise refusal(where)


def is_data(value: str) -> bool:
    """Tells whether a text begins as a `data:` URL does."""
    return value[: MAX_SCHEME + len(DATA)].strip()[: len(DATA)].lower() == DATA


def refusal(where: str) -> BadBody:
    """Says that a file has to be in the request."""
    return BadBody(
        f"{where} is an address: images and files are not fetched. Send the content itself, as base64 or a data: URL."
    )
