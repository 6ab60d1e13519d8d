"""The gateway's own settings with fixed secrets, so that tests never touch a `.env`."""

from __future__ import annotations

import os

os.environ["GATEWAY_ENV_FILE"] = os.devnull
os.environ.setdefault("SECRET_KEY", "tests-only-secret-key-" + "x" * 40)
os.environ.setdefault("KEY_PEPPER", "tests-only-pepper-" + "y" * 40)

from gateway.settings import *  # noqa: E402, F403 -- the environment must be set first
