#!/usr/bin/env bash
# Sends a first command to the farm, with curl only.
#
#   PRINTYARD_URL=http://127.0.0.1:8080 PRINTYARD_TOKEN=pyd_… examples/erp/first_steps.sh [PRINTER_URL API_KEY]
#
# It cancels every print. With the address and the key of an OctoPrint, it adds that printer first. A second run has no
# second effect.
set -euo pipefail
: "${PRINTYARD_URL:?set it to the address of Printyard, such as http://127.0.0.1:8080}"
: "${PRINTYARD_TOKEN:?set it to a token of the role operator, or manager to add a printer}"
REF="${EXTERNAL_REF:-MO/00001}"

api() { # METHOD PATH [CURL ARGUMENTS...]
  local method=$1 path=$2
  shift 2
  curl -sS --fail-with-body --max-time 60 -X "$method" "$PRINTYARD_URL/api/v1$path" \
    -H "Authorization: Bearer $PRINTYARD_TOKEN" -H 'Content-Type: application/json' "$@"
  echo
}

echo "--- who am I"
api GET /me

if [ $# -eq 2 ]; then
  echo "--- add a printer (a second request with the same key returns the same printer)"
  api POST /printers -H "Idempotency-Key: register-$1" \
    -d "{\"name\": \"first-steps\", \"url\": \"$1\", \"api_key\": \"$2\", \"tags\": [\"first-steps\"]}"
fi

echo "--- dry run: nothing is sent, nothing is stored"
api POST /batches -d '{"command": "cancel", "select": {"all": true}, "dry_run": true}'

echo "--- cancel everything, and wait up to 30 s for the verified result of each printer"
api POST /batches -H "Idempotency-Key: $REF-cancel" -H 'Prefer: wait=30' \
  -d "{\"command\": \"cancel\", \"select\": {\"all\": true}, \"reason\": \"first steps\", \"external_ref\": \"$REF\"}"

echo "--- find the batch by your own reference"
api GET "/batches?external_ref=$REF"

echo "--- the first events of the feed, oldest first"
api GET '/events?limit=20'
