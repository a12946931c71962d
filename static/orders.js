// The pages of orders and tasks: their live parts follow the server, and a drag in the queue sets a priority. A live part has
// `data-live` and an id. The entries of a list (`data-live="list"`) have ids, too.
"use strict";

(() => {
  const PERIOD_MS = 2000;
  /** Counts what the page has sent. An answer to an older request would show the state before it. */
  let turn = 0;
  let drag = null;

  // --- Live parts ----------------------------------------------------------------------------------------------------

  const isChanged = (field) => {
    if (field.matches("select")) {
      const given = [...field.options].findIndex((option) => option.defaultSelected);
      return field.selectedIndex !== Math.max(given, 0);
    }
    return field.matches("[type=checkbox]") ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
  };

  /** Whether the user types here. What was typed before an error counts, too. */
  function isTypedIn(part) {
    const fields = [...part.querySelectorAll("input:not([type=hidden]), select, textarea")];
    return fields.some((field) => field === document.activeElement || isChanged(field)) || part.querySelector("[data-typed]") !== null;
  }

  /** Replaces an element by its newer version, unless both are the same. What is open stays open, and focus stays. */
  function replace(old, fresh) {
    const folds = [...old.querySelectorAll("details")];
    fresh.querySelectorAll("details").forEach((fold, at) => { fold.open = folds[at]?.open ?? fold.open; });
    if (old.outerHTML === fresh.outerHTML) return old;
    for (const picture of fresh.querySelectorAll("img")) {
      const shown = [...old.querySelectorAll("img")].find((one) => one.src === picture.src);
      if (shown) picture.replaceWith(shown);
    }
    const held = "a, button, summary";
    const at = [...old.querySelectorAll(held)].indexOf(document.activeElement);
    old.replaceWith(fresh);
    if (at >= 0) fresh.querySelectorAll(held)[at]?.focus({ preventScroll: true });
    return fresh;
  }

  /** Brings a list up to date, entry by entry. */
  function mergeList(list, fresh) {
    const ids = new Set([...fresh.children].map((entry) => entry.id));
    for (const entry of [...list.children]) if (!ids.has(entry.id) && !isTypedIn(entry)) entry.remove();
    let last = null;
    for (const entry of [...fresh.children]) {
      const old = [...list.children].find((one) => one.id === entry.id);
      let shown = entry;
      if (old) shown = isTypedIn(old) ? old : replace(old, entry);
      const place = last ? last.nextElementSibling : list.firstElementChild;
      const focused = document.activeElement;
      if (shown !== place) list.insertBefore(shown, place);
      // An entry that moves loses the focus.
      if (focused !== document.activeElement) focused.focus({ preventScroll: true });
      last = shown;
    }
    list.hidden = fresh.hidden;
  }

  /** Shows the live parts of a newer version of this page. */
  function show(page) {
    localise(page);
    document.title = page.querySelector("title")?.textContent ?? document.title;
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(part.id);
      if (!fresh) continue;
      if (part.dataset.live === "list") mergeList(part, fresh);
      else if (!isTypedIn(part)) replace(part, fresh);
    }
    allowCommands();
  }

  async function refresh() {
    const sent = turn;
    const answer = await fetch(document.body.dataset.liveFrom).catch(() => null);
    if (answer?.redirected) loggedOut = new URL(answer.url).pathname === "/login";
    const text = answer?.ok && !answer.redirected ? await answer.text().catch(() => "") : "";
    if (!text) return;
    heard = Date.now();
    loggedOut = false;
    if (sent === turn && !drag) apply(() => { if (sent === turn && !drag) show(parse(text)); });
  }

  async function follow() {
    if (!document.hidden) await refresh();
    setTimeout(follow, PERIOD_MS);
  }
  setTimeout(follow, PERIOD_MS);

  // --- Priority: by a drag or by a button ----------------------------------------------------------------------------

  const nameIn = (row) => row.querySelector(".name").textContent;

  function note(text, isBad) {
    const line = byId("moved");
    line.textContent = text;
    line.classList.toggle("bad", isBad);
    line.hidden = false;
  }

  /** Sends the priority of an order, and shows the queue that the server answers. */
  async function sendPriority(row, to) {
    turn += 1;
    const fields = fieldsOf(byId("rank"));
    fields.append("to", to);
    row.classList.add("sending");
    const answer = await fetch(byId("rank").action, { method: "POST", body: fields }).catch(() => null);
    const text = await answer?.text().catch(() => "");
    turn += 1;
    row.classList.remove("sending");
    if (!text) return note(say("script-order-not-sent"), true);
    const page = parse(text);
    if (!page.getElementById("orders")) return note(sentences(page.querySelector("main")) ?? say("script-order-not-sent"), true);
    const error = page.getElementById("moved");
    if (error.hidden) note(say("script-order-moved", { name: nameIn(row), n: to.split(".")[2] }), false);
    else note(error.textContent, true);
    show(page);
    byId(row.id)?.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "rank" || !event.submitter) return;
    event.preventDefault();
    sendPriority(event.submitter.closest(".queued"), event.submitter.value);
  });

  const rows = () => [...document.querySelectorAll(".queued[data-key]")];
  const middle = (row) => { const { top, height } = row.getBoundingClientRect(); return top + height / 2; };

  /** Shows where the order goes if it is dropped here, and the priority that it gets. */
  function aim() {
    const all = rows();
    const own = all.indexOf(drag.row);
    const upper = all.slice(0, own).find((row) => drag.y < middle(row));
    const lower = all.slice(own + 1).reverse().find((row) => drag.y > middle(row));
    for (const row of all) {
      row.classList.toggle("drop-before", row === upper);
      row.classList.toggle("drop-after", row === lower);
    }
    drag.priority = upper?.dataset.before ?? lower?.dataset.after ?? null;
    drag.row.querySelector(".priority-of").textContent = drag.priority === null ? drag.text : say("script-priority", { n: drag.priority });
    drag.row.style.transform = `translateY(${drag.y + scrollY - drag.from}px)`;
  }

  function endDrag() {
    const { row, text } = drag;
    drag = null;
    row.classList.remove("dragged");
    row.style.transform = "";
    row.querySelector(".priority-of").textContent = text;
    rows().forEach((one) => one.classList.remove("drop-before", "drop-after"));
  }

  document.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest?.("[data-grab]");
    if (!grip || event.button !== 0 || document.body.classList.contains("stale")) return;
    event.preventDefault();
    grip.setPointerCapture(event.pointerId);
    const row = grip.closest(".queued");
    drag = { row, y: event.clientY, from: event.clientY + scrollY, text: row.querySelector(".priority-of").textContent, priority: null };
    row.classList.add("dragged");
  });

  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.y = event.clientY;
    // Near an edge of the screen, the page scrolls.
    const edge = 80;
    if (drag.y < edge || drag.y > innerHeight - edge) scrollBy(0, drag.y < edge ? -12 : 12);
    aim();
  });

  document.addEventListener("pointerup", () => {
    if (!drag) return;
    const { row, priority } = drag;
    endDrag();
    if (priority !== null) sendPriority(row, `${row.dataset.key}.${priority}`);
  });

  document.addEventListener("pointercancel", () => { if (drag) endDrag(); });
  document.addEventListener("keydown", (event) => { if (drag && event.key === "Escape") endDrag(); });
  byId("orders")?.classList.add("can-drag");
})();
