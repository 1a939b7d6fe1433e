"""What /proc says about processes, and how long a test waits for it to say something else."""

import time
from pathlib import Path

CEILING = 10.0


def is_running(pid):
    """Whether the process exists and is more than a zombie that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition, ceiling=CEILING):
    deadline = time.monotonic() + ceiling
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
