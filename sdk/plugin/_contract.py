"""The constants by which a doze host and its modules find each other."""

from __future__ import annotations

from .kernel import Handshake

PROTOCOL_VERSION = 1
"""The version of the plugin protocol that this SDK speaks: in the handshake, in the module index, in every check."""

SERVICE = "dozeplugin.v1.Engine"
"""The gRPC service of a module."""

HANDSHAKE = Handshake(cookie_key="DOZE_PLUGIN", cookie_value="engine")
"""doze's magic cookie."""

START_BUDGET = 30.0
"""Seconds after which our tools take a module that has not announced itself for one that hangs.

doze's daemon has 10 s to come up, the starts of all its modules included; a machine under load gets more from us.
"""


def is_private(variable: str) -> bool:
    """Tell whether an environment variable is meant for a plugin's own process and for none of its children."""
    return variable == HANDSHAKE.cookie_key or variable.startswith("PLUGIN_")
