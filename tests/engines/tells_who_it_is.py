import json
import os
import signal
import sys

signal.signal(signal.SIGINT, lambda *_: os._exit(0))
print(
    json.dumps(
        {
            "pid": os.getpid(),
            "session": os.getsid(0),
            "group": os.getpgrp(),
            "cwd": os.getcwd(),
            "env": dict(os.environ),
            "stdin": sys.stdin.read(),
            "argv": sys.argv[1:],
        }
    ),
    flush=True,
)
while True:
    signal.pause()
