// Live updates and fast selection. Every form works without this script, and the script does not interpret states.
"use strict";

const byId = (id) => document.getElementById(id);
const parse = (html) => {
  const box = document.createElement("template");
  box.innerHTML = html;
  return box.content;
};

// --- Words: the page contains the translations of the script's texts, by id -----------------------------------------

const words = JSON.parse(document.querySelector("meta[name=words]")?.content || "{}");
const say = (id, values = {}) =>
  (words[id] ?? id).replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
/** Returns what a page of the server says, for one line of text. */
const sentences = (main) => main && [...main.querySelectorAll("h1, p:not(.hint, .ways), li")].map((one) => one.textContent).join(". ");
const ago = (seconds) => (seconds < 120 ? say("script-seconds-ago", { n: seconds }) : say("script-minutes-ago", { n: Math.round(seconds / 60) }));

// --- Times: converts the server's UTC to local time ------------------------------------------------------------------

const tongue = document.documentElement.lang.startsWith(navigator.language.slice(0, 2)) ? undefined : document.documentElement.lang;
const clock = new Intl.DateTimeFormat(tongue, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(tongue, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const brief = new Intl.DateTimeFormat(tongue, { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const WEEK_MS = 6 * 24 * 3600 * 1000;
const exact = new Intl.DateTimeFormat(tongue, { dateStyle: "medium", timeStyle: "medium" });

function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const today = at.toDateString() === new Date().toDateString();
    const isSoon = at > Date.now() && at - Date.now() < WEEK_MS && !("day" in time.dataset);
    const other = isSoon || "brief" in time.dataset ? brief : day;
    time.textContent = (("day" in time.dataset) || !today ? other : clock).format(at);
    time.title = exact.format(at);
  }
}

// --- Live updates ----------------------------------------------------------------------------------------------------

const SILENCE_MS = 4500;
let source = null;
let heard = Date.now();
let stamp = "";
let pressed = false;
const waiting = [];

// Changes are applied between two frames, a few at a time, so that the page stays responsive. Of a tile that waits, only
// the newest version is applied. Nothing moves while a pointer is down.
const TURN_MS = 5;
const tiles = new Map();
let frame = 0;
const flush = () => {
  frame = 0;
  if (pressed) return;
  waiting.splice(0).forEach((change) => change());
  const end = performance.now() + TURN_MS;
  if (tiles.size > 0) refreshForecast();
  for (const [id, { html, mayAdd }] of tiles) {
    tiles.delete(id);
    putTile(html, mayAdd);
    if (performance.now() > end) break;
  }
  if (tiles.size > 0) frame = requestAnimationFrame(flush);
};
const apply = (change) => {
  waiting.push(change);
  frame ||= requestAnimationFrame(flush);
};
const release = () => {
  pressed = false;
  // Runs after the click event that follows.
  setTimeout(flush, 0);
};
let grip = 0;
addEventListener("pointerdown", () => {
  pressed = true;
  clearTimeout(grip);
  // If the release is never reported, the page must not stay blocked.
  grip = setTimeout(release, 3000);
});
for (const kind of ["pointerup", "pointercancel", "blur"]) addEventListener(kind, release);

const TILE = '<li class="tile" id="p-';

/** Queues received tiles. Ignores a tile that is not on this page, unless it may be added. */
function takeTiles(html, mayAdd) {
  for (const part of html.split(TILE).slice(1)) {
    const id = "p-" + part.slice(0, 36);
    tiles.delete(id);
    if (mayAdd || byId(id)) tiles.set(id, { html: TILE + part, mayAdd });
  }
}

/** Replaces a tile. Its checkbox stays the same element, and focus inside moves to the same part of the new tile. */
function putTile(html, mayAdd) {
  const tile = parse(html).firstElementChild;
  localise(tile);
  const old = byId(tile.id);
  const body = tile.querySelector(".body");
  if (old) {
    const before = old.querySelector(".body");
    const focused = before.contains(document.activeElement) ? document.activeElement.className : null;
    before.replaceWith(body);
    old.querySelector(".pick").setAttribute("aria-label", tile.querySelector(".pick").getAttribute("aria-label"));
    if (focused) body.querySelector("." + CSS.escape(focused.split(" ")[0]))?.focus();
    if (document.body.dataset.only) dispatchEvent(new Event("tile"));
  } else if (mayAdd && !document.body.dataset.only) {
    insertTile(tile);
    showPicture(tile);
  }
}

/** Inserts a tile that is new on this page, in its section and at its place. */
function insertTile(tile) {
  const list = listOf(tile) ?? byId("others") ?? [...document.querySelectorAll(".farm .grid")].pop();
  if (!list) return;
  const isBefore = (one) => rankOf(one) > rankOf(tile) || (rankOf(one) === rankOf(tile) && byName.compare(nameOf(one), nameOf(tile)) > 0);
  list.insertBefore(tile, byId("needy") ? ([...list.children].find(isBefore) ?? null) : null);
  list.parentElement.hidden = false;
}

function dropTile(id) {
  tiles.delete("p-" + id);
  byId("p-" + id)?.remove();
}

// Moves printers between the sections of the page. Never while the list is in use.
const CALM_MS = 5000;
let used = 0;
for (const kind of ["pointerdown", "pointermove", "wheel", "keydown", "touchmove"]) {
  addEventListener(kind, () => { used = Date.now(); }, { passive: true });
}
const byName = new Intl.Collator(undefined, { numeric: true });
const nameOf = (tile) => tile.querySelector(".name").textContent;
/** The groups that need a person, the most urgent first. */
const URGENT = ["error", "stalled", "silent", "key", "at_printer", "plate"];
const rankOf = (tile) => {
  const body = tile.querySelector(".body");
  return body.matches(".needs") ? URGENT.findIndex((group) => body.classList.contains("is-" + group)) : URGENT.length;
};
const listOf = (tile) => byId(tile.querySelector(".needs") ? "needy" : tile.querySelector(".rests") ? "idle" : "others");

function settle() {
  if (!byId("needy") || Date.now() - used < CALM_MS || document.querySelector(".farm .pick:checked, .farm :focus")) return;
  const moved = [...document.querySelectorAll(".farm .tile")].filter((tile) => tile.parentElement !== listOf(tile));
  moved.forEach(insertTile);
  for (const id of ["needy", "idle"]) byId(id).parentElement.hidden = byId(id).children.length === 0;
}

function putPart(id, html) {
  const old = byId(id);
  const fresh = parse(html).firstElementChild;
  if (!old || !fresh || old.outerHTML === fresh.outerHTML) return;
  localise(fresh);
  // Keep a part that the user is filling in.
  if (old.querySelector("input:checked")) return;
  // What is open stays open.
  for (const part of old.querySelectorAll("details[id][open]")) {
    fresh.querySelector("#" + CSS.escape(part.id))?.setAttribute("open", "");
  }
  const at = old.contains(document.activeElement) ? [...old.querySelectorAll("a, button, summary")].indexOf(document.activeElement) : -1;
  old.replaceWith(fresh);
  if (at >= 0) fresh.querySelectorAll("a, button, summary")[at]?.focus();
}

function putAges(ages) {
  for (const tile of document.querySelectorAll(".tile.old")) {
    if (!(tile.id.slice(2) in ages)) {
      tile.classList.remove("old");
      tile.querySelector(".age")?.remove();
    }
  }
  for (const [id, seconds] of Object.entries(ages)) {
    const tile = byId("p-" + id);
    if (!tile) continue;
    tile.classList.add("old");
    let age = tile.querySelector(".age");
    if (!age) {
      age = document.createElement("span");
      age.className = "age mark-maybe";
      tile.querySelector(".body").append(age);
    }
    age.textContent = ago(seconds);
  }
}

function follow() {
  const address = document.body.dataset.stream;
  if (!address || source || document.hidden) return;
  const url = new URL(address, location);
  if (stamp) url.searchParams.set("since", stamp);
  source = new EventSource(url);
  const on = (name, act) => source.addEventListener(name, (event) => {
    heard = Date.now();
    if (event.lastEventId) stamp = event.lastEventId;
    apply(() => act(event.data));
  });
  on("tiles", (html) => takeTiles(html, true));
  on("others", (html) => takeTiles(html, false));
  on("gone", (ids) => { ids.split(" ").forEach(dropTile); showSelection(); });
  on("strip", (html) => {
    for (const part of parse(html).children) putPart(part.id, part.outerHTML);
    showTitle();
  });
  on("batch", (html) => putPart("live", html));
  on("wall", (html) => { putPart("wall", html); dispatchEvent(new Event("wall")); });
  on("production", (state) => { if (byId("production") && byId("production").dataset.state !== state) refreshSwitch(); });
  on("version", (version) => { if (version !== document.body.dataset.version) loadAnew(); });
  on("notice", (line) => { byId("notice").textContent = line; byId("notice").hidden = !line; });
  on("heat", (text) => dispatchEvent(new CustomEvent("heat", { detail: JSON.parse(text) })));
  on("heartbeat", (ages) => { putAges(JSON.parse(ages)); settle(); });
  source.onerror = () => {
    // The browser does not reconnect (logged out, or the server was away for long): start again.
    if (source && source.readyState === EventSource.CLOSED) {
      leave();
      loadAnew(true);
      setTimeout(follow, 3000);
    }
  };
}

/** Shows the switch of production as it is now. */
async function refreshSwitch() {
  const answer = await fetch(location.href).catch(() => null);
  const page = answer?.ok && !answer.redirected ? parse(await answer.text()) : null;
  for (const id of ["halt", "production"]) if (page?.getElementById(id)) putPart(id, page.getElementById(id).outerHTML);
}

/** Shows the number of printers that need a person in the title. */
function showTitle() {
  const n = Number(byId("strip")?.dataset.needs ?? 0);
  document.title = (n > 0 ? `(${n}) ` : "") + document.title.replace(/^\(\d+\) /, "");
}

/** Whether a reload would lose what the user has selected or typed. */
const isInUse = () => Boolean(document.querySelector(".farm .pick:checked, dialog[open]"));
let loggedOut = false;

/** Reloads the page, if the server responds. A reload without a server would show the browser's error page for good. */
async function loadAnew(onlyTheLogin = false) {
  const answer = await fetch(location, { method: "HEAD" }).catch(() => null);
  if (!answer?.ok || (!answer.redirected && onlyTheLogin)) {
    loggedOut = false;
    return;
  }
  if (answer.redirected && isInUse()) {
    // The login opens in another tab, and this page continues after it.
    loggedOut = true;
    return;
  }
  location.reload();
}

function leave() {
  source?.close();
  source = null;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    leave();
  } else {
    heard = Date.now();
    follow();
  }
});
addEventListener("pagehide", leave);
addEventListener("pageshow", follow);

