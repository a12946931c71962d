"""A client of Printyard for ERP systems. It repeats only requests that are safe to repeat. Standard library only.

    client = Printyard("http://127.0.0.1:8080", token)
    job = {"command": "start", "file": {"path": "bracket.gcode"}, "select": {"tags_all": ["hall-a"]}}
    batch = client.command(job, ref="MO/00412", key="MO/00412-start")
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

# Statuses after which a request is repeated with the same key. Also 409, if its code is `request_in_progress`.
RETRY_STATUSES = {429, 502, 503, 504}


class Problem(Exception):
    """A response of 4xx or 5xx, with its `status`, its stable `code` and its whole body."""

    def __init__(self, status, body):
        super().__init__(f"{status} {body.get('code')}: {body.get('detail')} (request {body.get('request_id')})")
        self.status, self.code, self.body = status, body.get("code"), body


class Printyard:
    def __init__(self, url, token, timeout_s=300):
        self.base, self.token, self.timeout_s = url.rstrip("/") + "/api/v1", token, timeout_s

    def request(self, method, path, body=None, key=None, wait_s=None):
        """Sends a request, and repeats it until a final response arrives or `timeout_s` is over. A POST with an effect
        needs a key. Use the same key for each repetition of a request, and a new key for each new request."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        if wait_s:
            headers["Prefer"] = f"wait={wait_s}"
        data = None if body is None else json.dumps(body).encode()
        deadline, pause = time.monotonic() + self.timeout_s, 1.0
        while True:
            try:
                request = urllib.request.Request(self.base + path, data, headers, method=method)
                with urllib.request.urlopen(request, timeout=60) as response:
                    text = response.read()
                    return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                problem = Problem(error.code, self._read_problem(error))
                repeatable = error.code in RETRY_STATUSES or problem.code == "request_in_progress"
                if not repeatable or time.monotonic() > deadline:
                    raise problem from None
                pause = float(error.headers.get("Retry-After") or pause)
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                # The connection was lost, so the effect of the request is unknown. With a key it can be repeated safely.
                if (method == "POST" and not key) or time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, 30.0)

    @staticmethod
    def _read_problem(error):
        try:
            return json.loads(error.read())
        except ValueError:
            return {"code": "not_printyard", "detail": "the response is not from Printyard, perhaps from a proxy"}

    def command(self, batch, ref, key):
        """Sends one command to many printers, and returns the batch when every command has ended."""
        created = self.request("POST", "/batches", {**batch, "external_ref": ref}, key=key, wait_s=30)
        while created["result"] is None:
            created = self.request("GET", f"/batches/{created['id']}", wait_s=30)
        return created

    def commands(self, batch_id):
        """Yields every command of a batch."""
        cursor = ""
        while True:
            page = self.request("GET", f"/batches/{batch_id}/commands?limit=500{cursor}")
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = "&cursor=" + urllib.parse.quote(page["next_cursor"])
