"""What every section of the settings is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the settings file: unknown keys are faults, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
