// Sliders on the recipe's thresholds, with exact counts of what they would keep, and rows that would be added or removed.
import { card } from "./cards.js";
import { histogram } from "./charts.js";
import { count, el, untrusted, percent, short, words } from "./dom.js";
import { ask, go, settle, state } from "./state.js";
import { whenSeen } from "./overview.js";

const PAUSE = 120;
let timer = 0, poll = 0, running = null;

export async function whatif(main, signal) {
  main.replaceChildren(el("p.wait", {}, "…"));
  const found = await ask("thresholds", {}, signal);
  const scope = found.sources.includes(state.scope) ? state.scope : "";
  const result = el("div.result", { "aria-live": "polite" }, el("p.wait", {}, "counting …"));
  const panel = el("div.thresholds", { "aria-label": "thresholds" });
  main.replaceChildren(el("section.whatif", {}, el("div", {}, el("h2", {}, "What if"), el("p.lead", {}, "Move a threshold to see exactly what would be kept, duplicates included. No image is read and nothing is written."),
    head(found, scope), panel), result));
  const movable = (filter) => Boolean(filter.column && filter.bounds.length);
  const listed = found.filters.filter(({ values }) => !scope || values[scope]).sort((a, b) => movable(b) - movable(a));
  for (const filter of listed) panel.append(thresholdControls(filter, scope, result, signal));
  panel.append(dedup(found.dedup, result, signal));
  const moved = panel.querySelectorAll(".threshold.moved");
  (moved.length ? moved : panel.querySelectorAll("[data-word=image_size], [data-word=text_length]")).forEach((each) => { each.open = true; });
  answer(result, signal);
  search(result, signal);
}

// candidate duplicates are searched in the background; an earlier answer is requested again when the search is over
async function search(result, signal) {
  const { share } = await ask("searching", {}, signal).catch(() => ({ share: null }));
  if (signal.aborted) return;
  clearTimeout(poll);
  if (share !== null) {
    result.querySelector("progress")?.setAttribute("value", share);
    poll = setTimeout(() => search(result, signal), 1000);
  } else if (result.querySelector(".filters-alone")) answer(result, signal);
}

function head(found, scope) {
  const select = el("select", { onchange: (event) => go({ scope: event.target.value }) }, [["", "all sources"], ...found.sources.map((name) => [name, name])].map(([value, text]) => el("option", { value, selected: value === scope }, text)));
  return el("div.controls", {}, found.sources.length > 1 ? el("label", {}, "thresholds of ", select) : null,
    el("button", { type: "button", id: "reset", disabled: !state.w.length, onclick: () => go({ w: [] }) }, "back to the recipe"));
}

const place = (scope, path) => (scope ? `${scope}.${path}` : path);

export function change(path, value, result, signal) {
  const w = state.w.filter((each) => !each.startsWith(`${path}=`));
  if (value !== null) w.push(`${path}=${value}`);
  settle({ w });
  document.getElementById("reset").disabled = !w.length;
  clearTimeout(timer);
  timer = setTimeout(() => answer(result, signal), PAUSE);
}

const changed = (path) => state.w.find((each) => each.startsWith(`${path}=`))?.slice(path.length + 1);

function thresholdControls(filter, scope, result, signal) {
  const { word, bounds, values, label, about } = filter, mine = Object.entries(values).filter(([source]) => !scope || source === scope).map(([, each]) => each);
  const off = place(scope, word), moved = state.w.some((each) => each.startsWith(`${off}=`) || each.startsWith(`${off}.`));
  const box = el(moved ? "details.threshold.moved" : "details.threshold", { "data-word": word });
  const on = el("input", { type: "checkbox", checked: changed(off) !== "null", "aria-label": `${words(word)} is on` });
  on.addEventListener("change", () => { box.classList.toggle("moved", !on.checked); change(off, on.checked ? null : "null", result, signal); });
  const given = bounds.map((name) => `${words(name)} ${[...new Set(mine.map((each) => each[name] === undefined ? "none" : short(each[name])))].join(" / ")}`).join(", ");
  box.append(el("summary", {}, el("b", {}, words(word)), el("span.soft", {}, given || "on")),
    el("p.soft", {}, untrusted(about, 200)), el("label.switch", {}, on, " on"));
  if (filter.column && bounds.length) whenSeen(box, () => sliders(box, filter, mine, scope, result, signal));
  if (label) box.dataset.label = label;
  return box;
}

