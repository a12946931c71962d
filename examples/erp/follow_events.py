#!/usr/bin/env python3
"""Follows the event feed across restarts of Printyard and of this program, without missing an event.

    PRINTYARD_URL=… PRINTYARD_TOKEN=… examples/erp/follow_events.py CURSOR_FILE [TYPES [HOW_MANY]]

The cursor is stored in a file. In an ERP, store it in the database, in the transaction that applies the event.
"""

import os
import pathlib
import sys
import urllib.parse

from printyard import Printyard, Problem


def handle_event(event):
    print(event["at"], event["type"], event["external_ref"] or "-", event["data"].get("printer_name") or "", flush=True)


def main():
    cursor_file = pathlib.Path(sys.argv[1])
    types = f"&types={sys.argv[2]}" if len(sys.argv) > 2 else ""
    remaining = int(sys.argv[3]) if len(sys.argv) > 3 else None
    client = Printyard(os.environ["PRINTYARD_URL"], os.environ["PRINTYARD_TOKEN"])
    while remaining is None or remaining > 0:
        after = f"&after={urllib.parse.quote(cursor_file.read_text().strip())}" if cursor_file.exists() else ""
        try:
            page = client.request("GET", f"/events?limit=500&wait=25{types}{after}")
        except Problem as problem:
            if problem.code != "cursor_expired":
                raise
            # This program was off for more than 30 days, or a backup of Printyard was restored. Read the lists again here.
            print("the feed has moved on: read the lists again", flush=True)
            cursor_file.write_text(problem.body["restart_cursor"])
            continue
        for event in page["items"]:
            handle_event(event)
            remaining = None if remaining is None else remaining - 1
        # Store the cursor after all events are handled. After a crash in between, some events come again with the same `id`.
        cursor_file.write_text(page["next_cursor"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
