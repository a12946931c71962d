// Keeps a page live and makes selection quick. Every form works without it; nothing here knows what a state means.
"use strict";

const byId = (id) => document.getElementById(id);
const parse = (html) => {
  const box = document.createElement("template");
  box.innerHTML = html;
  return box.content;
};

// --- Times: the server writes UTC, people live in a zone ------------------------------------------------------------

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const today = at.toDateString() === new Date().toDateString();
    time.textContent = (("day" in time.dataset) || !today ? day : clock).format(at);
    time.title = exact.format(at);
  }
}

// --- Live -----------------------------------------------------------------------------------------------------------

const SILENCE_MS = 4500;
let source = null;
let heard = Date.now();
let stamp = "";
let pressed = false;
const waiting = [];

// Nothing moves under a finger that is down: what comes meanwhile waits.
const apply = (change) => (pressed ? waiting.push(change) : change());
const release = () => {
  pressed = false;
  // After the click that follows this.
  setTimeout(() => { if (!pressed) waiting.splice(0).forEach((change) => change()); }, 0);
};
let grip = 0;
addEventListener("pointerdown", () => {
  pressed = true;
  clearTimeout(grip);
  // A finger whose lifting nobody reports must not hold the page for good.
  grip = setTimeout(release, 3000);
});
for (const kind of ["pointerup", "pointercancel", "blur"]) addEventListener(kind, release);

/** Puts new tiles over old ones. The checkbox stays the same element; a focus inside goes to its successor. */
function putTiles(html, mayAdd) {
  const fragment = parse(html);
  localise(fragment);
  for (const tile of [...fragment.children]) {
    const old = byId(tile.id);
    const body = tile.querySelector(".body");
    if (old) {
      const before = old.querySelector(".body");
      const focused = before.contains(document.activeElement) ? document.activeElement.className : null;
      before.replaceWith(body);
      old.querySelector(".pick").setAttribute("aria-label", tile.querySelector(".pick").getAttribute("aria-label"));
      if (focused) body.querySelector("." + CSS.escape(focused.split(" ")[0]))?.focus();
    } else if (mayAdd && !document.body.dataset.only) {
      byId("others")?.append(tile);
    }
  }
  refreshForecast();
}

function putPart(id, html) {
  const old = byId(id);
  const fresh = parse(html).firstElementChild;
  if (!old || !fresh || old.outerHTML === fresh.outerHTML) return;
  localise(fresh);
  // Do not take away what somebody fills in or is about to press.
  if (old.querySelector("input:checked")) return;
  const at = old.contains(document.activeElement) ? [...old.querySelectorAll("a, button")].indexOf(document.activeElement) : -1;
  old.replaceWith(fresh);
  if (at >= 0) fresh.querySelectorAll("a, button")[at]?.focus();
}

function putAges(ages) {
  for (const tile of document.querySelectorAll(".tile.old")) {
    if (!(tile.id.slice(2) in ages)) {
      tile.classList.remove("old");
      tile.querySelector(".age").hidden = true;
    }
  }
  for (const [id, seconds] of Object.entries(ages)) {
    const tile = byId("p-" + id);
    if (!tile) continue;
    tile.classList.add("old");
    const age = tile.querySelector(".age");
    age.textContent = seconds < 120 ? `${seconds} s ago` : `${Math.round(seconds / 60)} m ago`;
    age.hidden = false;
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
  on("tiles", (html) => putTiles(html, true));
  on("others", (html) => putTiles(html, false));
  on("gone", (ids) => { ids.split(" ").forEach((id) => byId("p-" + id)?.remove()); showSelection(); });
  on("strip", (html) => putPart("strip", html));
  on("batch", (html) => putPart("live", html));
  on("beat", (ages) => putAges(JSON.parse(ages)));
  source.onerror = () => {
    // Closed for good (logged out, or the server is away for long): begin anew.
    if (source && source.readyState === EventSource.CLOSED) {
      leave();
      setTimeout(follow, 3000);
    }
  };
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

setInterval(() => {
  if (!document.body.dataset.stream || document.hidden) return;
  const lost = Date.now() - heard > SILENCE_MS;
  const bar = byId("lost");
  if (lost && bar.hidden) {
    byId("lost-since").dateTime = new Date(heard).toISOString();
    localise(bar);
  }
  bar.hidden = !lost;
  document.body.classList.toggle("stale", lost);
}, 500);

// --- Selection ------------------------------------------------------------------------------------------------------

const picks = () => [...document.querySelectorAll(".farm .pick")];
let anchor = null;
let forecastTimer = 0;
let forecasts = {};

function showSelection() {
  const count = byId("count");
  if (!count) return;
  const boxes = picks();
  const n = boxes.filter((box) => box.checked).length;
  count.textContent = n === 0 ? "Tick printers, then choose" : `${n} selected`;
  byId("act").classList.toggle("idle", n === 0);
  const picker = byId("picker");
  picker.replaceChildren();
  const link = (text, act) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = text;
    button.addEventListener("click", act);
    picker.append(button);
  };
  if (n < boxes.length) link(`all ${boxes.length}`, () => pickAll(true));
  if (n > 0) link("none", () => pickAll(false));
  refreshForecast(true);
}

function pickAll(on) {
  picks().forEach((box) => { box.checked = on; });
  showSelection();
}

document.addEventListener("click", (event) => {
  const hit = event.target.closest(".farm .hit, .farm .pick");
  if (!hit) return;
  const box = hit.classList.contains("pick") ? hit : byId(hit.htmlFor);
  if (event.shiftKey && anchor?.isConnected && anchor !== box) {
    const all = picks();
    const [from, to] = [all.indexOf(anchor), all.indexOf(box)].sort((a, b) => a - b);
    // After the browser has toggled the one that was clicked.
    setTimeout(() => {
      all.slice(from, to + 1).forEach((one) => { one.checked = anchor.checked; });
      getSelection()?.removeAllRanges();
      showSelection();
    }, 0);
  } else {
    anchor = box;
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches(".farm .pick")) showSelection();
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

document.addEventListener("keydown", (event) => {
  if (!byId("farm") || event.target.matches("input:not(.pick), select, textarea")) return;
  const boxes = picks();
  if ((event.ctrlKey || event.metaKey) && event.key === "a") {
    event.preventDefault();
    pickAll(true);
  } else if (event.key === "Escape") {
    pickAll(false);
  } else if (event.key.startsWith("Arrow") && event.target.matches(".pick")) {
    const at = boxes.indexOf(event.target);
    const first = boxes[0].parentElement.parentElement;
    const across = getComputedStyle(first).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    event.preventDefault();
    boxes[Math.max(0, Math.min(boxes.length - 1, at + step))].focus();
  } else if (event.key === "/" && !event.ctrlKey) {
    event.preventDefault();
    document.querySelector("input[type=search]")?.focus();
  }
});

// --- What would happen ----------------------------------------------------------------------------------------------

function refreshForecast(now = false) {
  if (!byId("forecast")) return;
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
    if (!answer?.ok || answer.redirected) return;
    forecasts = {};
    for (const item of parse(await answer.text()).querySelectorAll("li")) {
      forecasts[item.dataset.command] = { acts: Number(item.dataset.acts), text: item.textContent };
    }
    showForecast();
  }, now ? 120 : 1500);
}

function showForecast(command) {
  for (const button of document.querySelectorAll(".bar .act")) {
    const forecast = forecasts[button.value];
    button.querySelector(".n").textContent = forecast ? forecast.acts : "";
    button.classList.toggle("nothing", forecast?.acts === 0);
    button.title = forecast?.text ?? "";
  }
  byId("forecast").textContent = forecasts[command]?.text ?? "";
}

document.addEventListener("pointerout", (event) => {
  if (event.target.closest?.(".bar .act")) byId("forecast").textContent = "";
});

for (const kind of ["pointerover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const button = event.target.closest?.(".bar .act");
    if (button) showForecast(button.value);
  });
}

