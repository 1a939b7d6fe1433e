import os
import signal
import time

signal.signal(signal.SIGINT, lambda *_: os._exit(0))
tick = 0
while True:
    tick += 1
    print(f"still warming up, step {tick}", flush=True)
    time.sleep(0.05)
