"""Signing requests to a node, written from the words in docs/ alone: it shares no code with SPORE."""

import hashlib
import hmac
import os
from urllib.parse import urlsplit, urlunsplit

import requests

SCHEME = "SPORE-HMAC-SHA256"


def mac(cluster_key, method, target, nonce, body):
    signing_key = hmac.digest(cluster_key, b"SPORE HTTP request signing 1", "sha256")
    text = "\n".join([method, target, nonce, hashlib.sha256(body).hexdigest()])
    return hmac.digest(signing_key, text.encode("ascii"), "sha256").hex()


def nonce(node):
    answer = requests.get(f"{node}/api/auth/nonce", timeout=20)
    answer.raise_for_status()
    return answer.json()["nonce"]


class Signed(requests.auth.AuthBase):
    """Signs what is about to be sent, as it will be sent."""

    def __init__(self, cluster_key):
        self.cluster_key = cluster_key

    def __call__(self, request):
        node = urlunsplit(urlsplit(request.url)._replace(path="", query="", fragment=""))
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        fresh = nonce(node)
        # An empty query is signed as none.
        target = request.path_url.removesuffix("?")
        proof = mac(self.cluster_key, request.method, target, fresh, body)
        request.headers["Authorization"] = f"{SCHEME} nonce={fresh}, mac={proof}"
        return request


def key_from_environment():
    with open(os.environ["SPORE_KEY_FILE"], encoding="ascii") as file:
        return bytes.fromhex(file.read().strip())
