// The page of one printer: loads the commands again when the printer changes.
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
    if (old.outerHTML === fresh.outerHTML) return;
    const focused = old.contains(document.activeElement) ? document.activeElement.value : null;
    old.replaceWith(fresh);
    if (focused) fresh.querySelector(`[value="${CSS.escape(focused)}"]`)?.focus();
  }

  addEventListener("tile", () => { timer ||= setTimeout(refresh, DELAY_MS); });
})();
