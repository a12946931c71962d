#!/usr/bin/env python3
"""Sends one command to the farm, and prints what to do about each printer.

    PRINTYARD_URL=… PRINTYARD_TOKEN=… examples/erp/command_farm.py pause MO/00412 [TAG]
"""

import os
import sys

from printyard import Printyard, Problem

# Decide on `effect`: its three values are final. New values of `outcome` and `reason` may be added.
ADVICE = {
    "done": "nothing to do",
    "none": "not done: remove the cause given by reason, then POST /batches/{id}/retry",
    "maybe": "a person must look at the printer before the next command",
}


def main():
    verb, ref = sys.argv[1], sys.argv[2]
    select = {"tags_all": [sys.argv[3]]} if len(sys.argv) > 3 else {"all": True}
    client = Printyard(os.environ["PRINTYARD_URL"], os.environ["PRINTYARD_TOKEN"])
    try:
        # The key identifies this command of this order, so a second run does not command the farm twice.
        batch = client.command({"command": verb, "select": select, "reason": f"order {ref}"}, ref, key=f"{ref}:{verb}")
    except Problem as problem:
        if problem.code == "nothing_selected":
            print("no printer is selected: nothing was done")
            return 0
        raise
    print(f"batch {batch['id']}: {batch['result']}")
    for row in client.commands(batch["id"]):
        why = f" ({row['reason']}: {row['detail']})" if row["reason"] else ""
        print(f"  {row['printer_name']}: {row['outcome']}{why} -> {ADVICE[row['effect']]}")
    return 0 if batch["result"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
