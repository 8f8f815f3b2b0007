// Rows under the filters, as cards or as a table, with facets next to them; scrolling down loads more.
import { bars } from "./charts.js";
import { badge, card } from "./cards.js";
import { count, el, many, percent, shown, words } from "./dom.js";
import { filterBar } from "./filters.js";
import { addFilter, ask, column, counted, go, state, table } from "./state.js";

const FACETS = ["model", "dataset", "set", "group", "metric", "verdict", "fails", "source", "language", "task", "kind", "format", "benchmarks", "flags"];
const DEFAULT = ["dataset", "verdict", "source", "task", "kind", "language", "width", "height", "caption", "text_length", "samples", "regions", "lines"];
const PAGE = 60;
export let listed = [];

// rows without pictures are shown as a table by default
export const asTable = () => (state.mode || (["rows", "samples"].includes(table().name) || table().predicted ? "cards" : "table")) === "table";

const openRow = (row) => go({ row: row._key, of: table().name });

export function rows(main, signal) {
  const query = { table: table().name, f: state.f }, grid = asTable() ? el("div.scroll") : el("div.gallery");
  const head = el("div.listhead"), facets = el("aside.facets", { "aria-label": "counts by word" }), end = el("p.end");
  listed = [];
  const total = el("b", { id: "total" }, "…"), searched = el("span.soft", { id: "searched" });
  head.append(el("p", {}, total, " ", searched), controls());
  main.replaceChildren(filterBar(), el("div.split", {}, facets, el("div.list", {}, head, grid, end)));
  const first = fill(grid, end, query, signal);
  // the rows first, because the reader waits for them; then all counts at once. A facet ignores the filter on its own column
  const names = FACETS.filter((each) => column(each)?.charted), boxes = new Map(names.map((name) => [name, el("section.facet", { "data-column": name })]));
  facets.append(...boxes.values());
  const alone = (name) => column(name).kind === "words" || state.f.some((each) => each.startsWith(`${name}:is:`));
  first.then(() => counted({ ...query, by: names.filter((name) => !alone(name)) }, signal, (found, share) => {
    const { rows: all, kept } = found.total, rowsText = column("verdict") ? `${many(all, "row")}, ${count(kept)} kept` : many(all, "row");
    total.textContent = share === null ? rowsText : `at least ${rowsText}`;
    searched.textContent = share === null ? "" : `${percent(share, 1)} searched`;
    for (const [name, cells] of Object.entries(found.counts)) facet(boxes.get(name), cells, share === null);
  })).then(async () => {
    for (const name of names.filter(alone)) {
      const without = { ...query, f: query.f.filter((each) => !each.startsWith(`${name}:is:`)), by: name };
      if (column(name).kind === "words") facet(boxes.get(name), await ask("counts", without, signal), true);
      else await counted(without, signal, (found, share) => facet(boxes.get(name), found.counts[name], share === null));
    }
  }).catch(() => {});
}

function controls() {
  const modes = [["cards", "Gallery"], ["table", "Table"]].map(([mode, text]) =>
    el("button", { type: "button", "aria-pressed": String(asTable() === (mode === "table")), onclick: () => go({ mode }) }, text));
  const sortable = table().columns.filter(({ kind }) => ["number", "word", "text", "flag"].includes(kind));
  const sort = el("select", { "aria-label": "sort by", onchange: (event) => go({ sort: event.target.value, row: "" }) },
    el("option", { value: "" }, "order of the files"),
    sortable.flatMap(({ name }) => [[name, `${words(name)} ↑`], [`-${name}`, `${words(name)} ↓`]]).map(([value, text]) => el("option", { value, selected: value === state.sort }, text)));
  return el("div.controls", {}, el("span.segments", {}, modes), el("label", {}, "sort ", sort), asTable() ? columnPicker() : null);
}

export function tableColumns() {
  if (state.c.length) return state.c.filter((name) => column(name));
  const known = ["rows", "samples"].includes(table().name) ? DEFAULT.filter((name) => column(name)) : [];
  return known.length ? known : table().columns.map(({ name }) => name);
}

function columnPicker() {
  const now = tableColumns();
  return el("details.columns", {}, el("summary", {}, "columns"), el("div.menu", {}, table().columns.map(({ name }) => el("label", {},
    el("input", { type: "checkbox", checked: now.includes(name), onchange: (event) => go({ c: event.target.checked ? [...now, name] : now.filter((each) => each !== name) }) }), ` ${words(name)}`))));
}

