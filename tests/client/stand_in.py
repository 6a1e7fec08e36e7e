"""Stand-ins for services on other hosts: one holds its callers until they may go, or for a while; one says what it is told to."""

import http.server
import json
import threading
import time

from support import DEADLINE


class StandIn:
    """Answers every GET with `1`. `arrived` is set by the first call; each waits for `release`, or `delay` seconds."""

    def __init__(self, delay=None):
        self.delay = delay
        self.arrived = threading.Event()
        self.release = threading.Event()
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                stand_in.arrived.set()
                if stand_in.delay is None:
                    stand_in.release.wait(DEADLINE)
                else:
                    time.sleep(stand_in.delay)

                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"1\n")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


class Scripted:
    """Answers with each of `replies` in turn, and with the last of them from then on. A reply is a status, a body as JSON, and
    perhaps headers. `requests` are what came: method, path, headers and body."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.requests = []
        self.lock = threading.Lock()
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with stand_in.lock:
                    turn = min(len(stand_in.requests), len(stand_in.replies) - 1)
                    status, document, *headers = stand_in.replies[turn]
                    stand_in.requests.append((self.command, self.path, dict(self.headers), body))

                reply = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                for name, value in headers[0].items() if headers else ():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
