"""Secrets that stand in files of their own, as containers mount them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from gateway.complaints import HIDDEN, SettingError


class SecretFiles(PydanticBaseSettingsSource):
    """The secrets that containers mount as files: `KEY_PEPPER_FILE=/run/secrets/pepper`."""

    def __init__(self, settings_cls: type[BaseSettings], *named_by: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self.variables: dict[str, str] = {}
        for source in reversed(named_by):
            self.variables.update(getattr(source, "env_vars", {}))

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 -- the base's
        """Returns a secret's value, None where no file is named; raises SettingError when it can't be read."""
        path = self.variables.get(f"{field_name}_FILE", "") if field_name in HIDDEN else ""
        try:
            return Path(path).read_text().strip() if path else None, field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{field_name}_FILE={path!r} can't be read: {error}") from None

    def __call__(self) -> dict[str, Any]:
        """Returns the secrets that files hold."""
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value}
