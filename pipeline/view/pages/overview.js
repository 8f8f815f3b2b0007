// The funnel, the mix and the distributions. Every bar leads to its rows.
import { bars, cross, histogram, range } from "./charts.js";
import { bytes, count, el, untrusted, many, percent, words } from "./dom.js";
import { filterBar } from "./filters.js";
import { addFilter, ask, column, counted, output, settle, state, table } from "./state.js";

const sum = (list) => list.reduce((total, each) => total + each, 0);

export function overview(main, signal) {
  const query = { table: table().name, f: state.f }, charted = table().columns.filter((each) => each.charted);
  const tiles = el("div.tiles"), body = el("div");
  const hidden = output.faults.length ? el("details.note", {}, el("summary", {}, `${many(output.faults.length, "file")} cannot be shown`), el("ul", {}, output.faults.map((line) => el("li", {}, untrusted(line, 400))))) : null;
  const lost = output.absent.length ? el("details.note", {}, el("summary", {}, `${many(output.absent.length, "dataset")} not found`), el("ul", {}, output.absent.map((line) => el("li", {}, untrusted(line, 400))))) : null;
  main.replaceChildren(...[filterBar(), hidden, lost, tiles, body].filter(Boolean));
  const parts = [];
  // the funnel is requested first and alone, so that its answer does not wait for the parts below
  const tell = (total) => tiles.replaceChildren(...summary(total));
  let before = column("verdict") ? Promise.resolve() : ask("total", query, signal).then(tell).catch(() => {});
  const after = (draw) => (box) => before.then(() => draw(box));
  const first = (draw) => (box) => { before = Promise.all([before, draw(box)]); return before; };
  if (column("verdict")) parts.push(part("funnel", "Funnel", `Rows left after each reason${output.curated ? ", in the order of judgement" : ""}. Click a bar to see the rows that went there.`, first((box) => funnel(box, query, signal, tell))));
  if (table().predicted) parts.push(part("scores", "Scores", "Mean of the questions' own scores (CIDEr 0 to 10, boxes their IoU, all others 0 to 1). Click one to see its questions.", after((box) => scores(box, query, signal))));
  const named = ["dataset", "model", "set", "metric", "group", "source", "language", "task", "kind", "format", "mode", "tasks"].filter((name) => charted.some((each) => each.name === name && each.kind !== "number"));
  if (named.length) parts.push(part("mix", "Mix", column("verdict") ? "All rows pale, kept rows dark, with each value's share of all rows." : "Each value's share of all rows.", after((box) => mix(box, named, query, signal))));
  const crossable = charted.filter(({ kind }) => kind === "word" || kind === "flag");
  if (crossable.length > 1) parts.push(part("cross", "One against another", "Any two of these columns crossed; darker cells hold more.", after((box) => crossed(box, crossable, query, signal))));
  parts.push(part("distributions", "Distributions", `${column("verdict") ? "All rows pale, kept rows dark. " : ""}Click a bar, or drag over several, to see their rows.`, after((box) => distributions(box, charted.filter(({ name }) => !["verdict", ...named].includes(name)), query, signal))));
  body.replaceChildren(...parts);
}

function part(id, title, lead, fill) {
  const box = el("div.part");
  const section = el("section", { id }, el("h2", {}, title), el("p.lead", {}, lead), box);
  whenSeen(section, () => fill(box));
  return section;
}

// charts further down are requested when the reader comes near
export function whenSeen(element, act) {
  const watcher = new IntersectionObserver((entries) => {
    if (entries.some(({ isIntersecting }) => isIntersecting)) { watcher.disconnect(); act(); }
  }, { rootMargin: "300px" });
  watcher.observe(element);
}

function summary(total) {
  const tile = (value, name) => el("div.tile", {}, el("b", {}, value), el("span", {}, name));
  const filtered = state.f.length > 0;
  const list = [tile(count(total.rows), filtered ? `of ${count(table().rows)} ${words(table().title).toLowerCase()}` : `${table().title.toLowerCase()}`)];
  if (column("verdict")) list.push(tile(count(total.kept), "kept"), tile(percent(total.kept, total.rows), "of them kept"));
  if (!filtered && output.samples !== null) list.push(tile(count(output.samples), "samples in shards"), tile(bytes(output.bytes), `in ${many(output.shards, "shard")}`));
  return list;
}

