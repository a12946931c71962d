// What a program does that uses the generated types: the compiler holds every path, field and word below to the document.
//
//     node scenario.js URL TOKEN PRINTERS      PRINTERS: [{"name", "url", "api_key"}, ...] as JSON

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

type Printer = components["schemas"]["Printer"];
type NewPrinter = components["schemas"]["NewPrinter"];

// Somebody waits for a printer to be seen; no machine is as slow as this.
const SEEN_WITHIN_MS = 60_000;

const [url = "", token = "", given = "[]"] = process.argv.slice(2);
const bodies = (JSON.parse(given) as NewPrinter[]).map((printer): NewPrinter => ({ ...printer, tags: ["hall-a"] }));
// Lists are files, too, for whoever asks for one; this program reads JSON.
const api = createClient<paths, "application/json" | "application/problem+json">({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

const me = await api.GET("/api/v1/me");
assert.equal(me.data?.role, "admin" satisfies components["schemas"]["Role"]);

const [body] = bodies;
assert(body);
const first = await api.POST("/api/v1/printers", { body });
assert(first.data, JSON.stringify(first.error));
assert.deepEqual(first.data.tags, ["hall-a"]);

// The first is there already: its problem is its own, and the others are registered.
const made = await api.POST("/api/v1/printers/bulk", { body: { items: bodies } });
assert(made.data, JSON.stringify(made.error));
assert.deepEqual(made.data.items.map((item) => item.status), [409, ...bodies.slice(1).map(() => 201)]);
assert.equal(made.data.items[0]?.problem?.code, "name_taken");

const printers: Printer[] = [];
let cursor: string | undefined;
do {
  const page = await api.GET("/api/v1/printers", { params: { query: { limit: 1, ...(cursor ? { cursor } : {}) } } });
  assert(page.data, JSON.stringify(page.error));
  printers.push(...page.data.items);
  cursor = page.data.next_cursor ?? undefined;
} while (cursor);
assert.deepEqual(printers.map((printer) => printer.name).sort(), bodies.map((printer) => printer.name).sort());

for (const { id } of printers) {
  const deadline = performance.now() + SEEN_WITHIN_MS;
  for (;;) {
    const seen = await api.GET("/api/v1/printers/{id}", { params: { path: { id } } });
    assert(seen.data, JSON.stringify(seen.error));
    if (seen.data.status.reachability === "online") break;
    assert(performance.now() < deadline, JSON.stringify(seen.data.status));
    await pause(50);
  }
}

const batch = await api.POST("/api/v1/batches", {
  params: { header: { Prefer: "wait=30" } },
  body: { command: "start", select: { tags_all: ["hall-a"] }, external_ref: "PP-1" },
});
assert(batch.data, JSON.stringify(batch.error));
assert.equal(batch.response.status, 207);
assert.equal(batch.data.result, "ok");
assert.equal(batch.data.counts.total, bodies.length);
assert(batch.data.commands.every((row) => row.final && row.effect === "done"), JSON.stringify(batch.data));

const again = await api.POST("/api/v1/printers", { body });
assert.equal(again.response.status, 409);
// A failure is a problem, and the compiler knows its fields.
assert(again.error);
assert.equal(again.error.code, "name_taken");
assert(again.error.request_id);

console.log("the scenario holds");