// --- Small acts that need no new page -------------------------------------------------------------------------------

document.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (!button?.matches("[data-quiet]")) return;
  event.preventDefault();
  const body = new URLSearchParams(button.name ? [[button.name, button.value]] : []);
  button.disabled = true;
  const answer = await fetch(button.formAction || event.target.action, { method: "POST", body }).catch(() => null);
  if (answer?.ok) {
    button.textContent = "Marked as clear";
  } else {
    button.disabled = false;
    button.textContent = "Did not work: try again";
  }
});

// --- A part of a page that waits for somebody elsewhere -----------------------------------------------------------

setInterval(async () => {
  const part = document.querySelector("[data-again]");
  if (!part || document.hidden) return;
  const answer = await fetch(part.dataset.again).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const html = await answer.text();
  apply(() => putPart(part.id, html));
}, 1500);

// --- Cameras: a new picture for those that are in view, one request each at a time ----------------------------------

const LOOK_MS = 5000;
const inView = new Set();
const watcher = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) inView[isIntersecting ? "add" : "delete"](target);
});
for (const picture of document.querySelectorAll("[data-camera]")) {
  const said = picture.parentElement.querySelector("[data-said]");
  let begun = performance.now();
  let came = 0;
  const settle = () => { begun = 0; };
  picture.addEventListener("load", () => { settle(); came = Date.now(); });
  picture.addEventListener("error", async () => {
    settle();
    if (came) return;
    // The answer says why there is none.
    const answer = await fetch(picture.src).catch(() => null);
    said.textContent = answer && !answer.ok ? await answer.text() : "";
  });
  if (picture.complete && picture.naturalWidth) { settle(); came = Date.now(); }
  watcher.observe(picture);
  picture.look = () => {
    const old = came && Date.now() - came > 3 * LOOK_MS;
    picture.classList.toggle("old", Boolean(old));
    if (came) said.textContent = old ? Math.round((Date.now() - came) / 1000) + " s ago" : "";
    if (begun || !inView.has(picture)) return;
    begun = performance.now();
    picture.src = picture.src.split("?")[0] + "?" + Date.now();
  };
}
if (document.querySelector("[data-camera]")) {
  setInterval(() => {
    if (!document.hidden) document.querySelectorAll("[data-camera]").forEach((picture) => picture.look());
  }, LOOK_MS);
}

// --- Uploads show how far they are ----------------------------------------------------------------------------------

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
    // The server has it all; the printer gets it now.
    said.textContent = loaded < total ? Math.floor(bar.value) + " %" : "On its way to the printer";
  });
  request.addEventListener("load", () => {
    if (request.status < 400) return location.reload();
    const page = request.response?.querySelector("main");
    over(page ? [...page.querySelectorAll("h1, p:not(.hint, .ways), li")].map((one) => one.textContent).join(". ") : "It did not work");
  });
  request.addEventListener("error", () => over("The connection broke off: nothing was uploaded"));
  button.disabled = true;
  bar.hidden = false;
  request.send(new FormData(form));
});

localise(document);
showSelection();
follow();
