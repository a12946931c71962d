#!/usr/bin/env python3
"""Receives webhooks of Printyard, verifies their signature and stores each event once. Standard library only.

    PRINTYARD_WEBHOOK_SECRET=whsec_… PRINTYARD_WEBHOOK_INBOX=inbox.db examples/erp/webhook_receiver.py [PORT [HOW_MANY]]

The receiver stores an event before it answers 204, and handles it after that. If it stops in between, it handles the stored
event at the next start. PRINTYARD_WEBHOOK_INBOX is the SQLite file of the stored events. Without it, they are in memory
only and are lost when the receiver stops.

It checks what the Standard Webhooks specification requires:
- the signature over the id, the time and the unchanged body;
- that the time differs by at most five minutes from its own clock;
- that an id is new. Printyard sends an event again with the same id if the answer did not arrive in time.
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import sqlite3
import sys
import threading
import time

TOLERANCE_S = 5 * 60
MAX_BODY_BYTES = 1024 * 1024


class Rejected(Exception):
    pass


class Inbox:
    """The received events, one row per `webhook-id`. In an ERP, this is a table of its database."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.handled = 0
        self.db = sqlite3.connect(path, check_same_thread=False)
        with self.db:
            self.db.execute("CREATE TABLE IF NOT EXISTS inbox (id TEXT PRIMARY KEY, event TEXT NOT NULL, handled INT DEFAULT 0)")

    def store(self, delivery_id, event):
        """Stores an event. Returns False if its id is stored already."""
        with self.lock, self.db:
            row = (delivery_id, json.dumps(event))
            return self.db.execute("INSERT OR IGNORE INTO inbox (id, event) VALUES (?, ?)", row).rowcount == 1

    def unhandled(self):
        """Returns the events that are stored and not handled, oldest first."""
        with self.lock:
            rows = self.db.execute("SELECT id, event FROM inbox WHERE handled = 0 ORDER BY rowid").fetchall()
        return [(delivery_id, json.loads(event)) for delivery_id, event in rows]

    def mark_handled(self, delivery_id):
        with self.lock, self.db:
            self.db.execute("UPDATE inbox SET handled = 1 WHERE id = ?", (delivery_id,))
            self.handled += 1


def verify(secret, headers, body):
    """Returns the event of a delivery. Raises `Rejected` if its signature does not match or its time is too far off."""
    delivery_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(time.time() - int(sent_at)) > TOLERANCE_S:
        raise Rejected("the delivery is too old, or the clocks differ")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{delivery_id}.{sent_at}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    # While a secret is replaced, a delivery has two signatures. One that matches is enough.
    signatures = [part.removeprefix("v1,") for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")]
    if not any(hmac.compare_digest(expected, signature) for signature in signatures):
        raise Rejected("the signature does not match")
    return json.loads(body)


class Receiver(http.server.BaseHTTPRequestHandler):
    secret = ""
    inbox = None

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        if length > MAX_BODY_BYTES:
            return self.respond(413)
        body = self.rfile.read(length)
        try:
            event = verify(self.secret, self.headers, body)
        except Rejected as error:
            print(f"rejected: {error}", flush=True)
            return self.respond(401)
        delivery_id = self.headers["webhook-id"]
        # Store first, then answer: after a 2xx, Printyard does not send the event again. If storing fails, the exception
        # closes the connection without an answer, and Printyard sends the event again later.
        is_new = self.inbox.store(delivery_id, event)
        # Printyard waits 15 s for the answer. Longer work comes after it.
        self.respond(204)
        if is_new:
            handle_event(delivery_id, event)
        else:
            print(f"again: {event['type']}", flush=True)
        return None

    def respond(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def handle_event(delivery_id, event):
    """In an ERP: make the change and mark the event as handled in one transaction."""
    print(f"{event['type']} {event.get('external_ref') or '-'} {json.dumps(event['data'])}", flush=True)
    Receiver.inbox.mark_handled(delivery_id)


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8099
    how_many = int(sys.argv[2]) if len(sys.argv) > 2 else None
    Receiver.secret = os.environ["PRINTYARD_WEBHOOK_SECRET"]
    Receiver.inbox = Inbox(os.environ.get("PRINTYARD_WEBHOOK_INBOX", ":memory:"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    # Events that were stored, but not handled, before the last stop.
    for delivery_id, event in Receiver.inbox.unhandled():
        handle_event(delivery_id, event)
    # Each request is answered in its own thread, so check twice a second whether the last one is handled.
    server.timeout = 0.5
    while how_many is None or Receiver.inbox.handled < how_many:
        server.handle_request()
    return 0


if __name__ == "__main__":
    sys.exit(main())
