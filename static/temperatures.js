// Draws actual and target temperatures of a printer's heaters. The table beside it has the same numbers without a script.
"use strict";

(() => {
  const SHOWN_S = 30 * 60;
  const LABELS_PX = 76;
  const box = document.getElementById("heat");
  const plot = box?.querySelector(".plot");
  if (!plot || !window.uPlot) return;

  const { t: times, heaters } = JSON.parse(box.dataset.heat);
  const rows = new Map([...box.querySelectorAll("[data-heater]")].map((row) => [row.dataset.heater, row]));
  const said = box.querySelector("[data-at]");
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const at = (seconds) => clock.format(new Date(seconds * 1000));
  const degrees = (value) => value.toFixed(1) + " °C";
  let chart = null;

  /** Returns a colour of the current theme. A canvas does not support custom properties. */
  const colour = (element, property) => getComputedStyle(element)[property];

  /** The chart data. A heater that is off has no target. */
  const data = () => [times, ...heaters.flatMap(({ actual, target }) => [actual, target.map((value) => value || null)])];

  function series() {
    const lines = heaters.flatMap(({ name }) => {
      const stroke = colour(rows.get(name).querySelector(".stroke"), "stroke");
      const line = { stroke, points: { show: false }, spanGaps: false };
      return [{ ...line, width: 2 }, { ...line, width: 1, dash: [4, 4] }];
    });
    return [{}, ...lines];
  }

  /** Writes the name of each line at its end, because colour alone does not identify a line. */
  function names(u) {
    const { ctx, bbox } = u;
    const dpr = devicePixelRatio;
    const ends = heaters
      .map(({ label, actual }, i) => ({ label, value: actual.findLast((value) => value !== null), stroke: u.series[1 + 2 * i].stroke() }))
      .filter(({ value }) => value !== undefined)
      .map((end) => ({ ...end, y: u.valToPos(end.value, "y", true) }))
      .sort((a, b) => a.y - b.y);
    ctx.save();
    ctx.font = `${12 * dpr}px ${colour(plot, "fontFamily")}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    let last = -Infinity;
    for (const end of ends) {
      last = Math.max(end.y, last + 14 * dpr);
      ctx.fillStyle = end.stroke;
      ctx.fillText(end.label, bbox.left + bbox.width + 6 * dpr, last, (LABELS_PX - 6) * dpr);
    }
    ctx.restore();
  }

  /** Shows the temperatures at the pointer. */
  function point(u) {
    const i = u.cursor.idx;
    said.hidden = i == null;
    if (i == null) return;
    const parts = heaters.filter(({ actual }) => actual[i] !== null).map(({ label, actual }) => `${label} ${degrees(actual[i])}`);
    said.textContent = [at(times[i]), ...parts].join(" · ");
  }

  function draw() {
    chart?.destroy();
    plot.hidden = false;
    const [text, line] = [colour(box.querySelector("th"), "color"), colour(box.querySelector("td"), "borderTopColor")];
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: `12px ${colour(plot, "fontFamily")}` };
    chart = new uPlot({
      width: plot.clientWidth,
      height: plot.clientHeight,
      padding: [8, LABELS_PX, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { range: () => [times.at(-1) - SHOWN_S, times.at(-1)] },
        y: { range: (_, low, high) => [Math.min(0, low), Math.max(50, Math.ceil((high + 5) / 10) * 10)] },
      },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map(at), space: 70, size: 32 },
        { ...axis, values: (_, ticks) => ticks.map((value) => value + "°"), size: 44 },
      ],
      series: series(),
      hooks: { draw: [names], setCursor: [point] },
    }, data(), plot);
  }

  function write({ name, actual, target }) {
    const cell = (which, text) => { rows.get(name).querySelector(`[data-${which}]`).textContent = text; };
    const [now, wanted] = [actual.at(-1), target.at(-1)];
    const known = actual.filter((value) => value !== null);
    cell("now", now === null ? "" : degrees(now));
    cell("target", wanted === null ? "" : wanted > 0 ? degrees(wanted) : box.dataset.off);
    cell("range", known.length ? `${Math.min(...known).toFixed(1)} – ${degrees(Math.max(...known))}` : "");
  }

  addEventListener("heat", ({ detail: news }) => {
    const time = news.t[0];
    if (time <= (times.at(-1) ?? 0)) return;
    const gone = times.findIndex((one) => one > time - SHOWN_S);
    times.push(time);
    times.splice(0, Math.max(0, gone));
    for (const heater of heaters) {
      const now = news.heaters.find(({ name }) => name === heater.name);
      for (const which of ["actual", "target"]) {
        heater[which].push(now?.[which][0] ?? null);
        heater[which].splice(0, Math.max(0, gone));
      }
      write(heater);
    }
    chart.setData(data());
    const read = box.querySelector("[data-read]");
    if (read) [read.dateTime, read.textContent] = [new Date(time * 1000).toISOString(), at(time)];
  });

  draw();
  new ResizeObserver(() => chart.setSize({ width: plot.clientWidth, height: plot.clientHeight })).observe(plot);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
