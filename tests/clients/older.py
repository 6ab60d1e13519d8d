"""Does with the older SDKs what their users do, and prints what came of it; run where requirements/clients.txt is."""

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic
import openai

HELLO: Any = [{"role": "user", "content": "Say one two three four five six seven eight nine."}]
BROKEN: Any = [{"role": "user", "content": "one two three [[error_after=2]]"}]


def of_anthropic(url: str, key: str, model: str) -> dict[str, Any]:
    client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
    said: dict[str, Any] = {"version": anthropic.__version__, "header": next(iter(client.auth_headers))}
    said["message"] = client.messages.create(model=model, messages=HELLO, max_tokens=8).model_dump()
    with client.messages.stream(model=model, messages=HELLO, max_tokens=8) as stream:
        said["streamed"] = "".join(stream.text_stream)
    said["models"] = [one.id for one in client.models.list()]
    said["counted"] = client.messages.count_tokens(model=model, messages=HELLO).input_tokens
    try:
        client.messages.create(model="missing", messages=HELLO, max_tokens=8)
    except anthropic.NotFoundError as error:
        said["unknown"] = [error.message, error.request_id]
    try:
        with client.messages.stream(model="stub", messages=BROKEN, max_tokens=8) as stream:
            list(stream)
    except anthropic.APIStatusError as error:
        said["broken"] = error.message
    return said


def of_openai(url: str, key: str, model: str) -> dict[str, Any]:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    said: dict[str, Any] = {"version": openai.__version__}
    said["chat"] = client.chat.completions.create(model=model, messages=HELLO, max_tokens=8).model_dump()
    chunks = client.chat.completions.create(model=model, messages=HELLO, max_tokens=8, stream=True)
    said["streamed"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    with client.responses.stream(model=model, input="Say one two three.", max_output_tokens=8) as stream:
        said["responded"] = stream.get_final_response().output_text
    said["models"] = [one.id for one in client.models.list()]
    try:
        client.chat.completions.create(model="missing", messages=HELLO)
    except openai.NotFoundError as error:
        said["unknown"] = [error.message, error.code]
    try:
        list(client.chat.completions.create(model="stub", messages=BROKEN, stream=True))
    except openai.APIError as error:
        said["broken"] = error.message
    return said


if __name__ == "__main__":
    sdk, *arguments = sys.argv[1:]
    sys.stdout.write(json.dumps({"anthropic": of_anthropic, "openai": of_openai}[sdk](*arguments)))