function showLost(lost) {
  const [bar, text] = [byId("lost"), byId("lost-text")];
  document.body.classList.toggle("stale", lost);
  bar.hidden = !lost;
  if (!lost) return;
  const state = loggedOut ? "logged out" : "away";
  if (bar.dataset.state !== state || !text.textContent) {
    bar.dataset.state = state;
    text.textContent = loggedOut ? say("script-logged-out") + " " : say("script-not-live-since", { time: clock.format(new Date(heard)) });
    if (loggedOut) {
      const link = document.createElement("a");
      [link.href, link.target, link.textContent] = ["/login", "_blank", say("script-log-in")];
      text.append(link);
    }
  }
}

setInterval(() => {
  if (!(document.body.dataset.stream || document.body.dataset.liveFrom) || document.hidden) return;
  const lost = Date.now() - heard > SILENCE_MS;
  if (lost === document.body.classList.contains("stale") && !lost) return;
  showLost(lost);
  if (!lost) byId("lost-text").textContent = "";
  allowCommands();
}, 500);

// --- Selection ------------------------------------------------------------------------------------------------------

const picks = () => [...document.querySelectorAll(".farm .pick")];
const pickOf = (target) => target.closest?.(".farm .tile")?.querySelector(".pick");
/** The checkbox where a range starts. */
let anchor = null;
/** A range that the pointer draws: its start, whether it selects, and the selection before. */
let stroke = null;
let forecastTimer = 0;
let forecasts = {};

