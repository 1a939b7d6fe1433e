"""What goes wrong in the tool, by its exit code."""

from __future__ import annotations


class ModtoolError(Exception):
    """The thing that was looked at or made is wrong: exit code 1. The text is for the person at the terminal."""

    __module__ = "doze_sdk.modtool"


class UsageError(ModtoolError):
    """The command line or a configuration is wrong, and nothing was done: exit code 2."""

    __module__ = "doze_sdk.modtool"
