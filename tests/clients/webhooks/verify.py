"""Verifies one webhook with the reference library of Standard Webhooks.

Reads {"secret", "headers", "body"} as JSON from standard input; prints the type of the event that it verified, or fails.
"""

import json
import sys

from standardwebhooks import Webhook

given = json.load(sys.stdin)
print(Webhook(given["secret"]).verify(given["body"], given["headers"])["type"])
