"""The forms of the operator's pages for keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib.auth import get_user_model
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apikeys.delegation import OPERATOR, change_excesses, excesses
from apikeys.lists import SCOPES, parts
from apikeys.models import Allowance, Key
from apikeys.models.allowance import LARGEST

if TYPE_CHECKING:
    from datetime import timedelta

    KeyModelForm = forms.ModelForm[Key]
else:
    KeyModelForm = forms.ModelForm  # takes no type argument at run time

LIMITS = tuple(Allowance.Dimension.values)
SCOPE_CHOICES = [(scope, f"{scope}: {meaning}") for scope, meaning in SCOPES.items()]
ONE_LINE = ("models", "routes", "addresses", "context_window", "keyless_networks")


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

    requests_per_minute = amount(Allowance.Dimension.REQUESTS_PER_MINUTE, "In any 60 seconds.")
    tokens_per_minute = amount(
        Allowance.Dimension.TOKENS_PER_MINUTE, "Refills continuously; bursts of up to one sixth are allowed."
    )
    concurrency = amount(Allowance.Dimension.CONCURRENCY)
    tokens_per_day = amount(Allowance.Dimension.TOKENS_PER_DAY, "Resets at midnight UTC.")
    tokens_per_month = amount(Allowance.Dimension.TOKENS_PER_MONTH, "Resets on the first of the month, UTC.")
    tokens_total = amount(Allowance.Dimension.TOKENS_TOTAL, "Lifetime total; never resets.")
    output_tokens = amount(Allowance.Dimension.OUTPUT_TOKENS, "Maximum length of one answer.")

    def limits(self) -> dict[str, int | None]:
        """Returns the limits as the form has them, None where there is none."""
        return {name: self.cleaned_data.get(name) for name in LIMITS}


class KeyForm(LimitFields, KeyModelForm):
    """A key's fields, its scopes as boxes to tick, and its limits, which stand in a table of their own."""

    authority = OPERATOR  # of whoever fills it in

    scopes = forms.MultipleChoiceField(
        choices=SCOPE_CHOICES,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        initial=["inference"],
        required=False,
        help_text="Permissions. Defaults to inference.",
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
            "allow_in_path",
            "keyless_networks",
            "body_limit",
            "context_window",
            "expires",
        )

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        for name in ONE_LINE:
            if name in self.fields:
                self.fields[name].widget = UnfoldAdminTextInputWidget()
        if "note" in self.fields:
            self.fields["note"].widget = UnfoldAdminTextareaWidget(attrs={"rows": 2})
        if not self.instance.pk and "label" in self.fields:
            self.fields["label"].widget.attrs["autofocus"] = True
        if self.authority.owners is not None and "owner" in self.fields:
            owner = cast("forms.ModelChoiceField[Any]", self.fields["owner"])
            owner.queryset = get_user_model().objects.filter(pk__in=self.authority.owners)
            owner.initial = next(iter(self.authority.owners), None)
        if "scopes" in self.fields:
            allowed = self.authority.scopes
            cast("forms.MultipleChoiceField", self.fields["scopes"]).choices = [
                each for each in SCOPE_CHOICES if each[0] in allowed
            ]
        if self.instance.pk:
            self.initial["scopes"] = list(parts(self.instance.scopes))
            self.initial.update(self.instance.limits)

    def clean(self) -> dict[str, Any] | None:
        """Gives a key its owner and team where there is but one to give, as the API does."""
        cleaned = super().clean()
        for name, allowed in (("owner", self.authority.owners), ("team", self.authority.teams)):
            if (
                allowed is not None
                and len(allowed) == 1
                and not self.cleaned_data.get(name)
                and name not in self.errors
            ):
                (only,) = allowed
                value = get_user_model().objects.filter(pk=only).first() if name == "owner" else only
                self.cleaned_data[name] = value
        return cleaned

    def _post_clean(self) -> None:
        """Refuses what whoever fills in the form may not give, once the key has all its fields."""
        before = self.instance.limits if self.instance.pk else None
        super()._post_clean()  # type: ignore[misc] # Django's own place for what needs the whole object
        if self.errors:
            return
        limits = {name: amount for name, amount in self.limits().items() if amount}
        found = (
            excesses(self.authority, self.instance, limits)
            if before is None
            else change_excesses(self.authority, self.instance, before, limits)
        )
        excess = list(found)
        if excess:
            self.add_error(None, f"You can't give, or change, more than you may: {'; '.join(excess)}.")

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