// sets down, models across; darker means better among the models of a set
async function scores(box, query, signal) {
  const found = await ask("scores", query, signal).catch(quiet);
  if (!found) return;
  const sets = [...new Set(found.map(([set]) => set))], models = [...new Set(found.map(([, model]) => model))];
  const cell = (set, model) => found.find(([s, m]) => s === set && m === model);
  const line = (set) => {
    const all = models.map((model) => cell(set, model)), most = Math.max(1e-9, ...all.map((each) => each?.[3] ?? 0)), { 2: metric, 4: asked } = all.find(Boolean);
    return el("tr", {}, el("th", { scope: "row" }, untrusted(words(set), 40)), el("td.soft", {}, untrusted(words(metric), 20)), el("td.soft", {}, count(asked)), all.map((each, i) => el("td", {}, each && each[3] !== null ? el("button.cell", { type: "button", style: { "--weight": (each[3] / most).toFixed(3) },
      onclick: () => { if (models[i]) state.f.push(`model:is:${models[i]}`); addFilter(`set:is:${set}`); } }, each[3].toFixed(3)) : null)));
  };
  box.replaceChildren(el("div.scroll", {}, el("table.numbers.heat", {}, el("thead", {}, el("tr", {}, ["", "metric", "questions", ...models.map((model) => model || "score")].map((each) => el("th", { scope: "col" }, untrusted(each, 40))))), el("tbody", {}, sets.map(line)))));
}

async function funnel(box, query, signal, tell) {
  const cells = await ask("counts", { ...query, by: ["verdict", "source"].filter((name) => column(name)) }, signal).catch(quiet);
  if (!cells) return;
  const sources = [...new Set(cells.map((cell) => (cell.length > 3 ? cell[1] : "rows")))].sort();
  const by = new Map();
  for (const cell of cells) {
    const [verdict, source, n] = cell.length > 3 ? cell : [cell[0], "rows", cell[1]];
    if (!by.has(verdict)) by.set(verdict, new Map());
    by.get(verdict).set(source, n);
  }
  const place = (verdict) => (/^(download|unreadable)/.test(verdict) ? -1 : output.order.includes(verdict) ? output.order.indexOf(verdict) : 999);
  const steps = [...by.keys()].filter((verdict) => verdict !== "keep").sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
  const left = new Map(sources.map((source) => [source, sum([...by.values()].map((counts) => counts.get(source) || 0))]));
  const rows = sum([...left.values()]), all = rows || 1;
  tell({ rows, kept: sum([...(by.get("keep") || new Map()).values()]) });
  const colour = (source) => `var(--series-${sources.indexOf(source) % 12})`;
  const line = (name, lost, act) => {
    const total = sum([...left.values()]);
    return el(act ? "button.step" : "div.step", { type: act && "button", onclick: act, title: act ? `${count(lost)} rows dropped for ${words(name)}` : null },
      el("span.label", {}, untrusted(words(name), 60)), el("span.lost", {}, lost ? `−${count(lost)}` : ""),
      el("span.track", {}, sources.map((source) => el("span", { title: `${source}: ${count(left.get(source))}`, style: { width: `${100 * left.get(source) / all}%`, background: colour(source) } })),
        lost ? el("span.gone", { style: { width: `${100 * lost / all}%` } }) : null),
      el("span.n", {}, count(total)));
  };
  const lines = [line("rows in", 0, null)];
  for (const verdict of steps) {
    for (const source of sources) left.set(source, left.get(source) - (by.get(verdict).get(source) || 0));
    lines.push(line(verdict, sum([...by.get(verdict).values()]), () => addFilter(`verdict:is:${verdict}`)));
  }
  lines.push(el("button.step.kept-rows", { type: "button", onclick: () => addFilter("verdict:is:keep") }, el("span.label", {}, "kept"), el("span.lost"), el("span.track"), el("span.n", {}, count(sum([...left.values()])))));
  const legend = sources.length > 1 ? el("p.legend", {}, sources.map((source) => el("button.plain", { type: "button", onclick: () => addFilter(`source:is:${source}`, "overview") },
    el("span.dot", { style: { background: colour(source) } }), untrusted(words(source), 40)))) : null;
  box.replaceChildren(...[legend, el("div.funnel", {}, lines)].filter(Boolean));
}

const quiet = (error) => { if (error.name !== "AbortError") throw error; return null; };

async function wordBars(box, name, query, signal) {
  const list = await ask("counts", { ...query, by: name }, signal).catch(quiet);
  if (list) drawWords(box, name, list);
}