function showSelection() {
  const count = byId("count");
  if (!count) return;
  const boxes = picks();
  const n = boxes.filter((box) => box.checked).length;
  const text = n === 0 ? say("script-select-printers") : say("script-selected", { n });
  // Only on a change, so that a screen reader reads it once.
  if (count.textContent !== text) count.textContent = text;
  byId("act").classList.toggle("idle", n === 0 && byId("done-line").hidden);
  const picker = byId("picker");
  const held = picker.contains(document.activeElement);
  picker.replaceChildren();
  const link = (text, act) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = text;
    button.addEventListener("click", act);
    picker.append(button);
  };
  if (n < boxes.length) link(say("script-select-all", { n: boxes.length }), () => pickAll(true));
  if (n > 0) link(say("script-none"), () => pickAll(false));
  if (held) picker.querySelector("button")?.focus();
  // Buttons must not move under the pointer: they are shown once it is known which of them act.
  if (n > 0 && Object.keys(forecasts).length === 0) byId("act").classList.add("asking");
  refreshForecast(true);
}

function pickAll(on) {
  picks().forEach((box) => { box.checked = on; });
  stroke = null;
  closeProgress();
  showSelection();
}

function begin(from, on) {
  stroke = { from, on, drawn: false, before: new Map(picks().map((box) => [box, box.checked])) };
}

