"""Tokens that are made without the host, and issuers that it can ask for keys."""

import base64
import json
import stat
import time
import urllib.parse

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stand_in import Server
from support import V

HEADER = {"alg": "ES256", "typ": "JWT"}
READ, WRITE, EXECUTE = 0o400, 0o200, 0o100


def encode(data, padding=True):
    text = base64.b64encode(data).decode()
    return text if padding else text.rstrip("=")


class Actor:
    """A key pair, and the tokens that it signs. Its id is its public key, unless it has a name."""

    def __init__(self, secret=None, name=None):
        self.key = Ed25519PrivateKey.from_private_bytes(secret) if secret else Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes_raw()
        self.id = name or {V + "bytes": encode(self.public, padding=False)}

    @classmethod
    def of_host(cls, process):
        """The actor of a host, by the key in its data directory."""

        path = process.data_dir / "tinychain.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        return cls(bytes.fromhex(path.read_text().strip()))

    def token(self, iss, *claims, begin=0, life=60, inherit=None, padding=True, header=HEADER, **fields):
        """A token that claims pairs of path and mode, from `begin` seconds from now on."""

        now = int(time.time()) + begin
        custom = claims[0] if len(claims) == 1 else list(claims)
        body = {"iss": iss, "iat": now, "exp": now + life, "actor_id": self.id, "custom": custom, "inherit": inherit}
        parts = [encode(json.dumps(part).encode(), padding) for part in (header, {**body, **fields})]
        signature = self.key.sign(".".join(parts).encode())
        return ".".join([*parts, encode(signature, padding)])


def bearer(token):
    return {"Authorization": f"Bearer {token}"} if token else {}


class Issuer(Server):
    """A stand-in for a host that says the keys of its actors. `asked` has the path and the key of each look-up."""

    def __init__(self, *actors, delay=0.0):
        super().__init__()
        self.asked = []
        self.actors = actors
        self.delay = delay

    def answer(self, turn, request):
        url = urllib.parse.urlsplit(request[1])
        key = json.loads(urllib.parse.parse_qs(url.query)["key"][0])
        self.asked.append((url.path, key))
        time.sleep(self.delay)
        found = [actor.public for actor in self.actors if same_actor(actor.id, key)]
        return (200, encode(found[0])) if found else (404, {"not_found": "no such actor"})


def same_actor(left, right):
    """Whether two ids are the same, with or without the padding of a key."""

    if isinstance(left, dict) and isinstance(right, dict) and set(left) == set(right) == {V + "bytes"}:
        return left[V + "bytes"].rstrip("=") == right[V + "bytes"].rstrip("=")

    return left == right
