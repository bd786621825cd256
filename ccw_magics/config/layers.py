"""Two configs as one: a project's, over the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeVar

from ccw_magics.config.models import Config, Endpoint, Provider
from ccw_magics.config.trust import Risk, risks

USER_PATH: Final = Path(".ccw", "config", "litellm-api-config.json")
"""The user's own file, below the home directory: keys that are set up once, for every project."""
Origin = Literal["project", "user"]
NamedT = TypeVar("NamedT", Provider, Endpoint)


def merged(project: Config, user: Config) -> Config:
    """The project's config with what only the user's own one has; the project wins by id, and setting by setting.

    Args:
        project: As its file has it.
        user: Likewise.
    """
    given = project.model_fields_set
    return project.model_copy(
        update={
            "providers": _together(project.providers, user.providers),
            "endpoints": _together(project.endpoints, user.endpoints),
            "default_endpoint": project.default_endpoint or user.default_endpoint,
            **{
                name: getattr(user, name)
                for name in ("global_cache_settings", "budget", "journal")
                if name not in given and name in user.model_fields_set
            },
        }
    )


def of_the_project(project: Config, user: Config) -> list[Risk]:
    """What the project brings that needs the user's consent: all but what his own file says by itself.

    Args:
        project: As its file has it.
        user: Likewise.
    """
    own = risks(user)
    return [risk for risk in risks(merged(project, user)) if risk not in own]


def _together(project: list[NamedT], user: list[NamedT]) -> list[NamedT]:
    taken = [item.id for item in project]
    return project + [item for item in user if item.id not in taken]
