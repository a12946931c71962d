// The page of one printer: loads the commands again when the printer changes, the history when a command has ended, and
// the files when the printer answers.
"use strict";

(() => {
  // Several changes of a moment are one.
  const DELAY_MS = 300;
  let timer = 0;

  async function refresh() {
    timer = 0;
    const old = byId("commands");
    const answer = await fetch(old.dataset.commands).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    const fresh = parse(await answer.text()).firstElementChild;
    const [before, after] = [old, fresh].map((part) => part.querySelector("#more-commands"));
    if (before && after) after.open = before.open;
    if (old.outerHTML !== fresh.outerHTML) {
      const focused = old.contains(document.activeElement) ? document.activeElement.value : null;
      old.replaceWith(fresh);
      if (focused) fresh.querySelector(`[value="${CSS.escape(focused)}"]`)?.focus();
    }
    refreshProduction();
    if (byId("printer-files").dataset.unavailable !== undefined) refreshFiles();
  }

  async function refreshProduction() {
    const old = byId("plan");
    const answer = await fetch(old.dataset.plan).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    const fresh = parse(await answer.text()).querySelector("#plan");
    if (!fresh) return;
    localise(fresh);
    if (!old.contains(document.activeElement)) old.replaceWith(fresh);
  }

  /** Returns a part of this page as it is now. */
  async function freshPart(id) {
    const answer = await fetch(location.href).catch(() => null);
    return answer?.ok && !answer.redirected ? parse(await answer.text()).querySelector("#" + id) : null;
  }

  async function refreshFiles() {
    const fresh = await freshPart("printer-files");
    if (!fresh || fresh.dataset.unavailable !== undefined) return;
    byId("printer-files").replaceWith(fresh);
    fresh.querySelectorAll("[data-load]").forEach(load);
  }

  async function refreshHistory() {
    const fresh = await freshPart("history");
    if (!fresh) return;
    localise(fresh);
    byId("history").replaceWith(fresh);
  }

  addEventListener("batch-end", refreshHistory);
  addEventListener("tile", () => { timer ||= setTimeout(refresh, DELAY_MS); });
})();