/** Selects from the start of the stroke to here. Tiles that the stroke has left get their previous state back. */
function draw(to) {
  const boxes = picks();
  const [first, last] = [boxes.indexOf(stroke.from), boxes.indexOf(to)].sort((a, b) => a - b);
  boxes.forEach((box, at) => { box.checked = at >= first && at <= last ? stroke.on : (stroke.before.get(box) ?? box.checked); });
  stroke.drawn = true;
  showSelection();
}

document.addEventListener("mousedown", (event) => {
  stroke = null;
  if (event.button !== 0 || !event.target.matches(".farm .hit")) return;
  const box = pickOf(event.target);
  // Prevents text selection and image dragging. The keyboard continues from this tile.
  event.preventDefault();
  box.focus({ preventScroll: true });
  if (!event.shiftKey) begin(box, !box.checked);
});

document.addEventListener("mouseover", (event) => {
  const box = event.buttons === 1 && stroke ? pickOf(event.target) : null;
  if (box && (stroke.drawn || box !== stroke.from)) draw(box);
});

document.addEventListener("click", (event) => {
  if (!event.target.matches(".farm .hit, .farm .pick")) return;
  const box = pickOf(event.target);
  if (event.target !== box) {
    event.preventDefault();
    // This click ends a stroke that returned to its start.
    if (stroke?.drawn) return;
    box.checked = !box.checked;
  }
  if (event.shiftKey && anchor?.isConnected && anchor !== box) {
    begin(anchor, anchor.checked);
    draw(box);
  } else {
    anchor = box;
  }
  stroke = null;
  closeProgress();
  showSelection();
});

document.addEventListener("change", (event) => {
  if (event.target.matches(".farm .pick")) {
    closeProgress();
    showSelection();
  }
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// --- Keyboard -------------------------------------------------------------------------------------------------------

/** Returns the adjacent tile. Above and below, it is the nearest tile of the next line. */
function beside(box, key) {
  const all = picks();
  const at = all.indexOf(box);
  if (key === "ArrowLeft") return all[at - 1];
  if (key === "ArrowRight") return all[at + 1];
  const place = (one) => one.closest(".tile").getBoundingClientRect();
  const here = place(box);
  const way = key === "ArrowDown" ? all.slice(at + 1) : all.slice(0, at).reverse();
  const line = way.map(place).find(({ top }) => Math.abs(top - here.top) > 2)?.top;
  const across = (one) => Math.abs(place(one).left - here.left);
  const next = way.filter((one) => Math.abs(place(one).top - line) < 2);
  return next.reduce((best, one) => (best && across(best) <= across(one) ? best : one), undefined);
}

let lastTile = null;
document.addEventListener("focusin", (event) => {
  if (event.target.matches(".farm .pick")) lastTile = event.target;
});

function move(event) {
  const from = pickOf(event.target);
  const inView = (box) => box.closest(".tile").getBoundingClientRect().top >= 0;
  const to = from ? beside(from, event.key) : picks().find(inView);
  event.preventDefault();
  if (!to) return;
  if (!event.shiftKey || !from) {
    stroke = null;
    anchor = to;
  } else {
    if (!stroke) begin(from, true);
    draw(to);
  }
  to.focus({ preventScroll: true });
  to.closest(".tile").scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (!byId("farm") || typing || document.querySelector("dialog[open]")) return;
  const held = event.ctrlKey || event.metaKey;
  if (held && event.key === "a") {
    event.preventDefault();
    pickAll(true);
  } else if (held || event.altKey) {
    // A shortcut of the browser.
  } else if (event.key === "Escape") {
    pickAll(false);
  } else if (event.key.startsWith("Arrow") && (event.target === document.body || pickOf(event.target))) {
    move(event);
  } else if (event.key === "Enter" && event.target.matches(".pick")) {
    event.target.closest(".tile").querySelector(".name").click();
  } else if (event.key === "b" && byId("act") && !byId("act").classList.contains("idle")) {
    event.preventDefault();
    if (byId("act").contains(document.activeElement)) (lastTile?.isConnected ? lastTile : picks()[0])?.focus();
    else byId("act").querySelector(".acts .act:not([hidden]), .done-line a")?.focus();
  } else if (event.key === "/") {
    event.preventDefault();
    document.querySelector("input[type=search]")?.focus();
  } else if (event.key === "?") {
    byId("keys").showModal();
  }
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener) byId(opener.dataset.open).showModal();
  if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
});

