"""The people who operate the gateway: Django's users and groups, in the look of the rest.

Nobody gives permissions that they don't have, nor changes a user or a group that has more: a password that somebody can
reset is an account that they can use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q
from django.http import HttpRequest
from django.urls import URLPattern
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apikeys.admin.lookups import OwnFilters
from apikeys.admin.stepping import named_pages
from apikeys.delegation import ASSIGN_OWNER

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser
    from django.db.models import Field, QuerySet

    Look = object
    PersonModelAdmin = UserAdmin[User]
else:
    PersonModelAdmin = UserAdmin  # takes no type argument at run time
    from unfold.admin import ModelAdmin as Look  # it has no types

admin.site.unregister(User)
admin.site.unregister(Group)


def permissions_of(user: User | AnonymousUser) -> QuerySet[Permission]:
    """Returns the permissions that a user has been given, by groups too; an inactive user's count."""
    if user.is_superuser:
        return Permission.objects.all()
    return Permission.objects.filter(Q(user=user.pk) | Q(group__user=user.pk)).distinct()


def grantable_groups(user: User | AnonymousUser) -> QuerySet[Group]:
    """Returns the groups that have no permission which the user doesn't have."""
    if user.is_superuser:
        return Group.objects.all()
    return Group.objects.exclude(permissions__in=Permission.objects.exclude(pk__in=permissions_of(user).values("pk")))


def outranks(user: User | AnonymousUser, other: User) -> bool:
    """Tells whether a user has all that another one has."""
    if user.is_superuser:
        return True
    return (
        not other.is_superuser and not permissions_of(other).exclude(pk__in=permissions_of(user).values("pk")).exists()
    )


class Bounded:
    """Offers a user of the admin no permissions and no groups beyond the user's own."""

    def formfield_for_manytomany(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Leaves out what the user may not give."""
        if db_field.name in ("permissions", "user_permissions"):
            kwargs["queryset"] = permissions_of(request.user).select_related("content_type")
        elif db_field.name == "groups":
            kwargs["queryset"] = grantable_groups(request.user)
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc] # of the admin beside it


@admin.register(User)
class PersonAdmin(OwnFilters, Bounded, PersonModelAdmin, Look):
    """A user; what is done to one's keys by deleting one is done in the name of whoever does it."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def get_urls(self) -> list[URLPattern]:
        """Lets whoever changes users be named in the audit trail."""
        return named_pages(super().get_urls())

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Leaves making superusers to superusers."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Leaves those alone who have more; a user's password is changed under this permission, too."""
        return super().has_change_permission(request, obj) and (obj is None or outranks(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Leaves those alone who have more; without their owner, keys are free of the owner's limits."""
        may = super().has_delete_permission(request, obj) and request.user.has_perm(ASSIGN_OWNER)
        return may and (obj is None or outranks(request.user, obj))


@admin.register(Group)
class PeopleAdmin(OwnFilters, Bounded, GroupAdmin, Look):  # type: ignore[misc] # its stubs narrow a method of Bounded
    """A group of users with the same permissions."""

    def get_urls(self) -> list[URLPattern]:
        """Lets whoever changes groups be named in the audit trail."""
        return named_pages(super().get_urls())

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Leaves groups alone that have more than the user."""
        return super().has_change_permission(request, obj) and within_own(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Leaves them alone, likewise."""
        return super().has_delete_permission(request, obj) and within_own(request, obj)


def within_own(request: HttpRequest, group: Group | None) -> bool:
    """Tells whether a group has no permission that the page's user doesn't have."""
    return group is None or grantable_groups(request.user).filter(pk=group.pk).exists()
