"""Values of the optional capabilities; modules that do not use them do not load them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, get_args

from ._value import Value
from ._value_checks import choice_problems, count_problems, duration_problems, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

RestartPolicy = Literal["no", "on_failure", "always"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RestartSpec(Value):
    """What the host does when an instance's process ends by itself.

    Attributes:
        policy: ``no``, ``on_failure`` (non-zero exit or signal) or ``always``.
        backoff: the first delay; it doubles with each attempt, at most 30 s. Zero means 1 s.
        max_retries: 0 never restarts.

    Raises:
        DriverError: a duration or a number is negative or does not fit the wire, or there is no such policy.

    """

    policy: RestartPolicy = "no"
    backoff: timedelta = timedelta(0)
    max_retries: int = 0

    def __post_init__(self) -> None:
        refuse(
            "RestartSpec",
            (
                *choice_problems("policy", self.policy, get_args(RestartPolicy)),
                *duration_problems("backoff", self.backoff),
                *count_problems("max_retries", self.max_retries),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Object(Value):
    """Something that a config declares inside an engine: a role, a queue, a bucket.

    Attributes:
        kind: with `name`, the identity.
        hash: of its definition (`hash_of`); a change shows as an update in a plan.

    """

    kind: str
    name: str
    hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Resource(Value):
    """Something that exists in a running engine, for dashboards."""

    kind: str
    name: str
    status: str = ""
    info: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Action(Value):
    """Something that a dashboard can do to a resource.

    Attributes:
        kind: the kind of resource that it applies to; empty for the instance itself.
        destructive: whether to ask first.
        input_hint: what to ask for; empty when the action takes no input.

    """

    id: str
    label: str
    kind: str = ""
    destructive: bool = False
    input_hint: str = ""
