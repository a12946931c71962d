"""What a program does that uses the generated client: every value below has a type of its own.

    scenario.py URL TOKEN PRINTERS      PRINTERS: [{"name", "url", "api_key"}, ...] as JSON
"""

import json
import sys
import time

from printyard_client import AuthenticatedClient
from printyard_client.api.access import get_me
from printyard_client.api.batches import create_batch, list_batch_commands
from printyard_client.api.printers import create_printer, create_printers, get_printer, list_printers
from printyard_client.models import (
    Batch,
    BatchCommand,
    BatchResult,
    CommandRowPage,
    Effect,
    Me,
    NewBatch,
    NewPrinter,
    NewPrinters,
    Printer,
    PrinterPage,
    PrintersCreated,
    Problem,
    Reachability,
    Role,
    Selector,
)

# Somebody waits for a printer to be seen; no machine is as slow as this.
SEEN_WITHIN_S = 60


def main(url: str, token: str, given: list[dict[str, str]]) -> None:
    with AuthenticatedClient(base_url=url, token=token, timeout=60) as client:
        me = get_me.sync(client=client)
        assert isinstance(me, Me) and me.role == Role.ADMIN, me

        bodies = [NewPrinter(name=p["name"], url=p["url"], api_key=p["api_key"], tags=["hall-a"]) for p in given]
        first = create_printer.sync(client=client, body=bodies[0])
        assert isinstance(first, Printer) and first.tags == ["hall-a"], first

        # The first is there already: its problem is its own, and the others are registered.
        made = create_printers.sync(client=client, body=NewPrinters(items=bodies))
        assert isinstance(made, PrintersCreated), made
        assert [item.status for item in made.items] == [409] + [201] * (len(bodies) - 1), made
        refused = made.items[0].problem
        assert refused and refused.code == "name_taken", made

        printers: list[Printer] = []
        cursor = None
        while True:
            page = list_printers.sync(client=client, limit=1, **({"cursor": cursor} if cursor else {}))
            assert isinstance(page, PrinterPage), page
            printers.extend(page.items)
            cursor = page.next_cursor
            if not cursor:
                break
        assert sorted(p.name for p in printers) == sorted(p["name"] for p in given), printers

        for printer in printers:
            deadline = time.monotonic() + SEEN_WITHIN_S
            while True:
                seen = get_printer.sync(printer.id, client=client)
                assert isinstance(seen, Printer), seen
                if seen.status.reachability == Reachability.ONLINE:
                    break
                assert time.monotonic() < deadline, seen.status
                time.sleep(0.05)

        body = NewBatch(command=BatchCommand.START, select=Selector(tags_all=["hall-a"]), external_ref="PP-1")
        answer = create_batch.sync_detailed(client=client, body=body, prefer="wait=30")
        batch = answer.parsed
        assert answer.status_code == 207 and isinstance(batch, Batch), answer
        assert batch.result == BatchResult.OK and batch.counts.total == len(given), batch
        assert all(row.final and row.effect == Effect.DONE for row in batch.commands), batch
        assert batch.id is not None
        rows = list_batch_commands.sync(batch.id, client=client, effect="done")
        assert isinstance(rows, CommandRowPage) and len(rows.items) == len(given), rows

        again = create_printer.sync_detailed(client=client, body=bodies[0])
        assert again.status_code == 409 and isinstance(again.parsed, Problem), again
        assert again.parsed.code == "name_taken" and again.parsed.request_id, again.parsed
    print("the scenario holds")


main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
