"""When a process counts as ready."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from ._value import Value
from ._value_checks import choice_problems, count_problems, duration_problems, refuse

ReadyKind = Literal["http", "tcp", "exec", "log_line", "socket"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Ready(Value):
    """How to tell that a process serves.

    The host probes at once and then every `interval`, `retries` times: the budget is their product. Its own default
    interval of 1 s would cost every boot a second, so both are set here: every 50 ms for 30 s.

    Attributes:
        kind: ``http`` (GET, 2xx), ``tcp`` (connect to host:port), ``socket`` (connect to a unix socket), ``exec``
            (``sh -c``, exit code 0, in the host's folder and environment), ``log_line`` (an RE2 expression that
            matches a line of the last 200).
        target: URL, address, path, command or expression.
        timeout: of a single probe.
        retries: 0 stands for as many as make a budget of 30 s; after construction it is never 0.

    Raises:
        DriverError: a duration or a number is negative or does not fit the wire, or there is no such kind.

    """

    kind: ReadyKind
    target: str
    interval: timedelta = timedelta(milliseconds=50)
    timeout: timedelta = timedelta(seconds=3)
    retries: int = 0

    def __post_init__(self) -> None:
        refuse(
            "Ready",
            (
                *choice_problems("kind", self.kind, get_args(ReadyKind)),
                *duration_problems("interval", self.interval),
                *duration_problems("timeout", self.timeout),
                *count_problems("retries", self.retries),
            ),
        )
        if not self.retries:
            # Without an interval the host takes 1 s.
            interval = self.interval if self.interval > timedelta(0) else timedelta(seconds=1)
            object.__setattr__(self, "retries", -(timedelta(seconds=-30) // interval))