async function fill(grid, end, query, signal) {
  let from = "", busy = false;
  const lines = asTable(), names = lines ? tableColumns() : [];
  const body = lines ? el("tbody") : grid;
  if (lines) grid.append(el("table.rows", {}, el("thead", {}, el("tr", {}, names.map(heading))), body));
  // a search in a text returns what it has found so far: ask again until a page is full
  const next = async () => {
    if (busy || from === null) return;
    busy = true;
    let got = 0;
    do {
      const page = await ask("rows", { ...query, sort: state.sort, from, column: names }, signal).catch((error) => { if (error.name !== "AbortError") end.textContent = error.message; return null; });
      if (!page) { from = null; return; }
      page.rows.forEach((row) => {
        const number = listed.push(row) - 1;
        body.append(lines ? line(row, names, number) : card(row, openRow, { number }));
      });
      from = page.next;
      got += page.rows.length;
      end.textContent = from === null || got >= PAGE ? "" : `${percent(page.share, 1)} of the rows searched …`;
      markOpen();
    } while (from !== null && got < PAGE);
    busy = false;
    end.toggleAttribute("data-all", from === null);
    end.replaceChildren(from !== null ? el("button", { type: "button", onclick: next }, "more rows") : listed.length ? "That is all." : "No row is like that.",
      ...(from === null && !listed.length && state.f.length ? [" ", el("button", { type: "button", onclick: () => go({ f: [], row: "" }) }, "clear the filters")] : []));
    // observe again: an observer only reports changes, and there is none if the reader scrolled within one frame
    watcher.unobserve(end);
    if (!signal.aborted) watcher.observe(end);
  };
  const watcher = new IntersectionObserver((entries) => { if (entries.some(({ isIntersecting }) => isIntersecting)) next(); }, { rootMargin: "900px" });
  await next();
  signal.addEventListener("abort", () => watcher.disconnect());
}

function heading(name) {
  const sorted = state.sort === name ? "ascending" : state.sort === `-${name}` ? "descending" : null;
  return el("th", { scope: "col", "aria-sort": sorted }, el("button.plain", { type: "button", onclick: () => go({ sort: state.sort === `-${name}` ? name : `-${name}`, row: "" }) },
    words(name), sorted ? (sorted === "ascending" ? " ↑" : " ↓") : ""));
}

function line(row, names, number) {
  return el("tr.line", { tabindex: number ? -1 : 0, "data-key": row._key, onclick: () => openRow(row), onkeydown: (event) => { if (event.key === "Enter") openRow(row); } },
    names.map((name) => el(typeof row[name] === "number" ? "td.number" : "td", {}, name === "verdict" ? badge(row.verdict) : shown(row[name]))));
}

export function markOpen() {
  for (const each of document.querySelectorAll(".list [data-key]")) each.classList.toggle("open", each.dataset.key === state.row);
}

function facet(box, found, whole) {
  const name = box.dataset.column;
  if (!found.length) { if (whole) box.remove(); return; }
  const act = (word) => () => {
    const text = word === null ? `${name}:none:` : `${name}:is:${word}`;
    if (state.f.includes(text)) go({ f: state.f.filter((each) => each !== text), row: "" });
    else addFilter(text);
  };
  const draw = (most) => {
    const shownBars = bars(found.slice(0, most).map(([label, n, kept]) => ({ label, n, kept, act: act(label) })), { tight: true });
    [...shownBars.children].forEach((bar, i) => bar.setAttribute("aria-pressed", String(state.f.includes(`${name}:is:${found[i][0]}`))));
    const rest = found.length - most;
    box.replaceChildren(el("h3", {}, words(name)), shownBars, ...(rest > 0 ? [el("button.plain", { type: "button", onclick: () => draw(most + 40) }, `${count(rest)} more`)] : []));
  };
  draw(8);
}

// the row before or after the open one
export function neighbour(step) {
  const at = listed.findIndex(({ _key }) => _key === state.row), next = listed[at + step];
  if (at >= 0 && next) go({ row: next._key, of: table().name });
}

export function moveFocus(step) {
  const items = [...document.querySelectorAll(".list [data-key]")];
  if (!items.length) return;
  const at = items.indexOf(document.activeElement?.closest?.("[data-key]"));
  items[Math.max(0, Math.min(items.length - 1, at + step))].focus();
}

export const perLine = () => {
  const items = [...document.querySelectorAll(".list .card")];
  return Math.max(1, items.filter((each) => each.offsetTop === items[0]?.offsetTop).length);
};
