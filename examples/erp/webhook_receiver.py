#!/usr/bin/env python3
"""Receives webhooks of Printyard and accepts only those that are signed with the secret. Uses the standard library only.

    PRINTYARD_WEBHOOK_SECRET=whsec_… examples/erp/webhook_receiver.py [PORT [HOW_MANY]]

It follows the Standard Webhooks specification. It checks the signature over the received id, time and body, and that the
time is within five minutes. It handles each id once, because Printyard repeats a delivery without a timely response.
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import time

TOLERANCE_S = 5 * 60
LARGEST = 1024 * 1024


class Rejected(Exception):
    pass


def verify(secret, headers, body):
    """Returns the event of a delivery. Raises `Rejected` if the signature is wrong or the delivery is too old."""
    delivery_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(time.time() - int(sent_at)) > TOLERANCE_S:
        raise Rejected("too old, or the clocks differ")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{delivery_id}.{sent_at}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    # During a rotation of the secret there are two signatures. One valid signature is enough.
    given = [part.removeprefix("v1,") for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")]
    if not any(hmac.compare_digest(expected, one) for one in given):
        raise Rejected("the signature does not fit")
    return json.loads(body)


class Receiver(http.server.BaseHTTPRequestHandler):
    # An ERP needs a table with a unique column instead, written in the transaction that applies the event.
    handled = set()
    secret = ""

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        if length > LARGEST:
            return self.answer(413)
        body = self.rfile.read(length)
        try:
            event = verify(self.secret, self.headers, body)
        except Rejected as why:
            print(f"rejected: {why}", flush=True)
            return self.answer(401)
        # Answer soon, because Printyard waits 15 s. Put longer work into your own queue.
        self.answer(204)
        if self.headers["webhook-id"] in self.handled:
            print(f"again: {event['type']}", flush=True)
            return None
        self.handled.add(self.headers["webhook-id"])
        print(f"{event['type']} {event.get('external_ref') or '-'} {json.dumps(event['data'])}", flush=True)
        return None

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8099
    left = int(sys.argv[2]) if len(sys.argv) > 2 else None
    Receiver.secret = os.environ["PRINTYARD_WEBHOOK_SECRET"]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    # Other threads answer the requests. Check every 0.5 s whether the last one was handled.
    server.timeout = 0.5
    while left is None or len(Receiver.handled) < left:
        server.handle_request()
    return 0


if __name__ == "__main__":
    sys.exit(main())
