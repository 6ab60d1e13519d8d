"""The gateway's own settings with fixed secrets: neither a `.env` nor the developer's environment reaches a test."""

from __future__ import annotations

import os

from gateway.env import Env

for name in (*Env.model_fields, "NODE_ENV"):
    os.environ.pop(name, None)
os.environ["GATEWAY_ENV_FILE"] = os.devnull
os.environ["SECRET_KEY"] = "tests-only-secret-key-" + "x" * 40
os.environ["KEY_PEPPER"] = "tests-only-pepper-" + "y" * 40

from gateway.settings import *  # noqa: E402, F403 -- it reads the environment that was just set, and all its names are wanted

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick, for users that tests make up