function drawWords(box, name, list, most = 12) {
  if (!list.length) { box.remove(); return; }
  const shown = list.slice(0, most).map(([label, n, kept]) => ({ label, n, kept, act: () => addFilter(label === null ? `${name}:none:` : `${name}:is:${label}`) }));
  const rest = list.length - shown.length;
  const more = rest > 0 ? el("button.plain", { type: "button", onclick: () => drawWords(box, name, list, most + 60) }, `${count(rest)} more`) : null;
  box.replaceChildren(...[el("h3", {}, words(name)), bars(shown, { total: sum(list.map(([, n]) => n)) }), more].filter(Boolean));
}

async function mix(box, names, query, signal) {
  const charts = new Map(names.map((name) => [name, el("figure.chart", {}, el("h3", {}, words(name)))]));
  const note = el("p.soft");
  box.replaceChildren(note, el("div.grid", {}, [...charts.values()]));
  const lists = names.filter((name) => column(name).kind === "words"), single = names.filter((name) => !lists.includes(name));
  await counted({ ...query, by: single }, signal, (found, share) => {
    note.textContent = share === null ? "" : `of the first ${percent(share, 1)} of the rows; more are being searched`;
    for (const name of single) if (share === null || found.counts[name].length) drawWords(charts.get(name), name, found.counts[name]);
  }).catch(quiet);
  for (const name of lists) wordBars(charts.get(name), name, query, signal);
}

function distributions(box, columns, query, signal) {
  const numbers = columns.filter(({ kind }) => kind === "number" || kind === "numbers"), others = columns.filter((each) => !numbers.includes(each));
  const charts = [...numbers, ...others].map((each) => [each, el("figure.chart", { "data-column": each.name }, el("h3", {}, words(each.name)), el("p.wait", {}, "…"))]);
  box.replaceChildren(el("div.grid.three", {}, charts.map(([, chart]) => chart)));
  for (const [each, chart] of charts) {
    whenSeen(chart, () => (numbers.includes(each) ? numberChart(chart, each, query, signal) : wordBars(chart, each.name, query, signal)));
  }
}

export async function numberChart(box, each, query, signal) {
  const data = await ask("histogram", { ...query, column: each.name }, signal).catch(quiet);
  if (!data) return;
  if (!data.edges.length) { box.remove(); return; }
  const choose = (first, last) => addFilter(`${each.name}:in:${range(data, first, last)}`);
  const note = [data.log ? "bins grow with the value" : "", data.missing ? `${count(data.missing)} without a value` : "", each.kind === "numbers" ? "all elements of the lists" : ""].filter(Boolean).join("; ");
  box.replaceChildren(el("h3", {}, words(each.name)), histogram(data, { integer: each.integer, choose, name: each.name }), el("p.note", {}, note));
}

async function crossed(box, columns, query, signal) {
  const names = columns.map(({ name }) => name);
  const pick = (label, field, options, value) => el("label", {}, `${label} `, el("select", { name: field, onchange: (event) => { settle({ [field]: event.target.value }); draw(); } }, options.map(([key, text]) => el("option", { value: key, selected: key === value }, text))));
  const by = () => (names.includes(state.by) ? state.by : names.includes("verdict") ? "verdict" : names[0]);
  const across = () => (names.includes(state.across) && state.across !== by() ? state.across : names.find((name) => name === "source" && name !== by()) || names.find((name) => name !== by()));
  const options = names.map((name) => [name, words(name)]), grid = el("div.scroll", { tabindex: 0 });
  let mode = "rows";
  const modes = [["rows", "rows"], ["kept", "kept rows"], ["rate", "kept, % of rows"], ["share", "share of kept rows"]];
  const cells = el("label", {}, "show ", el("select", { onchange: (event) => { mode = event.target.value; draw(); } }, modes.map(([key, text]) => el("option", { value: key }, text))));
  const draw = async () => {
    const found = await ask("counts", { ...query, by: [by(), across()] }, signal).catch(quiet);
    if (!found) return;
    const is = (name, word) => (word === null ? `${name}:none:` : `${name}:is:${word}`);
    grid.replaceChildren(cross(found, mode, (row, col) => { state.f.push(is(by(), row)); addFilter(is(across(), col)); }));
  };
  box.replaceChildren(el("div.controls", {}, pick("rows", "by", options, by()), pick("columns", "across", options, across()), cells), grid);
  await draw();
}
