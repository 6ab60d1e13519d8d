"""Django's settings, all derived from the environment (gateway/env.py)."""

from __future__ import annotations

from datetime import timedelta

import dj_database_url

from gateway import __version__
from gateway.env import BASE_DIR, DEFAULT_OLLAMA_URL, load
from gateway.look import LOOK

ENV = load()

SECRET_KEY = ENV.SECRET_KEY
KEY_PEPPER = ENV.KEY_PEPPER
KEY_PEPPER_FALLBACKS = ENV.KEY_PEPPER_FALLBACKS
OUTAGE_GRACE = ENV.OUTAGE_GRACE
INVALID_KEYS_PER_MINUTE = ENV.INVALID_KEYS_PER_MINUTE
DEBUG = ENV.DEBUG
ALLOWED_HOSTS = ENV.ALLOWED_HOSTS

# `serve` points OLLAMA_URL at the demo engine when it starts one.
OLLAMA_URL = ENV.OLLAMA_URL or DEFAULT_OLLAMA_URL
OLLAMA_MODEL = ENV.OLLAMA_MODEL

INSTALLED_APPS = [
    "gateway",  # before staticfiles, whose runserver it replaces
    "unfold",  # before the admin, whose templates it replaces
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "apikeys",
    "proxy",
    "usage",
    "engine",
]

# People's pages only: the machine lane (gateway/lane.py) goes past all of these but CORS.
MIDDLEWARE = [
    "gateway.cors.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "gateway.input_checks.InputCheckMiddleware",  # before the first one that asks the database
    "django.contrib.sessions.middleware.SessionMiddleware",
    "gateway.middleware.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it answers for logins that were stopped
]

# Guessing a password of the admin: after so many wrong ones for a name from an address, both have to wait.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "apikeys.lockout.client_address"
AXES_LOCKOUT_CALLABLE = "apikeys.lockout.locked_out"
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

ROOT_URLCONF = "gateway.urls"
ASGI_APPLICATION = "gateway.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Connections are not kept (conn_max_age 0): under ASGI a request's thread dies with its connection.
DATABASES = {"default": dj_database_url.parse(ENV.DATABASE_URL, conn_max_age=0)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["NAME"] = str(BASE_DIR / DATABASES["default"]["NAME"])
    # IMMEDIATE: a deferred transaction that turns into a write fails at once, whatever the timeout.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # A server that vanished without a word is noticed in seconds: known keys may outlive it only for so long.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 3,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 5000,
        **DATABASES["default"].get("OPTIONS", {}),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = ["gateway.formats"]

STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "gateway.staticfiles.PrefixedStaticFiles"},
}
STATICFILES_DIRS = [path for path in [BASE_DIR / "static"] if path.is_dir()]
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = False

UNFOLD = LOOK

# TLS ends at the proxy in front.
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{ENV.BASE_PATH}/"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENV.tls
SECURE_HSTS_SECONDS = 31_536_000 if ENV.tls else 0
# Logging into the admin works through a TLS proxy that isn't among TRUSTED_PROXIES, too.
CSRF_TRUSTED_ORIGINS = [
    f"https://{'*' if host.startswith('.') else ''}{host}" for host in ENV.ALLOWED_HOSTS if ENV.tls and host != "*"
]
CSRF_FAILURE_VIEW = "gateway.errors.csrf_failure"
SILENCED_SYSTEM_CHECKS = [
    # A redirect to https comes too late for the key that came in plain text; the proxy closes that port.
    "security.W008",
    # The gateway speaks for its own host name, not for all names below it, nor for browsers' built-in lists.
    "security.W005",
    "security.W021",
]
if not ENV.tls:
    # No HSTS and no secure cookies is what TLS=off means; gateway.W001 speaks up where that is dangerous.
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W012", "security.W016"]
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

# Keys travel in headers, never in cookies, so any origin may be let in. `*` would not cover Authorization.
CORS_URLS_REGEX = r"^/(api/|v1/|health|$)"
CORS_ALLOW_ALL_ORIGINS = ENV.CORS_ALLOWED_ORIGINS == ["*"]
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else ENV.CORS_ALLOWED_ORIGINS
CORS_ALLOW_CREDENTIALS = False
# Allowed whatever a preflight asks for; what it asks for beyond these is allowed too (gateway/cors.py).
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "user-agent",
    "x-api-key",
    "x-request-id",
    # the OpenAI SDK in a browser
    "openai-organization",
    "openai-project",
    "x-stainless-arch",
    "x-stainless-async",
    "x-stainless-helper-method",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-timeout",
    # the Anthropic SDK in a browser
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
]
CORS_EXPOSE_HEADERS = [
    *("request-id", "retry-after", "x-gateway-changed", "x-gateway-warning", "x-request-id", "x-should-retry"),
    *("ratelimit", "ratelimit-policy"),
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")),
    *(f"anthropic-ratelimit-{of}-{what}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")),
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Ollama gateway",
    "DESCRIPTION": (
        "Access to Ollama models. You need an API key. Press **Authorize**, paste your key into the first "
        "field, and *Try it out* works on every endpoint below.\n\n"
        "Every answer carries `X-Request-ID`, which names the request in the gateway's log; send one of your own and "
        "it is kept. Errors say what happened and what to do; beside those listed below, all endpoints answer 405 to "
        "other methods, 408 to a request that arrives too slowly, 431 to headers that are too large, and 500 when the "
        "gateway itself fails."
    ),
    "VERSION": __version__,
    "LICENSE": {"name": "MIT"},
    "SERVE_URLCONF": "gateway.schema_urls",
    "DEFAULT_GENERATOR_CLASS": "proxy.openapi.generator.GatewaySchema",
    "SORT_OPERATIONS": False,
}

# One line a finished request on stdout, written as it is; everything else goes to stderr.  In production all of it is
# JSON (docs/logging.md).
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(message)s"},
        "named": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "gateway.json_logging.JsonFormatter"},
    },
    "filters": {"suspicious": {"()": "gateway.log_filters.SuspiciousInOneLine"}},
    "handlers": {
        "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "plain"},
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json" if ENV.production else "named",
            "filters": ["suspicious"],
        },
        "nowhere": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "gateway": {"level": "INFO"},
        "gateway.calls": {"handlers": ["stdout"], "propagate": False},
        "django": {"handlers": [], "level": "WARNING"},
        # Django writes the path of every 4xx, and its own lines would be a second one a request.
        "django.request": {"level": "ERROR"},
        # Scanners send any Host: an answer of 400 is enough, and a traceback each would hide what matters.
        "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
    },
}
