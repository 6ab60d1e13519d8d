"""LiteLLM's proxy, with a master key and no database, set up as its documentation says is fastest."""

from __future__ import annotations

import json

from benchmarks.rivals import environments
from benchmarks.started import StartedOnPort

KEY = "sk-bench"


class LiteLLM(StartedOnPort):
    """One worker on uvloop, production mode, errors alone logged.

    It reaches the stub by `ollama_chat/`, the way to an Ollama that its documentation recommends.
    """

    name = "LiteLLM"
    speaks = frozenset({"/v1/chat/completions"})
    version = "1.108.7"

    @property
    def target(self) -> dict[str, str]:
        """Which provider it calls, and where."""
        return {"model": "ollama_chat/mistral", "api_base": self.upstream}

    def prepare(self) -> None:
        """Writes its configuration; JSON is YAML too."""
        super().prepare()
        self.headers = {"Authorization": f"Bearer {KEY}"}
        self.commands = environments.python("rival-litellm")
        configuration = {
            "model_list": [{"model_name": "mistral", "litellm_params": self.target}],
            "general_settings": {"master_key": KEY, "disable_spend_logs": True, "disable_error_logs": True},
            "litellm_settings": {"set_verbose": False, "request_timeout": 600},
        }
        loggers = {name: {"level": "ERROR"} for name in ("uvicorn", "uvicorn.access", "uvicorn.error")}
        quiet = {"version": 1, "disable_existing_loggers": False, "loggers": loggers}
        (self.folder / "config.yaml").write_text(json.dumps(configuration))
        (self.folder / "logging.json").write_text(json.dumps(quiet))

    def command(self) -> list[str]:
        """Returns the command of the proxy."""
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--config", str(self.folder / "config.yaml")]
        how = ["--num_workers", "1", "--telemetry", "False", "--log_config", str(self.folder / "logging.json")]
        return [str(self.commands / "litellm"), *where, *how]

    def environment(self) -> dict[str, str]:
        """Returns the environment that its documentation gives for production."""
        return super().environment() | {
            "HOME": str(self.folder),
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
            # Prices come from a file of its own instead of the network.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }


class LiteLLMByOpenAI(LiteLLM):
    """The same by `openai/`, with nothing to translate, as in its documentation's own load tests."""

    name = "LiteLLM openai/"

    @property
    def target(self) -> dict[str, str]:
        """Which provider it calls, and where; a key is asked for, and nobody looks at it."""
        return {"model": "openai/mistral", "api_base": f"{self.upstream}/v1", "api_key": KEY}
