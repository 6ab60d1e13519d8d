"""What a query may narrow a list of the admin down by: the filters that the page has, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.http import HttpRequest

# What Django's own filters of a field ask for.
OF_FIELDS = ("__exact", "__isnull", "__id__exact")


class OwnFilters:
    """Refuses all lookups but those of the list's filters.

    Django takes any lookup of any field.  Many fail in the database for some values, as years beyond the calendar do,
    and they find out what no page shows, as the digests of keys.
    """

    def lookup_allowed(self, lookup: str, _value: str, request: HttpRequest) -> bool:
        """Tells whether one of the list's filters asks for this."""
        found: set[str] = set()
        for each in self.get_list_filter(request):  # type: ignore[attr-defined] # of the admin beside it
            name: Any = getattr(each, "parameter_name", None)
            found |= {name} if name else {f"{each}{of}" for of in OF_FIELDS}
        return lookup in found
