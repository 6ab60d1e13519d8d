"""The people who operate the gateway: Django's users and groups, in the look of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

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
    """A user."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class PeopleAdmin(GroupAdmin, Look):
    """A group of users with the same permissions."""
