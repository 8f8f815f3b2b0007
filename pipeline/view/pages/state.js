// The address holds the state of the page, so that every view can be linked to and Back undoes a step.

const LISTS = ["f", "c", "w"];
const PLAIN = ["view", "table", "sort", "mode", "row", "of", "scope", "rule", "by", "across"];
export const state = read();
export let output = null;
const listeners = [], settled = [];

function read() {
  const address = new URLSearchParams(location.search), found = {};
  for (const name of PLAIN) found[name] = address.get(name) || "";
  for (const name of LISTS) found[name] = address.getAll(name);
  return found;
}

export function address(changes = {}) {
  const target = { ...state, ...changes }, query = new URLSearchParams();
  for (const name of PLAIN) if (target[name]) query.set(name, target[name]);
  for (const name of LISTS) for (const value of target[name]) query.append(name, value);
  const text = query.toString().replace(/%3A/g, ":").replace(/%2C/g, ",");
  return text ? `/?${text}` : "/";
}

// go(changes) adds an entry to the history; settle(changes) replaces the current one, for controls that are being moved
export function go(changes) {
  const target = address(changes);
  if (target !== location.pathname + location.search) history.pushState(null, "", target);
  Object.assign(state, changes);
  for (const listener of listeners) listener(changes);
}

export function settle(changes) {
  history.replaceState(null, "", address(changes));
  Object.assign(state, changes);
  for (const listener of settled) listener();
}

export const onChange = (listener) => listeners.push(listener);
export const onSettle = (listener) => settled.push(listener);
addEventListener("popstate", () => {
  Object.assign(state, read());
  for (const listener of listeners) listener(null);
});

export class Refused extends Error {}

let waiting = 0;
function busy(step) {
  waiting += step;
  document.getElementById("main").setAttribute("aria-busy", String(waiting > 0));
}

export async function ask(name, query = {}, signal = undefined) {
  busy(1);
  try { return await answered(name, query, signal); } finally { busy(-1); }
}

// counts by value, which a search in a text returns in parts: tell(counts so far, share of the rows searched, or null at the end)
export async function counted(query, signal, tell) {
  let whole = null, from = "";
  while (from !== null) {
    const part = await ask("facets", { ...query, from }, signal);
    whole = whole ? together(whole, part) : part;
    from = part.next;
    tell(whole, from === null ? null : part.share);
  }
}

function together(a, b) {
  const counts = {}, total = { rows: a.total.rows + b.total.rows, kept: a.total.kept + b.total.kept };
  for (const name of Object.keys(a.counts)) {
    const found = new Map(a.counts[name].map(([word, rows, kept]) => [word, [word, rows, kept]]));
    for (const [word, rows, kept] of b.counts[name]) {
      const cell = found.get(word) || [word, 0, 0];
      found.set(word, [word, cell[1] + rows, cell[2] + kept]);
    }
    counts[name] = [...found.values()].sort((x, y) => y[1] - x[1]);
  }
  return { total, counts };
}

async function answered(name, query, signal) {
  const asked = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) for (const each of [value].flat()) asked.append(key, each);
  const response = await fetch(`/api/${name}?${asked}`, { signal });
  if (response.status === 400) throw new Refused((await response.json()).error);
  if (!response.ok) throw new Refused(`the server answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
  return response.json();
}

export async function open() { output = await ask("output"); }

export const table = (name = state.table) => output.tables.find((each) => each.name === name) || output.tables[0];
export const column = (name, of = table()) => of.columns.find((each) => each.name === name);

export function addFilter(text, view = "rows") {
  go({ view, f: state.f.includes(text) ? state.f : [...state.f, text], row: "", table: table().name });
}
