"""The admin's look: its name, its colours, its sidebar."""

from __future__ import annotations

from django.templatetags.static import static
from django.urls import reverse, reverse_lazy


def entry(title: str, icon: str, model: str) -> dict[str, object]:
    """Returns an entry of the admin's sidebar, for those who may look at a model."""
    app, _, name = model.partition("_")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{model}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{name}"),
    }


LOOK: dict[str, object] = {
    "SITE_TITLE": "Ollama gateway",
    "SITE_HEADER": "Ollama gateway",
    "SITE_SYMBOL": "key",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("gateway/favicon.svg")}],
    "SITE_URL": lambda _request: reverse("home"),
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [lambda _request: static("gateway/admin.css")],
    "BORDER_RADIUS": "8px",
    "COLORS": {
        # Teal, in the steps that the rest of the look expects.
        "primary": {
            "50": "oklch(98.4% .014 180.72)",
            "100": "oklch(95.3% .051 180.801)",
            "200": "oklch(91% .096 180.426)",
            "300": "oklch(85.5% .138 181.071)",
            "400": "oklch(77.7% .152 181.912)",
            "500": "oklch(63% .12 182.503)",
            "600": "oklch(53% .1 184.704)",
            "700": "oklch(46% .085 186.391)",
            "800": "oklch(40% .07 188.216)",
            "900": "oklch(35% .058 188.416)",
            "950": "oklch(25% .046 192.524)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "navigation": [
            {
                "title": "Access",
                "items": [
                    entry("API keys", "key", "apikeys_key"),
                    entry("Limits", "speed", "apikeys_allowance"),
                    entry("Audit trail", "history", "apikeys_auditentry"),
                    entry("Invalid keys", "gpp_maybe", "apikeys_attemptcount"),
                ],
            },
            {
                "title": "Usage",
                "items": [
                    entry("Usage", "monitoring", "usage_usageday"),
                    entry("Calls", "list", "usage_usagerecord"),
                ],
            },
            {
                "title": "Operators",
                "items": [entry("Users", "person", "auth_user"), entry("Groups", "group", "auth_group")],
            },
        ],
    },
}
