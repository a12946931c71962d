#!/usr/bin/env bash
# First steps with curl: from an empty installation to a command for the farm.
#
#   PRINTYARD_URL=http://127.0.0.1:8080 PRINTYARD_TOKEN=pyd_… examples/erp/first_steps.sh [PRINTER_URL API_KEY]
#
# With the URL and API key of an OctoPrint it registers that printer first. A second run has no further effect.
set -euo pipefail
: "${PRINTYARD_URL:?where Printyard listens, say http://127.0.0.1:8080}" "${PRINTYARD_TOKEN:?a token with the role manager}"
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
  echo "--- register a printer (a repetition with the same key answers with the same printer)"
  api POST /printers -H "Idempotency-Key: register-$1" \
    -d "{\"name\": \"first-steps\", \"url\": \"$1\", \"api_key\": \"$2\", \"tags\": [\"first-steps\"]}"
fi

echo "--- what would happen: nothing is sent, nothing is stored"
api POST /batches -d '{"command": "cancel", "select": {"all": true}, "dry_run": true}'

echo "--- cancel everything, and wait up to 30 s for the truth about each printer"
api POST /batches -H "Idempotency-Key: $REF-cancel" -H 'Prefer: wait=30' \
  -d "{\"command\": \"cancel\", \"select\": {\"all\": true}, \"reason\": \"first steps\", \"external_ref\": \"$REF\"}"

echo "--- find it again by your own reference"
api GET "/batches?external_ref=$REF"

echo "--- what happened, in order"
api GET '/events?limit=20'
