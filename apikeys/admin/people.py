"""The people who operate the gateway: Django's users and groups, in the look of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.urls import URLPattern
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apikeys.admin.stepping import named_pages

if TYPE_CHECKING:
    Look = object
    PersonModelAdmin = UserAdmin[User]
else:
    PersonModelAdmin = UserAdmin  # takes no type argument at run time
    from unfold.admin import ModelAdmin as Look  # it has no types

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(PersonModelAdmin, Look):
    """A user; what is done to one's keys by deleting one is done in the name of whoever does it."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def get_urls(self) -> list[URLPattern]:
        """Lets whoever changes users be named in the audit trail."""
        return named_pages(super().get_urls())


@admin.register(Group)
class PeopleAdmin(GroupAdmin, Look):
    """A group of users with the same permissions."""
