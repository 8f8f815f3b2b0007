// Duplicate clusters by rule: their sizes, and the largest of them side by side.
import { card } from "./cards.js";
import { count, el, many, words } from "./dom.js";
import { filterBar } from "./filters.js";
import { ask, go, output, state } from "./state.js";

export function duplicates(main, signal) {
  const rule = output.rules.includes(state.rule) ? state.rule : output.rules[0];
  const tabs = el("div.segments", { role: "group", "aria-label": "duplicate rule" }, output.rules.map((each) =>
    el("button", { type: "button", "aria-pressed": String(each === rule), onclick: () => go({ rule: each, row: "" }) }, words(each))));
  const sizes = el("div.sizes"), list = el("div.clusters"), end = el("p.end", {}, "…");
  main.replaceChildren(filterBar(), el("section", {}, el("h2", {}, "Duplicates"),
    el("p.lead", {}, "Rows that repeat another row, the largest clusters first. The kept row comes first."), tabs, sizes, list, end));
  if (!rule) { end.textContent = "This output has no duplicate rule."; return; }
  load(rule, 0, { sizes, list, end }, signal);
}

async function load(rule, offset, places, signal) {
  const found = await ask("clusters", { table: "rows", f: state.f, rule, offset }, signal).catch((error) => { if (error.name !== "AbortError") places.end.textContent = error.message; return null; });
  if (!found) return;
  if (!offset) places.sizes.replaceChildren(histogramOf(found.sizes));
  for (const { keeper, size, members } of found.clusters) {
    const open = ({ _key }) => go({ row: _key, of: "rows" });
    places.list.append(el("section.cluster", {}, el("h3", {}, many(size, "row"), el("span.soft", {}, size > members.length ? `, ${members.length} shown` : "")),
      el("div.side", {}, members.map((member, i) => card(member, open, { of: "rows", number: i, extra: member._key === keeper ? el("b", {}, "keeper") : null })))));
  }
  const more = found.clusters.length === 12;
  places.end.replaceChildren(more ? el("button", { type: "button", onclick: () => load(rule, offset + 12, places, signal) }, "more clusters") : places.list.children.length ? "That is all." : "No row was dropped by this rule.");
}

function histogramOf(sizes) {
  if (!sizes.length) return "";
  const most = Math.max(...sizes.map(([, n]) => n)), total = sizes.reduce((sum, [, n]) => sum + n, 0);
  return el("figure.chart", {}, el("h3", {}, `${many(total, "cluster")} by number of rows`), el("div.bars", {}, sizes.slice(0, 12).map(([size, n]) =>
    el("div.bar", { title: `${count(n)} clusters of ${size} rows` }, el("span.label", {}, many(size, "row")), el("span.track", {}, el("span.kept", { style: { width: `${100 * n / most}%` } })), el("span.n", {}, count(n))))));
}
