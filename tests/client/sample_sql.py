"""A host that is asked in SQL, for the tests of SQL."""

import io

import pytest
import requests

from support import HostProcess, error_of

ARROW = "application/vnd.apache.arrow.stream"
SERVICE = "/service/sql/public/0.0.0"
# A debug build plans slowly, and these tests share the machine with others.
FLAGS = ["--address=127.0.0.1", "--log_level=warn", "--request_ttl=60"]
TIMEOUT = 120


class Sql:
    """Requests to `/sql` of one host, over connections that are kept alive."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()

    def post(self, text, *params, headers=None, **fields):
        """The response to a script."""

        body = {"sql": text, **fields}
        if params:
            body["params"] = list(params)

        return self.session.post(self.url + "/sql", json=body, headers=headers, timeout=TIMEOUT)

    def reply(self, text, *params, **fields):
        """The reply to a script that succeeds."""

        response = self.post(text, *params, **fields)
        assert response.status_code == 200, f"{response.text}: {text}"
        assert response.headers["content-type"] == "application/json"
        return response.json()

    def run(self, text, *params):
        """The number of rows that a script wrote."""

        reply = self.reply(text, *params)
        assert set(reply) == {"rows_affected"}, reply
        return reply["rows_affected"]

    def query(self, text, *params):
        """The columns and the rows of a query."""

        reply = self.reply(text, *params)
        assert set(reply) == {"columns", "rows"}, reply
        return reply["columns"], reply["rows"]

    def rows(self, text, *params):
        return self.query(text, *params)[1]

    def value(self, text, *params):
        """The one cell of a query."""

        ((cell,),) = self.rows(text, *params)
        return cell

    def arrow(self, text, *params):
        """The rows of a query, which are streamed as Arrow batches."""

        import pyarrow.ipc

        response = self.post(text, *params, headers={"accept": ARROW})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == ARROW
        with pyarrow.ipc.open_stream(io.BytesIO(response.content)) as stream:
            return stream.read_all()

    def refused(self, status, kind, text, *params, **fields):
        """The message of the error that a script is refused with."""

        return error_of(self.post(text, *params, **fields), status, kind)

    def tables(self):
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name"
        return [name for (name,) in self.rows(query)]

    def drop_all(self):
        for name in self.tables():
            self.run(f'DROP TABLE "{name}"')


def start(request, tmp_path_factory, name, *flags):
    """A host of a module, as a generator for its fixture."""

    if request.config.getoption("--offline"):
        pytest.skip("no host")

    host = HostProcess(tmp_path_factory.mktemp(name), *FLAGS, *flags).start()
    try:
        yield host
        host.stop()
    finally:
        host.kill()