// --- Preview of commands ---------------------------------------------------------------------------------------------

function refreshForecast(now = false) {
  if (!byId("count")) return;
  const selected = picks().filter((box) => box.checked);
  if (selected.length === 0) {
    clearTimeout(forecastTimer);
    forecastTimer = 0;
    forecasts = {};
    showForecast();
    return;
  }
  if (forecastTimer && !now) return;
  clearTimeout(forecastTimer);
  forecastTimer = setTimeout(async () => {
    forecastTimer = 0;
    const body = new URLSearchParams(selected.filter((box) => box.checked).map((box) => ["printer_id", box.value]));
    const answer = await fetch("/batches/preview", { method: "POST", body }).catch(() => null);
    byId("act").classList.remove("asking");
    if (!answer?.ok || answer.redirected) return;
    forecasts = {};
    for (const item of parse(await answer.text()).querySelectorAll("li")) {
      forecasts[item.dataset.command] = { acts: Number(item.dataset.acts), text: item.textContent };
    }
    showForecast();
  }, now ? 120 : 1500);
}

/** Shows the buttons that act in the bar, and the others in the menu. Nothing moves while the pointer is over the bar. */
function showForecast(command) {
  const isHeld = document.querySelector(".bar:hover") || byId("act").contains(document.activeElement);
  const room = matchMedia("(width < 700px)").matches ? 3 : 6;
  const plates = picks().filter((box) => box.checked && box.closest(".tile").querySelector("[name=plate]")).length;
  let main = 0;
  for (const button of document.querySelectorAll(".bar .act")) {
    const forecast = button.matches("[data-plates]") ? { acts: plates, text: "" } : forecasts[button.value];
    button.querySelector(".n").textContent = forecast ? forecast.acts : "";
    button.title = forecast?.text ?? "";
    if (isHeld) continue;
    const acts = !forecast || forecast.acts > 0;
    const isMain = acts && button.dataset.main !== undefined && main < room;
    main += Number(isMain);
    const place = byId(isMain ? "acts" : "more");
    if (button.parentElement !== place) {
      const at = Number(button.dataset.main ?? 99);
      place.insertBefore(button, [...place.children].find((one) => Number(one.dataset?.main ?? 100) > at || one.matches("hr")) ?? null);
    }
    button.hidden = Boolean(forecast) && forecast.acts === 0 && button.matches("[data-plates]");
  }
  byId("forecast").classList.remove("bad");
  byId("forecast").textContent = forecasts[command]?.text ?? "";
}

document.querySelectorAll(".bar .acts .act").forEach((button, at) => { button.dataset.main = at; });

/** Disables the commands while the page is not live: what they would act on is not known. */
function allowCommands() {
  const isLost = document.body.classList.contains("stale");
  for (const button of document.querySelectorAll(".act, .farm .act-now button, .all-plates button, main form[action^='/queue'] button, .nudge button")) button.disabled = isLost;
  const count = byId("count");
  if (!count) return;
  count.classList.toggle("not-live", isLost);
  if (isLost) count.textContent = say("script-not-live");
  else showSelection();
}

// A text of a tile that is cut off is shown in full as a tooltip.
document.addEventListener("pointerover", (event) => {
  const text = event.target.closest?.(".tile :is(.name, .file, .kit, .note, .state span)");
  if (text && !text.title && (text.scrollWidth > text.clientWidth || text.scrollHeight > text.clientHeight)) text.title = text.textContent;
});

document.addEventListener("pointerout", (event) => {
  if (event.target.closest?.(".bar .act")) byId("forecast").textContent = "";
});

for (const kind of ["pointerover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const button = event.target.closest?.(".bar .act");
    if (button) showForecast(button.value);
  });
}

// --- Commands: sent without leaving the page. The bar shows their progress, and then their result --------------------

