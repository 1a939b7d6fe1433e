"""`python -m doze_sdk.modtool`, where the program `modtool` is not on the path."""

import sys

from .cli import main

sys.exit(main())
