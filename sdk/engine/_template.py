"""Template data directories: made once, cloned for each instance."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ._errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def ensure_template_dir(path: Path, ready: Callable[[Path], bool], init: Callable[[Path], None]) -> None:
    """Make the template at *path* by *init* unless *ready* says that it is there.

    It is made in a sibling folder and renamed, so a half-made template never bears the name; of two processes that
    make it at once, one wins and both are content.

    Raises:
        TemplateError: `init` left something that is not ready, or the folder cannot be put in place.

    """
    if ready(path):
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="_tmpl-", dir=path.parent))
    try:
        init(scratch)
        if not ready(scratch):
            raise TemplateError(f"installing template: {path} was initialised and is not complete")
        with _locked(path.parent):
            if not ready(path):
                _install(scratch, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from installing there: without it one could remove what another has just made.

    Where the file system has no locks, the block runs without one.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _install(scratch: Path, path: Path) -> None:
    try:
        if path.exists():
            shutil.rmtree(path)
        scratch.rename(path)
    except OSError as error:
        raise TemplateError(f"installing template: cannot rename {scratch} to {path}: {error.strerror}") from error


def clone_template_dir(template_dir: Path, dest_dir: Path) -> None:
    """Clone *template_dir* to *dest_dir*, sharing blocks where the file system can.

    The clone is made beside *dest_dir* and renamed, so a failure leaves nothing there.

    Raises:
        TemplateError: *dest_dir* already holds something, or the copy failed.

    """
    if dest_dir.is_dir() and any(dest_dir.iterdir()):
        raise TemplateError(f"cloning template into {dest_dir}: the folder is not empty")
    dest_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="_clone-", dir=dest_dir.parent))
    clone = scratch / "clone"
    try:
        flags = ["-Rc"] if sys.platform == "darwin" else ["-a", "--reflink=auto"]
        copy = subprocess.run(
            ["cp", *flags, os.fspath(template_dir), os.fspath(clone)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if copy.returncode:
            raise TemplateError(
                f"cloning template into {dest_dir}: cp exited with code {copy.returncode}\n"
                + copy.stdout.decode(errors="replace").rstrip()
            )
        clone.rename(dest_dir)
    except OSError as error:
        raise TemplateError(f"cloning template into {dest_dir}: {error.strerror}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