async function sliders(box, { word, column, bounds, label }, mine, scope, result, signal) {
  const f = scope ? [`source:is:${scope}`] : [];
  const data = await ask("histogram", { table: "rows", column, f }, signal).catch(() => null);
  if (!data?.edges.length) return;
  const integer = Number.isInteger(data.edges[1]), holder = el("div.bounds");
  for (const name of bounds) {
    const path = place(scope, `${word}.${name}`), given = mine[0]?.[name], side = name.startsWith("maximum") ? 1 : 0;
    const value = changed(path) ?? (given === undefined ? "" : String(given));
    // an integer equal to the maximum passes, so the slider is on the edge above it
    const edgeOf = (number) => { const target = Number(number) + (integer && side ? 1 : 0), at = data.edges.findIndex((edge) => edge >= target); return at < 0 ? data.edges.length - 1 : at; };
    const slide = el("input", { type: "range", min: 0, max: data.edges.length - 1, step: 1, name, "aria-label": `${words(word)} ${words(name)}, slider` });
    const typed = el("input", { type: "number", step: "any", name: `${name}-value`, value, "aria-label": `${words(word)} ${words(name)}`, placeholder: "none" });
    slide.value = value === "" ? (side ? data.edges.length - 1 : 0) : edgeOf(value);
    const set = (number) => { const same = given !== undefined && Number(number) === given; box.classList.toggle("moved", !same); change(path, same ? null : number === "" ? "null" : number, result, signal); mark(); };
    slide.addEventListener("input", () => { typed.value = data.edges[slide.value] - (integer && side ? 1 : 0); set(typed.value); });
    typed.addEventListener("input", () => { if (typed.value !== "") slide.value = edgeOf(typed.value); set(typed.value); });
    const mark = () => picture.querySelectorAll(".bin").forEach((bin, i) => bin.classList.toggle(side ? "above" : "below", typed.value !== "" && (side ? i >= Number(slide.value) : i < Number(slide.value))));
    holder.append(el("label.slider", {}, el("span", {}, words(name), typed), slide));
    queueMicrotask(() => mark());
  }
  const picture = histogram(data, { integer, name: label });
  box.append(el("p.note", {}, untrusted(label, 80), data.log ? " (bins grow with the value)" : ""), picture, holder);
}

function dedup(rules, result, signal) {
  const box = el(state.w.some((each) => each.startsWith("dedup.")) ? "details.threshold.moved" : "details.threshold", { "data-word": "dedup" }, el("summary", {}, el("b", {}, "duplicate rules"), el("span.soft", {}, Object.keys(rules).filter((name) => rules[name]).map(words).join(", "))));
  for (const [name, value] of Object.entries(rules)) {
    const path = `dedup.${name}`, off = typeof value === "boolean" ? "false" : "null", now = changed(path);
    if (!value) continue;
    const on = el("input", { type: "checkbox", checked: now !== off });
    on.addEventListener("change", () => change(path, on.checked ? null : off, result, signal));
    const number = typeof value === "number" ? el("input", { type: "number", min: 1, value: now && now !== "null" ? now : value, "aria-label": `${words(name)} at most`, oninput: (event) => { if (event.target.value) change(path, Number(event.target.value) === value ? null : event.target.value, result, signal); } }) : null;
    box.append(el("label.switch", {}, on, ` ${words(name)} `, number));
  }
  return box;
}

