"""Stand-ins for services on other hosts: one holds its callers until they may go, or for a while; one says what it is told to."""

import http.server
import json
import threading
import time

from support import DEADLINE


class Server:
    """An HTTP server of this process, until the end of a `with`. `requests` are what came: method, path, headers with their names
    in lower case, and body. What is replied is up to `answer`."""

    def __init__(self):
        self.requests = []
        self.lock = threading.Lock()
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def reply(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = (self.command, self.path, headers, body)
                with stand_in.lock:
                    turn = len(stand_in.requests)
                    stand_in.requests.append(request)

                status, document, *more = stand_in.answer(turn, request)
                reply = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                for name, value in more[0].items() if more else ():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_PUT = do_POST = do_DELETE = reply

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, turn, request):
        """The reply to a request, which is the one with this number: a status, a body as JSON, and perhaps headers."""

        raise NotImplementedError

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class StandIn(Server):
    """Answers everything with `1`. `arrived` is set by the first call; each waits for `release`, or `delay` seconds."""

    def __init__(self, delay=None):
        super().__init__()
        self.delay = delay
        self.arrived = threading.Event()
        self.release = threading.Event()

    def answer(self, turn, request):
        self.arrived.set()
        if self.delay is None:
            self.release.wait(DEADLINE)
        else:
            time.sleep(self.delay)
        return 200, 1

    def __exit__(self, *error):
        self.release.set()
        super().__exit__(*error)


class Scripted(Server):
    """Answers with each of `replies` in turn, and with the last of them from then on."""

    def __init__(self, *replies):
        super().__init__()
        self.replies = replies

    def answer(self, turn, request):
        return self.replies[min(turn, len(self.replies) - 1)]
