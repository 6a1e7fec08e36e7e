"""Kill a host at random moments while clients write, and look at what it remembers.

`TINYCHAIN_KILLS` says how often (a few in the suite; hundreds by the command in the README), `TINYCHAIN_CRASH_SEED` which moments.

Each client owns some rows and writes rounds: in one transaction, the number of the round to two rows of its own. It notes a round when
it was acknowledged. After each restart, both rows of a client must hold the same round (none half done), which is the last
one that was acknowledged or the one that was in flight (none lost), and the secondary index must agree with the rows.
"""

import json
import os
import random
import threading
import time

import requests

KILLS = int(os.environ.get("TINYCHAIN_KILLS", "6"))
SEED = int(os.environ.get("TINYCHAIN_CRASH_SEED", str(random.randrange(1 << 30))))
CLIENTS = 8
PAYLOAD = "x" * 200


def sql(url, text, params=(), **fields):
    return requests.post(f"{url}/sql", json={"sql": text, "params": list(params), **fields}, timeout=10)


class Client(threading.Thread):
    """Writes rounds until it is told to stop or the host is gone."""

    def __init__(self, url, number, begun):
        super().__init__(daemon=True)
        self.url, self.number = url, number
        self.acknowledged = self.begun = begun
        self.stopping = False
        self.refused = []

    def run(self):
        while not self.stopping:
            self.begun = self.acknowledged + 1
            script = "BEGIN; " + "; ".join(
                f"UPDATE rounds SET round = {self.begun}, note = '{PAYLOAD}{self.begun}' WHERE id = {2 * self.number + half}"
                for half in (0, 1)
            ) + "; COMMIT"
            try:
                reply = sql(self.url, script)
            except requests.RequestException:
                return
            if reply.status_code == 200:
                self.acknowledged = self.begun
            elif reply.status_code not in (409, 503, 500):
                self.refused.append(reply.text)
                return


def check(url, clients):
    reply = sql(url, "SELECT id, round FROM rounds ORDER BY id")
    assert reply.status_code == 200, reply.text
    rounds = dict(reply.json()["rows"])
    assert len(rounds) == 2 * CLIENTS
    for client in clients:
        first, second = rounds[2 * client.number], rounds[2 * client.number + 1]
        assert first == second, f"client {client.number}: half of a transaction survived: {first} and {second}"
        assert first in (client.acknowledged, client.begun), (
            f"client {client.number}: round {first} after {client.acknowledged} was acknowledged, {client.begun} begun"
        )
        client.acknowledged = client.begun = first
        found = sql(url, "SELECT id FROM rounds WHERE round = $1 ORDER BY id", [first]).json()["rows"]
        assert [2 * client.number] in found and [2 * client.number + 1] in found, "the index lost rows"


def test_a_killed_host_remembers_what_it_acknowledged(spawn, tmp_path):
    print(f"TINYCHAIN_CRASH_SEED={SEED} TINYCHAIN_KILLS={KILLS}")
    rng = random.Random(SEED)
    # Small memtables, so that checkpoints and merges are killed too.
    flags = ["--address=127.0.0.1", "--memtable_size=64K", "--cache_size=1M", "--log_level=warn"]
    host = spawn(*flags)
    reply = sql(host.url, "CREATE TABLE rounds (id BIGINT PRIMARY KEY, round BIGINT NOT NULL, note VARCHAR(300)); "
                          "CREATE INDEX by_round ON rounds (round)")
    assert reply.status_code == 200, reply.text
    values = ", ".join(f"({row}, 0, '')" for row in range(2 * CLIENTS))
    assert sql(host.url, f"INSERT INTO rounds VALUES {values}").json() == {"rows_affected": 2 * CLIENTS}
    clients = [Client(host.url, number, 0) for number in range(CLIENTS)]
    for kill in range(KILLS):
        for client in clients:
            client.url = host.url
            client.start()
        time.sleep(rng.uniform(0.0, 0.4))
        host.kill()
        for client in clients:
            client.join(10)
            assert not client.refused, client.refused
        host = spawn(*flags)
        check(host.url, clients)
        clients = [Client(host.url, client.number, client.acknowledged) for client in clients]
    print(json.dumps({"kills": KILLS, "seed": SEED, "rounds": sum(client.acknowledged for client in clients)}))
    host.stop()