/** The fields of a form, and of the button that sends it. */
const fieldsOf = (form, submitter) => {
  const fields = new URLSearchParams([...new FormData(form)].filter(([, value]) => typeof value === "string"));
  if (submitter?.name) fields.append(submitter.name, submitter.value);
  return fields;
};

/**
 * Sends a form. Returns what the server answers: `{ done }` with the data of the result, `{ page }` with a page that asks
 * or that names an error, or `{ error }` with a sentence.
 */
async function sendForm(address, fields) {
  fields.set("quick", "1");
  const answer = await fetch(address, { method: "POST", body: fields }).catch(() => null);
  if (!answer) return { error: say("script-not-sent") };
  if (answer.redirected && new URL(answer.url).pathname === "/login") {
    loggedOut = true;
    return { error: say("script-logged-out-not-sent") };
  }
  if (answer.headers.get("content-type")?.startsWith("application/json")) return { done: await answer.json().catch(() => ({})) };
  return { page: parse(await answer.text().catch(() => "")) };
}

function showBarError(text) {
  byId("forecast").textContent = text;
  byId("forecast").classList.add("bad");
}

let progressTimer = 0;

function closeProgress() {
  const line = byId("done-line");
  if (!line || line.hidden) return;
  clearTimeout(progressTimer);
  line.hidden = true;
  line.replaceChildren();
  byId("act").classList.remove("follows");
}

/** Shows something in the bar instead of the buttons. */
function showInBar(content) {
  const line = byId("done-line");
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button close";
  close.textContent = say("script-close");
  close.addEventListener("click", () => { closeProgress(); showSelection(); lastTile?.focus(); });
  line.replaceChildren(content, close);
  line.hidden = false;
  byId("act").classList.add("follows");
  byId("act").classList.remove("idle");
  if (byId("others-menu")) byId("others-menu").open = false;
}

/** Leaves only these printers selected. */
function keepSelected(ids) {
  const kept = new Set(ids);
  picks().forEach((box) => { box.checked = kept.has(box.value); });
}

/** Follows a batch in the bar until it has ended. What failed stays selected. */
async function followBatch(id) {
  clearTimeout(progressTimer);
  const answer = await fetch(`/batches/${id}/summary`).catch(() => null);
  const part = answer?.ok && !answer.redirected ? parse(await answer.text().catch(() => "")).querySelector("#bar-batch") : null;
  if (part) {
    localise(part);
    showInBar(part);
    if (part.dataset.final === "true") {
      keepSelected((part.dataset.failed ?? "").split(" ").filter(Boolean));
      showSelection();
      dispatchEvent(new Event("batch-end"));
      return;
    }
  }
  progressTimer = setTimeout(() => followBatch(id), part ? 300 : 2000);
}

/** Follows a new batch here, or opens its page if this page has no bar. */
function showBatch({ batch, href }) {
  if (!byId("done-line")) return location.assign(href);
  const line = document.createElement("span");
  line.textContent = say("script-recorded");
  showInBar(line);
  followBatch(batch);
}

