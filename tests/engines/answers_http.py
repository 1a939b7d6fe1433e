import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

statuses = [int(status) for status in sys.argv[2:]]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/")
        self.end_headers()


signal.signal(signal.SIGINT, lambda *_: os._exit(0))
server = HTTPServer(("127.0.0.1", 0), Handler)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(server.server_port))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
