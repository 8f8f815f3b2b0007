// The frame of the app: bar, views, keys.
import { detail, closeRow } from "./detail.js";
import { el, untrusted } from "./dom.js";
import { duplicates } from "./duplicates.js";
import { overview } from "./overview.js";
import { asTable, markOpen, moveFocus, neighbour, perLine, rows } from "./rows.js";
import { address, go, onChange, onSettle, open, output, state, table } from "./state.js";
import { whatif } from "./whatif.js";

const VIEWS = { overview: ["Overview", overview], rows: ["Browse", rows], duplicates: ["Duplicates", duplicates], whatif: ["What if", whatif] };
const main = document.getElementById("main"), bar = document.getElementById("bar"), help = document.getElementById("help");
let current = null, drawn = "";

const views = () => Object.keys(VIEWS).filter((name) => (name === "duplicates" ? output.rules.length : name === "whatif" ? output.curated : true));
const view = () => (views().includes(state.view) ? state.view : "overview");

function link(text, changes, here) {
  return el("a", { href: address(changes), "aria-current": here ? "page" : null, onclick: (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(changes);
  } }, text);
}

function drawBar() {
  const now = view(), tabled = now === "overview" || now === "rows";
  const tables = output.tables.map(({ name, title }) => link(title, { table: name, f: [], c: [], sort: "", row: "", by: "", across: "" }, name === table().name));
  const theme = el("button.plain", { type: "button", title: "light or dark  t", "aria-label": "light or dark", onclick: turn }, "◐");
  bar.replaceChildren(...[el("b.name", {}, link(untrusted(output.name, 40), { view: "", table: "", f: [], c: [], w: [], sort: "", row: "", mode: "", scope: "" })),
    el("nav", { "aria-label": "views" }, views().map((name) => link(VIEWS[name][0], { view: name === "overview" ? "" : name, row: "", of: "", ...(name === "duplicates" ? { table: "" } : {}) }, name === now))),
    tabled && tables.length > 1 ? el("nav.tables", { "aria-label": "tables" }, tables) : null, el("span.space"),
    theme, el("button.plain", { type: "button", title: "keys  ?", "aria-label": "keys", onclick: showHelp }, "?")].filter(Boolean));
  document.title = `${output.name}: ${VIEWS[now][0].toLowerCase()}`;
}

// the state without the drawer's: when only the open row changes, the list is not drawn again
const shape = () => JSON.stringify([view(), table().name, state.f, state.c, state.sort, state.mode, state.rule, state.scope, view() === "whatif" ? state.w : []]);

function render() {
  drawBar();
  const wanted = shape();
  if (wanted !== drawn) {
    current?.abort();
    current = new AbortController();
    drawn = wanted;
    const moved = main.dataset.view !== view();
    main.dataset.view = view();
    Promise.resolve(VIEWS[view()][1](main, current.signal)).catch((error) => { if (error.name !== "AbortError") main.replaceChildren(el("p.error", {}, error.message)); });
    if (moved) scrollTo(0, 0);
  }
  markOpen();
  detail();
}

function turn() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("qvl-theme", document.documentElement.dataset.theme); } catch { /* a browser may forbid it */ }
}

const KEYS = [["/", "search"], ["1 2 3 4", "the views"], ["← ↑ → ↓, j k", "move between rows; while a row is open, to the next or previous one"], ["Enter", "open the row"], ["Esc", "close"], ["g", "gallery or table"], ["t", "light or dark"], ["?", "this list"]];
function showHelp() {
  help.replaceChildren(el("h2", {}, "Keys"), el("dl", {}, KEYS.map(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)])),
    el("p.soft", {}, "In a histogram, arrow keys move between bars, Enter shows the rows of a bar, and dragging selects a range. The address holds the state of the page: copy it to return."),
    el("form", { method: "dialog" }, el("button", {}, "Close")));
  help.showModal();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const typing = event.target.matches?.("input:not([type=checkbox]):not([type=range]), select, textarea");
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (state.row) closeRow();
    return;
  }
  if (typing || event.target.matches?.("input[type=range]")) return;
  const steps = state.row ? { ArrowRight: 1, ArrowLeft: -1, j: 1, k: -1 } : { ArrowRight: 1, ArrowLeft: -1, ArrowDown: perLine(), ArrowUp: -perLine(), j: 1, k: -1 };
  const inList = main.dataset.view === "rows" && (state.row || event.key.length === 1 || event.target.closest?.(".list [data-key]"));
  if (inList && steps[event.key]) { event.preventDefault(); (state.row ? neighbour : moveFocus)(steps[event.key]); }
  else if (event.key === "/") { event.preventDefault(); document.querySelector("[name=search]")?.focus(); }
  else if (event.key === "?") showHelp();
  else if (event.key === "t") turn();
  else if (event.key === "g" && view() === "rows") go({ mode: asTable() ? "cards" : "table" });
  else if (views()[Number(event.key) - 1]) go({ view: views()[Number(event.key) - 1], row: "", of: "" });
});

try { const kept = localStorage.getItem("qvl-theme"); if (kept) document.documentElement.dataset.theme = kept; } catch { /* a browser may forbid it */ }
onChange(render);
onSettle(() => { drawn = shape(); });
open().then(render).catch((error) => main.replaceChildren(el("p.error", {}, error.message)));