/** Shows a page that asks, as a dialog over this page. */
function openDialog(content, heading, opener) {
  const dialog = document.createElement("dialog");
  dialog.className = "start-dialog";
  dialog.setAttribute("aria-labelledby", heading);
  dialog.append(content);
  dialog.addEventListener("close", () => { dialog.remove(); if (opener?.isConnected) opener.focus(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

async function sendCommand(form, button) {
  const fields = fieldsOf(form, button);
  fields.delete("plate");
  button.disabled = true;
  const { done, page, error } = await sendForm(button.getAttribute("formaction") ?? form.action, fields);
  button.disabled = false;
  if (done) return showBatch(done);
  const question = page?.getElementById("confirm");
  if (question) {
    const dialog = openDialog(question, "confirm-heading", button);
    return (dialog.querySelector("[autofocus]") ?? dialog.querySelector("[data-close-sheet]"))?.focus();
  }
  showBarError(error ?? sentences(page?.querySelector("main")) ?? say("script-not-sent"));
}

/** Sends the answer to a question. The dialog stays open while something is missing. */
async function sendConfirmation(form, button) {
  const dialog = form.closest("dialog");
  if (button) button.disabled = true;
  const { done, page, error } = await sendForm(form.action, fieldsOf(form, button));
  if (button) button.disabled = false;
  if (done) {
    dialog.close();
    return showBatch(done);
  }
  const question = page?.getElementById("confirm");
  if (question) {
    dialog.replaceChildren(question);
    return (question.querySelector("[aria-invalid]") ?? question.querySelector("[autofocus]"))?.focus();
  }
  const line = document.createElement("p");
  line.className = "say bad";
  line.setAttribute("role", "alert");
  line.textContent = error ?? sentences(page?.querySelector("main")) ?? say("script-not-sent");
  form.prepend(line);
}

/** Clears plates: those of the selected printers, or of all on this page. */
async function clearPlates(form, button) {
  button.disabled = true;
  const { done, page, error } = await sendForm("/plates/clear", fieldsOf(form, button));
  button.disabled = false;
  if (!done) return showBarError(error ?? sentences(page?.querySelector("main")) ?? say("script-not-sent"));
  const line = document.createElement("span");
  line.setAttribute("role", "status");
  line.textContent = done.text;
  keepSelected(done.failed ?? []);
  showInBar(line);
  showSelection();
}

document.addEventListener("submit", async (event) => {
  const [form, button] = [event.target, event.submitter];
  if (button?.matches("[data-command]")) {
    event.preventDefault();
    return sendCommand(form, button);
  }
  if (button?.matches("[data-plates]")) {
    event.preventDefault();
    return clearPlates(form, button);
  }
  if (form.closest("dialog #confirm")) {
    event.preventDefault();
    return sendConfirmation(form, button);
  }
  if (!button?.matches("[data-quiet]")) return;
  event.preventDefault();
  const body = new URLSearchParams(button.name ? [[button.name, button.value]] : []);
  button.disabled = true;
  const answer = await fetch(button.getAttribute("formaction") ?? form.action, { method: "POST", body }).catch(() => null);
  if (answer?.ok) {
    button.textContent = say("script-done");
  } else {
    button.disabled = false;
    button.textContent = say("script-failed-retry");
    const why = answer ? sentences(parse(await answer.text().catch(() => "")).querySelector("main")) : null;
    button.title = why ?? say("script-not-sent");
  }
});

document.addEventListener("click", (event) => {
  const dialog = event.target.closest("dialog");
  if (event.target.closest("[data-close-sheet]") && dialog) {
    event.preventDefault();
    dialog.close();
  }
});

// A retry in the bar. Its form is inside the form of the bar, so the click is handled, not the submission.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("#bar-batch form button");
  if (!button) return;
  event.preventDefault();
  const form = button.closest("[data-retry]");
  const { done, page, error } = await sendForm(form.getAttribute("action"), new URLSearchParams());
  if (done) showBatch(done);
  else showBarError(error ?? sentences(page?.querySelector("main")) ?? say("script-not-sent"));
});

// A field that is empty is not part of the address.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "get") return;
  const empty = [...event.target.elements].filter((one) => one.name && !one.disabled && one.value === "");
  empty.forEach((one) => { one.disabled = true; });
  setTimeout(() => empty.forEach((one) => { one.disabled = false; }), 0);
});

// On a phone, the filters are folded. Without a script they are open.
if (matchMedia("(width < 700px)").matches) document.querySelectorAll("[data-folded]").forEach((one) => one.removeAttribute("open"));

// The way back to the farm keeps its filter.
if (byId("farm")) sessionStorage.setItem("farm", location.pathname + location.search);
else for (const link of document.querySelectorAll(".crumb a[href='/']")) link.href = sessionStorage.getItem("farm") ?? "/";

// A menu closes when the user goes on elsewhere.
document.addEventListener("pointerdown", (event) => {
  for (const menu of document.querySelectorAll(".who[open], .others[open], .halt[open]")) if (!menu.contains(event.target)) menu.open = false;
});

// --- Frames: shown when they have content, as high as the content ----------------------------------------------------

for (const frame of document.querySelectorAll("iframe.tested")) {
  frame.hidden = true;
  frame.addEventListener("load", () => {
    const body = frame.contentDocument?.body;
    if (!body?.firstElementChild) return;
    frame.hidden = false;
    frame.style.height = body.scrollHeight + "px";
  });
}

// --- Parts that are polled until another program has finished --------------------------------------------------------

setInterval(async () => {
  const part = document.querySelector("[data-again]");
  if (!part || document.hidden) return;
  const answer = await fetch(part.dataset.again).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const html = await answer.text();
  apply(() => putPart(part.id, html));
}, 1500);

