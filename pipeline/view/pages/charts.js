// Bars and histograms as plain elements, because every bar is a button that leads to its rows (reports use charts.py and
// charts.js instead).
import { count, el, untrusted, percent, short, words } from "./dom.js";

// list: [{label, n, kept, act, title}]; total: show shares of it instead of counts; the pale bar shows all rows, the dark one kept rows
export function bars(list, { most = null, total = null, tight = false } = {}) {
  const top = most || Math.max(1, ...list.map(({ n }) => n));
  return el("div.bars", {}, list.map(({ label, n, kept, act, title }) => {
    const description = title || `${label ?? "no value"}: ${count(n)} rows, ${count(kept)} kept (${percent(kept, n)})`;
    return el(act ? "button.bar" : "div.bar", { type: act && "button", title: description, "aria-label": description, onclick: act },
      el("span.label", {}, label === null ? el("i", {}, "no value") : label === "" ? el("i", {}, "empty") : untrusted(words(label), 60)),
      el("span.track", {}, el("span.all", { style: { width: `${100 * n / top}%` } }), el("span.kept", { style: { width: `${100 * kept / top}%` } })),
      el("span.n", {}, total ? percent(n, total) : tight ? short(n) : count(n)));
  }));
}

export function binName(data, bin, integer) {
  const low = data.edges[bin], high = data.edges[bin + 1], last = bin === data.every.length - 1;
  if (integer && high - low === 1) return count(low);
  if (integer) return `${count(low)} to ${count(high - 1)}`;
  return last ? `${short(low)} to ${short(high)}` : `${short(low)} to below ${short(high)}`;
}

// the condition for the rows of some bins; the last bin has no upper bound because it includes its upper edge
export function range(data, first, last) {
  const open = last === data.every.length - 1;
  return `${data.edges[first]}..${open ? "" : data.edges[last + 1]}`;
}

// choose(first, last) gets the bins that were clicked or dragged over
export function histogram(data, { integer = false, choose = null, name = "" } = {}) {
  const most = Math.max(1, ...data.every);
  let start = null;
  const group = el("div.bins", { role: "group", "aria-label": `${name}: ${data.every.length} bins` });
  const mark = (to) => [...group.children].forEach((bin, i) => {
    bin.classList.toggle("chosen", start !== null && i >= Math.min(start, to) && i <= Math.max(start, to));
  });
  data.every.forEach((n, i) => {
    const kept = data.kept[i], description = `${binName(data, i, integer)}: ${count(n)} rows, ${count(kept)} kept`;
    const height = (value) => `${value ? Math.max(1.5, 100 * value / most) : 0}%`;
    group.append(el("button.bin", { type: "button", title: description, "aria-label": description, tabindex: i ? -1 : 0, "data-bin": i },
      el("span.all", { style: { height: height(n) } }), el("span.kept", { style: { height: height(kept) } })));
  });
  const at = (event) => Number(document.elementFromPoint(event.clientX, event.clientY)?.closest(".bin")?.dataset.bin ?? NaN);
  group.addEventListener("pointerdown", (event) => { const bin = at(event); if (choose && bin >= 0 && event.button === 0) { start = bin; mark(bin); } });
  group.addEventListener("pointermove", (event) => { const bin = at(event); if (start !== null && bin >= 0) mark(bin); });
  group.addEventListener("pointerup", (event) => {
    const bin = at(event), from = start;
    start = null; mark(0);
    if (from !== null && bin >= 0) choose(Math.min(from, bin), Math.max(from, bin));
  });
  group.addEventListener("pointerleave", () => { start = null; mark(0); });
  group.addEventListener("keydown", (event) => {
    const bin = Number(event.target.dataset.bin), step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && group.children[bin + step]) { event.preventDefault(); event.stopPropagation(); event.target.tabIndex = -1; group.children[bin + step].tabIndex = 0; group.children[bin + step].focus(); }
    if (choose && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); choose(bin, bin); }
  });
  return el("div.histogram", { style: { "max-width": `${data.every.length * 44}px` } }, group, axis(data));
}

function axis(data) {
  const bins = data.every.length, step = Math.ceil(data.edges.length / 6), marks = [];
  for (let i = 0; i < data.edges.length - (step > 1 ? step / 2 : 0); i += step) marks.push(i);
  return el("div.axis", { "aria-hidden": "true" }, marks.map((i) =>
    el("span", { style: { left: `${100 * i / bins}%` } }, short(data.edges[i]))));
}

// a table of two words against each other: cells are [row word, column word, rows, kept]
export function cross(cells, mode, choose) {
  const sum = (at) => cells.reduce((found, cell) => found.set(cell[at], (found.get(cell[at]) || 0) + cell[2]), new Map());
  const order = (found) => [...found].sort((a, b) => b[1] - a[1]).slice(0, 24).map(([word]) => word);
  const down = order(sum(0)), across = order(sum(1)), kept = cells.reduce((total, cell) => total + cell[3], 0);
  const of = new Map(cells.map((cell) => [JSON.stringify(cell.slice(0, 2)), cell]));
  const weight = { rate: (c) => c[3] / c[2], share: (c) => c[3] / (kept || 1), rows: (c) => c[2], kept: (c) => c[3] }[mode];
  const most = mode === "rate" ? 1 : Math.max(...cells.map(weight), 1e-9);
  const text = { rate: (c) => percent(c[3], c[2]), share: (c) => percent(c[3], kept), rows: (c) => count(c[2]), kept: (c) => count(c[3]) }[mode];
  const head = (word) => (word === null ? "no value" : untrusted(words(word), 40));
  return el("table.numbers.heat", {},
    el("thead", {}, el("tr", {}, el("td"), across.map((word) => el("th", { scope: "col" }, head(word))))),
    el("tbody", {}, down.map((row) => el("tr", {}, el("th", { scope: "row" }, head(row)), across.map((col) => {
      const cell = of.get(JSON.stringify([row, col]));
      return el("td", {}, cell ? el("button.cell", { type: "button", style: { "--weight": (weight(cell) / most).toFixed(3) },
        title: `${count(cell[2])} rows, ${count(cell[3])} kept`, onclick: () => choose(row, col) }, text(cell)) : null);
    })))));
}
