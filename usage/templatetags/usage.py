"""Puts usage on pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

from usage.pages import page
from usage.pictures import About

if TYPE_CHECKING:
    from django.template import Context

register = template.Library()
MAY_SEE = "usage.view_usageday"


@register.inclusion_tag("usage/report.html", takes_context=True)
def usage_report(context: Context, about: About | None = None) -> dict[str, Any]:
    """Shows everybody's or somebody's usage in the period that the query names, to those who may see it."""
    request = context["request"]
    if not request.user.has_perm(MAY_SEE):
        return {"hidden": True}
    days = (request.GET.get("since", "").strip(), request.GET.get("until", "").strip())
    return page(about or About(), request.GET.get("period", ""), days=days)
