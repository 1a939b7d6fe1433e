"""A driver module that stumbles over its own import."""

from tests.modules.cannot_import import nothing_of_that_name  # noqa: F401
