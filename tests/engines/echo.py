import argparse
import contextlib
import os
import selectors
import signal
import socket
import time

options = argparse.ArgumentParser()
options.add_argument("socket")
options.add_argument("--after", type=float, default=0)
options = options.parse_args()

signal.signal(signal.SIGINT, lambda *_: os._exit(0))
print("starting", flush=True)
time.sleep(options.after)
with contextlib.suppress(FileNotFoundError):
    os.unlink(options.socket)
listener = socket.socket(socket.AF_UNIX)
listener.bind(options.socket)
listener.listen(16)
print("ready to accept connections", flush=True)

waiting = selectors.DefaultSelector()
waiting.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in waiting.select():
        if key.fileobj is listener:
            waiting.register(listener.accept()[0], selectors.EVENT_READ)
            continue
        try:
            data = key.fileobj.recv(65536)
            if data:
                key.fileobj.sendall(data)
        except OSError:
            data = b""
        if not data:
            waiting.unregister(key.fileobj)
            key.fileobj.close()