// --- Parts that are loaded later, because a printer may need long to send them ---------------------------------------

async function load(part) {
  const [reading, link] = [part.querySelector(".reading"), part.querySelector(".ways")];
  const begun = Date.now();
  const count = setInterval(() => {
    reading.querySelector("[data-seconds]").textContent = say("script-seconds", { n: Math.round((Date.now() - begun) / 1000) });
  }, 1000);
  [reading.hidden, link.hidden] = [false, true];
  const answer = await fetch(part.dataset.load).catch(() => null);
  const html = answer?.ok && !answer.redirected ? await answer.text().catch(() => "") : "";
  clearInterval(count);
  const loaded = parse(html).getElementById(part.id);
  if (loaded) return part.replaceWith(loaded);
  // The link opens the list, or the reason why it is not available.
  [reading.hidden, link.hidden] = [true, false];
}

document.querySelectorAll("[data-load]").forEach(load);

// --- Cameras: reloads visible images, one request per camera at a time -----------------------------------------------

const LOOK_MS = 5000;
const inView = new Set();
const watcher = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) inView[isIntersecting ? "add" : "delete"](target);
});

function followPicture(picture) {
  const said = document.createElement("span");
  said.className = "hint";
  picture.after(said);
  let begun = performance.now();
  let came = 0;
  const settled = () => { begun = 0; };
  picture.addEventListener("load", () => { settled(); came = Date.now(); picture.classList.remove("missing"); });
  picture.addEventListener("error", async () => {
    settled();
    if (came) return;
    // The response text says why there is no image.
    const answer = await fetch(picture.src).catch(() => null);
    said.textContent = answer && !answer.ok ? await answer.text() : "";
    picture.classList.toggle("missing", said.textContent !== "");
  });
  if (picture.complete && picture.naturalWidth) { settled(); came = Date.now(); }
  watcher.observe(picture);
  picture.look = () => {
    const old = came && Date.now() - came > 3 * LOOK_MS;
    picture.classList.toggle("old", Boolean(old));
    if (came) said.textContent = old ? ago(Math.round((Date.now() - came) / 1000)) : "";
    if (begun || !inView.has(picture)) return;
    begun = performance.now();
    picture.src = picture.src.split("?")[0] + "?" + Date.now();
  };
}

/** Adds the camera image to a tile that was added to a page with cameras. */
function showPicture(tile) {
  if (!document.querySelector(".cameras")) return;
  const shot = document.createElement("div");
  shot.className = "shot";
  const picture = document.createElement("img");
  picture.src = `/printers/${tile.id.slice(2)}/camera`;
  picture.alt = nameOf(tile);
  shot.append(picture);
  tile.querySelector(".hit").after(shot);
  followPicture(picture);
}

if (document.querySelector(".shot img")) {
  document.querySelectorAll(".shot img").forEach(followPicture);
  setInterval(() => {
    if (!document.hidden) document.querySelectorAll(".shot img").forEach((picture) => picture.look());
  }, LOOK_MS);
}

// --- Upload progress -------------------------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-upload]")) return;
  event.preventDefault();
  const [button, bar, said] = ["button", "progress", "[role=status]"].map((name) => form.querySelector(name));
  const over = (text) => {
    said.textContent = text;
    button.disabled = false;
    bar.hidden = true;
  };
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.responseType = "document";
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    bar.value = (100 * loaded) / total;
    // The server has the whole file and now sends it to the printer.
    said.textContent = loaded < total ? Math.floor(bar.value) + " %" : say("script-sending");
  });
  request.addEventListener("load", () => {
    if (request.status < 400) return location.reload();
    over(sentences(request.response?.querySelector("main")) ?? say("script-upload-failed"));
  });
  request.addEventListener("error", () => over(say("script-connection-lost")));
  button.disabled = true;
  bar.hidden = false;
  request.send(new FormData(form));
});

// A file that is dropped on the form is sent at once.
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const form = event.target.closest?.("[data-upload]");
    if (!form || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    form.classList.toggle("over", kind === "dragover");
    const file = kind === "drop" ? event.dataTransfer.files[0] : null;
    if (!file) return;
    const one = new DataTransfer();
    one.items.add(file);
    form.querySelector("[type=file]").files = one.files;
    form.requestSubmit(form.querySelector("button"));
  });
}

localise(document);
showSelection();
follow();
