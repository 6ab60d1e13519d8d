"""The forms of the operator's pages for keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apikeys.lists import SCOPES, parts
from apikeys.models import Allowance, Key
from apikeys.models.allowance import LARGEST

if TYPE_CHECKING:
    from datetime import timedelta

    KeyModelForm = forms.ModelForm[Key]
else:
    KeyModelForm = forms.ModelForm  # takes no type argument at run time

LIMITS = tuple(Allowance.Dimension.values)
ONE_LINE = ("models", "routes", "addresses")


def amount(dimension: Allowance.Dimension, help_text: str = "") -> forms.IntegerField:
    """Returns a field for one limit."""
    return forms.IntegerField(
        min_value=1,
        max_value=LARGEST,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
        label=dimension.label.capitalize(),
        help_text=help_text,
    )


class LimitFields(forms.Form):
    """The limits of a key, an owner or a team; an empty field sets none."""

    requests_per_minute = amount(Allowance.Dimension.REQUESTS_PER_MINUTE, "In any sixty seconds.")
    tokens_per_minute = amount(Allowance.Dimension.TOKENS_PER_MINUTE, "Evenly, a sixth of them at once.")
    concurrency = amount(Allowance.Dimension.CONCURRENCY)
    tokens_per_day = amount(Allowance.Dimension.TOKENS_PER_DAY, "From midnight to midnight UTC.")
    tokens_per_month = amount(Allowance.Dimension.TOKENS_PER_MONTH, "A calendar month, UTC.")
    tokens_total = amount(Allowance.Dimension.TOKENS_TOTAL, "For good; raise it to give more.")
    output_tokens = amount(Allowance.Dimension.OUTPUT_TOKENS, "The most that one answer may have.")

    def limits(self) -> dict[str, int | None]:
        """Returns the limits as the form has them, None where there is none."""
        return {name: self.cleaned_data.get(name) for name in LIMITS}


class KeyForm(LimitFields, KeyModelForm):
    """A key's fields, its scopes as boxes to tick, and its limits, which stand in a table of their own."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {meaning}") for scope, meaning in SCOPES.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        initial=["inference"],
        required=False,
        help_text="What the key is good for; without any, inference.",
    )

    class Meta:
        """All that people may change by hand, but whether the key is enabled: that has a button."""

        model = Key
        fields = (
            "label",
            "owner",
            "team",
            "note",
            "scopes",
            "models",
            "routes",
            "addresses",
            "body_limit",
            "expires",
        )

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        for name in ONE_LINE:
            if name in self.fields:
                self.fields[name].widget = UnfoldAdminTextInputWidget()
        if "note" in self.fields:
            self.fields["note"].widget = UnfoldAdminTextareaWidget(attrs={"rows": 2})
        if self.instance.pk:
            self.initial["scopes"] = list(parts(self.instance.scopes))
            self.initial.update(self.instance.limits)

    def clean_scopes(self) -> str:
        """Returns the ticked boxes as they are stored."""
        return ",".join(self.cleaned_data["scopes"]) or "inference"


class RotateForm(forms.Form):
    """How long the old secret stays good."""

    CHOICES = (
        ("24h", "24 hours"),
        ("1h", "1 hour"),
        ("7d", "7 days"),
        ("30d", "30 days"),
        ("0", "Not at all: ends now"),
    )
    grace = forms.ChoiceField(choices=CHOICES, widget=UnfoldAdminSelectWidget, label="The old secret stays good for")

    def duration(self) -> timedelta:
        """Returns that time; the form must be valid."""
        from apikeys.expiry import parse_duration

        return parse_duration(self.cleaned_data["grace"])