async function answer(result, signal) {
  running?.abort();
  running = new AbortController();
  const mine = running;
  signal.addEventListener("abort", () => mine.abort());
  result.classList.add("old");
  try {
    const found = await ask("whatif", { w: state.w }, mine.signal);
    result.replaceChildren(...tell(found));
    if (found.searching !== null) search(result, signal);
    result.classList.remove("old");
  } catch (error) {
    if (error.name === "AbortError") return;
    result.classList.remove("old");
    result.replaceChildren(el("p.error", {}, error.message));
  }
}

function tell(found) {
  const difference = found.kept_after - found.kept_before, signed = (n) => (n > 0 ? `+${count(n)}` : n < 0 ? `−${count(-n)}` : "±0");
  const tile = (value, name, kind = "div.tile") => el(kind, {}, el("b", {}, value), el("span", {}, name));
  const notes = [["unscored", "rows would pass so far but were never scored: counted neither as kept nor as lost"], ["missing", "rows have no value that a changed filter asks for: they fail it"], ["uncompared", "rows that would be let in were never compared with the benchmarks"]];
  const gallery = (title, rows, total, kind) => el("section", {}, el("h3", {}, el(`span.dot.${kind}`), `${title}: ${count(total)}`, el("span.soft", {}, total > rows.length ? `  ${rows.length} of them` : "")),
    rows.length ? el("div.gallery", {}, rows.map((row, i) => card(row, ({ _key }) => go({ row: _key, of: "rows" }), { of: "rows", number: i, extra: el("span.soft", {}, `→ ${words(row.after)}`) }))) : el("p.soft", {}, "none"));
  const alone = found.searching === null ? null : el("div.filters-alone", { role: "status" }, el("b", {}, "The filters alone"),
    " Duplicates are searched again in the background. Until the search is over, rows dropped as duplicates stay dropped, and rows that enter count as unique. ",
    el("progress", { max: 1, value: found.searching, "aria-label": "search for duplicates" }));
  return [
    alone, el("div.tiles", {}, tile(count(found.kept_after), "kept"), tile(signed(difference), `against ${count(found.kept_before)}`), tile(percent(found.kept_after, found.rows), "of all rows"),
      tile(count(found.gained), "enter", "div.tile.enters"), tile(count(found.lost), "leave", "div.tile.leaves")),
    ...notes.filter(([name]) => found[name]).map(([name, text]) => el("p.note", {}, `${count(found[name])} ${text}.`)),
    gallery("Enter", found.entering, found.gained, "enters"), ...(found.unscored ? [gallery("Pass so far, never scored", found.waiting, found.unscored, "waits")] : []),
    gallery("Leave", found.leaving, found.lost, "leaves"), table(found),
  ].filter(Boolean);
}

function table({ before, after }) {
  const add = (funnel) => Object.values(funnel).reduce((total, words_) => { for (const [word, n] of Object.entries(words_)) total[word] = (total[word] || 0) + n; return total; }, {});
  const was = add(before), now = add(after), names = [...new Set([...Object.keys(was), ...Object.keys(now)])].sort((a, b) => (a === "keep" ? -1 : b === "keep" ? 1 : (now[b] || 0) - (now[a] || 0)));
  return el("section", {}, el("h3", {}, "Verdicts before and after"), el("div.scroll", {}, el("table.numbers", {}, el("thead", {}, el("tr", {}, ["verdict", "before", "after", "difference"].map((each) => el("th", { scope: "col" }, each)))),
    el("tbody", {}, names.map((name) => { const step = (now[name] || 0) - (was[name] || 0); return el(step ? "tr.moved" : "tr", {}, el("th", { scope: "row" }, untrusted(words(name), 60)), el("td", {}, count(was[name] || 0)), el("td", {}, count(now[name] || 0)), el("td", {}, step ? `${step > 0 ? "+" : "−"}${count(Math.abs(step))}` : "")); })))));
}
