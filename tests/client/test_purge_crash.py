"""Kill a host at random moments of a purge, and look for what was purged.

`TINYCHAIN_KILLS` says how often, `TINYCHAIN_CRASH_SEED` at which moments. After each restart, the first read that succeeds either
shows all rows of the user, as if there had been no purge, or none; then, and if the purge was acknowledged, no file has
anything of them any more.
"""

import json
import os
import random
import threading
import time

import requests

from support import DEADLINE, poll, same
from test_chain_policies import USERS, chain, files_with, is_erased, rows_of, service

KILLS = int(os.environ.get("TINYCHAIN_KILLS", "6"))
SEED = int(os.environ.get("TINYCHAIN_CRASH_SEED", str(random.randrange(1 << 30))))
# Small memtables, so that there is something to erase in segments, too.
FLAGS = ["--address=127.0.0.1", "--memtable_size=64K", "--cache_size=1M", "--log_level=warn", "--request_ttl=20"]
ROWS = 3


class Purge(threading.Thread):
    """Purges a user. `reply` is what was acknowledged."""

    def __init__(self, url, user):
        super().__init__(daemon=True)
        self.url, self.user = url, user
        self.reply = None

    def run(self):
        try:
            reply = requests.post(f"{self.url}/chain/purge", json={"owner": self.user}, timeout=DEADLINE)
        except requests.RequestException:
            return
        assert reply.status_code == 200, reply.text
        self.reply = reply.json()


def first_rows(url):
    """The rows of a chain, by the first read that succeeds."""

    def rows():
        reply = requests.get(url, timeout=DEADLINE)
        assert reply.status_code in (200, 503), reply.text
        return reply.status_code == 200 and reply.json()["/state/collection/table"][1]

    return poll(rows, "the chain cannot be read")


def test_a_purge_that_is_killed_leaves_nothing(spawn):
    print(f"TINYCHAIN_CRASH_SEED={SEED} TINYCHAIN_KILLS={KILLS}")
    rng = random.Random(SEED)
    process = spawn(*FLAGS)
    host = process.client()
    link = service(host, {"t": chain("compliant", USERS, {"owner": "user"})}) + "/t"
    bobs = [[n, "bob", f"{rng.getrandbits(256):064x}"] for n in range(10)]
    for key, *values in bobs:
        host.put(link, [key], values)
    last = host.get(link + "/chain/info")["last"]
    seen = {"acknowledged": 0, "purged": 0, "kept": 0}
    for kill in range(KILLS):
        user, marker = f"ann{kill}", f"{rng.getrandbits(128):032x}"
        for n in range(ROWS):
            host.put(link, [1000 * (kill + 1) + n], [user, f"{marker}{n}"])
        assert files_with(process, marker) != []
        purge = Purge(process.url + link, user)
        purge.start()
        if rng.random() < 0.5:
            # so that it is killed while it erases
            purge.join(DEADLINE)
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        purge.join(DEADLINE)

        process = spawn(*FLAGS)
        host = process.client()
        rows = first_rows(process.url + link)
        left = [row for row in rows if row[1] == user]
        if purge.reply or not left:
            assert left == []
            assert files_with(process, marker) == []
            seen["acknowledged" if purge.reply else "purged"] += 1
        else:
            assert len(left) == ROWS, "half of a purge survived"
            seen["kept"] += 1
            same(host.post(link + "/chain/purge", {"owner": user})["purged"], ROWS)
            poll(lambda: is_erased(host, link), "not erased")
            assert files_with(process, marker) == []
        if purge.reply:
            same(purge.reply["purged"], ROWS)
        same(rows_of(host, link), bobs)
        same(host.get(link + "/chain/at", last)["/state/collection/table"][1], bobs)
        same(host.get(link + "/chain/owner", "bob"), {"records": len(bobs), "rows": len(bobs)})
        same(host.get(link + "/chain/owner", user), {"records": 0, "rows": 0})
        same(host.get(link + "/chain/verify"), True)
    print(json.dumps({"seed": SEED, **seen}))
    process.stop()
