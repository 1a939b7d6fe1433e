"""What a person is told when a driver raises: the message, and where in the author's code it came from."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ..engine import EngineError

if TYPE_CHECKING:
    from types import TracebackType

# Bytes. gRPC carries a status message in a header; grpc-go takes 16 MiB of headers, older hosts far less. 30 kB were
# seen to arrive.
LIMIT = 30_000

_SDK = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - at plugin start pathlib may not be loaded


def describe_failure(error: BaseException, root: str | None = None) -> str:
    """Return *error* as a sentence with the author's file and line.

    Args:
        root: the folder of the author's package; frames below it are preferred as the place.

    """
    text = _told(error) if isinstance(error, EngineError) else ""
    place = _place(error.__traceback__, root)
    told = [f"{text or _named(error)} ({place})" if place else text or _named(error), *_notes(error)]
    if isinstance(error, BaseExceptionGroup):
        told += [describe_failure(part, root) for part in error.exceptions]
    return "\n".join(told)


def _named(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{name}: {error.msg} ({error.filename}:{error.lineno})"
    text = _told(error)
    return f"{name}: {text}" if text else name


def _told(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failed:  # noqa: BLE001 - __str__ is the author's code as well
        return f"(its text cannot be had: {type(failed).__name__})"


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", ())
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _place(traceback: TracebackType | None, root: str | None) -> str:
    best, rank = "", 1
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if (here := _rank(filename, root)) >= rank:
            best, rank = f"{_shown(filename, root)}:{traceback.tb_lineno}", here
        traceback = traceback.tb_next
    return best


def _rank(filename: str, root: str | None) -> int:
    """Return 2 for the author's package, 1 for other code that is not ours nor the standard library, else 0."""
    if root and filename.startswith(root + os.sep):
        return 2
    inside = (_SDK, sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), "<")  # noqa: PTH120 - see above
    return 0 if filename.startswith(inside) else 1


def _shown(filename: str, root: str | None) -> str:
    if root and filename.startswith(root + os.sep):
        return os.path.join(os.path.basename(root), filename[len(root) + 1 :])  # noqa: PTH118, PTH119 - see above
    return filename
