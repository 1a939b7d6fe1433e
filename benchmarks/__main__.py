"""Every benchmark, one after the other: `python -m benchmarks`, or `make bench`.

Exits with code 1 when a bar was missed. `soak` is not among them: it runs for as long as one says.
"""

from __future__ import annotations

import subprocess
import sys

from .measure import ENVIRONMENT

NAMES = ("start", "hcl", "config", "plugin", "dev")


def main() -> None:
    missed = []
    for name in NAMES:
        print(f"\n== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], env=ENVIRONMENT, check=False)
        if done.returncode:
            missed.append(name)
    sys.exit(f"missed a bar: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
