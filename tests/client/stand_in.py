"""A stand-in for a service on another host: it holds its callers until they may go, or for a while."""

import http.server
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
