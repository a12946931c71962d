// The wall screen: shows what needs attention page by page, and the time of day. CSS flows the contents into columns of the
// screen's height; further columns are to the right, and a page is one width of the screen.
"use strict";

const PAGE_MS = 10000;

/** Returns the distance from one page to the next, and the number of pages that have something to show. */
function measurePages(frame, flow) {
  const gap = parseFloat(getComputedStyle(flow).columnGap) || 0;
  const step = frame.clientWidth + gap;
  // Prints that end next fill the space that is left. They need no page of their own.
  const needed = "all" in flow.dataset ? null : [...flow.querySelectorAll("[data-need]")].at(-1);
  const start = flow.getBoundingClientRect().left;
  const end = needed ? needed.getBoundingClientRect().right - start : flow.scrollWidth;
  return { step, pages: Math.max(1, Math.ceil((end - 1) / step)) };
}

function turnPage() {
  byId("now").dateTime = new Date().toISOString();
  localise(byId("now").parentElement);
  const flow = document.querySelector(".wall .flow");
  const { step, pages } = flow ? measurePages(flow.parentElement, flow) : { step: 0, pages: 1 };
  const page = Math.floor(Date.now() / PAGE_MS) % pages;
  if (flow) flow.style.transform = page > 0 ? `translateX(${-page * step}px)` : "";
  const place = byId("place");
  place.hidden = pages === 1;
  place.textContent = `${page + 1} / ${pages}`;
}

turnPage();
setInterval(turnPage, 1000);
addEventListener("wall", turnPage);
addEventListener("resize", turnPage);
