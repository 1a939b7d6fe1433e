import os
import signal

child = os.fork()
if not child:
    signal.signal(signal.SIGINT, lambda *_: print("grandchild heard SIGINT", flush=True))
    while True:
        signal.pause()
signal.signal(signal.SIGINT, lambda *_: os._exit(0))
print(f"grandchild {child}", flush=True)
while True:
    signal.pause()
