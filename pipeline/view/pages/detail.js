// Everything about one row, in a drawer: picture with regions, texts, rules, lineage, and its duplicates.
import { REGION_KINDS, badge, card, picture, placed } from "./cards.js";
import { diff } from "./diff.js";
import { bytes, count, el, untrusted, many, shown, words } from "./dom.js";
import { drawn, marked } from "./picture.js";
import { neighbour } from "./rows.js";
import { address, ask, go, output, state } from "./state.js";

const drawer = document.getElementById("drawer");
let asked = null, before = null;

export async function detail() {
  const key = state.row, of = state.of || "rows";
  if (!key) { close(); return; }
  if (asked?.key === key && asked.of === of && !drawer.hidden) return;
  asked?.stop.abort();
  asked = { key, of, stop: new AbortController() };
  if (drawer.hidden) before = document.activeElement;
  document.body.classList.add("open");
  drawer.hidden = false;
  if (!drawer.children.length) drawer.replaceChildren(el("p.wait", {}, "…"));
  try {
    const row = await ask("row", { table: of, key }, asked.stop.signal);
    drawer.replaceChildren(...content(row));
    drawer.scrollTop = 0;
    drawer.querySelector("h2").focus({ preventScroll: true });
  } catch (error) {
    if (error.name !== "AbortError") drawer.replaceChildren(top({ key, table: of }), el("p.error", {}, error.message));
  }
}

function close() {
  if (drawer.hidden) return;
  const last = asked?.key;
  asked?.stop.abort();
  asked = null;
  drawer.hidden = true;
  drawer.replaceChildren();
  document.body.classList.remove("open");
  const back = last ? document.querySelector(`[data-key="${CSS.escape(last)}"]`) : null;
  (back || before)?.focus?.();
}

export const closeRow = () => go({ row: "", of: "" });

function top(row) {
  const copy = el("button.plain", { type: "button", title: "copy a link to this row", onclick: async () => {
    await navigator.clipboard?.writeText(location.origin + address()).catch(() => {});
    copy.textContent = "copied";
  } }, "copy link");
  return el("div.top", {}, el("div", {}, row.verdict !== undefined ? badge(row.verdict) : null, el("h2", { tabindex: -1 }, untrusted(row.key, 200))),
    el("div.controls", {}, copy,
      el("button", { type: "button", title: "the previous row  ←", "aria-label": "the previous row", onclick: () => neighbour(-1) }, "←"),
      el("button", { type: "button", title: "the next row  →", "aria-label": "the next row", onclick: () => neighbour(1) }, "→"),
      el("button", { type: "button", title: "close  Esc", "aria-label": "close", onclick: closeRow }, "×")));
}

function content(row) {
  const lost = Boolean(row.columns.dup_of);
  return [top(row), pictures(row), predicted(row), lost ? duplicates(row) : null, captions(row), rules(row), lost ? null : duplicates(row), lineage(row), columns(row)].filter(Boolean);
}

const block = (title, ...children) => el("section", {}, el("h3", {}, title), children);

function pictures(row) {
  if (row.samples?.length) return samples(row);
  if (row.table !== "rows") return null;
  if (!output.pictures && output.curated) return el("p.note", {}, "Pictures of dropped rows are in the source files: start with --recipe to see them.");
  if (!output.curated && !output.pictures) return el("p.note", {}, buildsNote(row));
  const frame = picture("rows", row.key, 1024);
  frame.classList.add("large");
  return frame;
}

// a build does not keep dropped pages; the input row is in the lineage
function buildsNote({ lineage }) {
  return ["A build keeps only pictures of kept rows, and this row was dropped. It is row ", count(lineage.row), " of ", el("b", {}, untrusted(lineage.file, 200)), ` (source ${lineage.source}); the columns below hold what was measured.`];
}

function samples(row) {
  const place = el("div"), number = row.samples.length;
  const show = (i) => {
    const sample = row.samples[i], plain = row.verdict === "keep" && output.curated;
    place.replaceChildren(...(sample.images ? [drawn("samples", sample.key, sample)] : []), ...(plain && row.table === "rows" ? [] : [turns(sample)]));
  };
  const pick = number > 1 ? el("label.controls", {}, `${many(number, "sample")}  `, el("select", { onchange: (event) => show(Number(event.target.value)) },
    row.samples.map(({ key, content }, i) => el("option", { value: i }, `${words(content.task)}  ${key.slice(-12)}`)))) : null;
  show(0);
  return el("section.samples", {}, pick, place);
}

function turns(sample) {
  return el("div.turns", {}, (sample.content.turns || []).map(({ role, text }) => {
    const long = text.length > 900, body = el("p.text", { dir: "auto" }, marked(text.slice(0, 900)), long ? "…" : "");
    const all = long ? el("button.plain", { type: "button", onclick: () => { body.replaceChildren(...marked(text)); all.remove(); } }, `all ${count(text.length)} characters`) : null;
    return el("div.turn", { "data-role": role }, el("b", {}, role), body, all);
  }));
}

// a model's answer next to the expected one, as evaluation stores it
function predicted(row) {
  const { prompt, prediction, answers, score, metric, fault } = row.columns;
  if (prediction === undefined) return null;
  const wanted = Array.isArray(answers) ? answers : [answers ?? ""];
  const part = (title, kind, text) => el("div", {}, el("h4", {}, kind ? el(`span.tag.${kind}`, {}, title) : title), el("p.text", { dir: "auto" }, text ? marked(String(text).slice(0, 20000)) : el("i", {}, "nothing")));
  const bare = (text) => text.replace(/<(box|quad|img)>.*?<\/\1>|<\/?ref>/g, " ").replace(/\s+/g, " ").trim();
  const [was, is] = [bare(String(wanted[0] ?? "")), bare(String(prediction ?? ""))], changes = was && is && was !== is ? diff(was, is) : null;
  return block("Prediction", el("p.soft", {}, [metric ? words(metric) : "", score === undefined || score === null ? "" : `score ${+Number(score).toPrecision(4)}`, fault ? `not asked: ${fault}` : ""].filter(Boolean).join(", ")),
    questioned(row), prompt ? part("asked", "asked", prompt) : null, el("div.pair", {}, part("expected", "truth", wanted.slice(0, 20).join("\n")), part("predicted", "answered", prediction)),
    changes ? el("div", {}, el("h4", {}, "changes from expected to predicted"), changes) : null, others(row));
}

// the picture of a question, with regions to switch on and off; where there are several, the last one belongs to the question
function questioned(row) {
  if (!row.pictures) return null;
  const here = REGION_KINDS.filter(([kind]) => row.places[kind].length), on = new Set(here.map(([kind]) => kind)), place = el("div");
  let n = row.pictures - 1;
  const draw = () => {
    const frame = picture(row.table, row.key, 1024, { n });
    frame.classList.add("large");
    if (n === row.pictures - 1) frame.querySelector(".fit").append(placed(row.places, [...on]));
    place.replaceChildren(frame);
  };
  const toggles = here.map(([kind, name]) => el("label", {}, el("input", { type: "checkbox", checked: true, onchange: (event) => { if (event.target.checked) on.add(kind); else on.delete(kind); draw(); } }), " ", el(`span.tag.${kind}`, {}, `${name} ${row.places[kind].length}`)));
  const which = row.pictures > 1 ? el("label", {}, "picture ", el("select", { onchange: (event) => { n = Number(event.target.value); draw(); } },
    Array.from({ length: row.pictures }, (_, i) => el("option", { value: i, selected: i === n }, i === row.pictures - 1 ? `${i + 1}, asked about` : `${i + 1}, example`)))) : null;
  draw();
  return el("div.drawn", {}, place, el("div.controls", {}, toggles, which));
}

function others(row) {
  if (!row.others || row.others.length < 2) return null;
  const line = ({ key, model, prediction, score }) => el(key === row.key ? "tr.moved" : "tr", {},
    el("th", { scope: "row" }, el("a", { href: address({ row: key, of: row.table }), onclick: (event) => { event.preventDefault(); go({ row: key, of: row.table }); } }, untrusted(model, 60))),
    el("td.number", {}, score === null ? "–" : String(+Number(score).toPrecision(3))), el("td", {}, untrusted(prediction, 240)));
  return el("div", {}, el("h4", {}, "the same question to each model"), el("div.scroll", {}, el("table.facts", {}, el("tbody", {}, row.others.map(line)))));
}

function captions(row) {
  const { caption, caption_raw: raw } = row.columns;
  if (caption === undefined) return null;
  const part = (title, text) => el("div", {}, el("h4", {}, title, el("span.soft", {}, text ? ` · ${count(text.length)}${text.length >= 20000 ? "+" : ""} characters` : "")), longText(text));
  if (raw === undefined || raw === null || raw === caption) return block("Caption", el("p.soft", {}, "cleaning changed nothing"), longText(caption));
  const changes = diff(raw, caption || "");
  return block("Caption before and after cleaning", el("div.pair", {}, part("before", raw), part("after", caption)), changes ? el("div", {}, el("h4", {}, "what changed"), changes) : null);
}

function longText(text) {
  if (!text) return el("p.text", {}, el("i", {}, "none"));
  const body = el("p.text", { dir: "auto" }, untrusted(text, 600));
  if (text.length <= 600) return body;
  const all = el("button.plain", { type: "button", onclick: () => { body.replaceChildren(untrusted(text, 20000)); all.remove(); } }, `show ${text.length >= 20000 ? "the first 20,000" : `all ${count(text.length)}`} characters`);
  return el("div", {}, body, all);
}

function rules(row) {
  if (!row.rules?.length) return null;
  const failed = row.rules.filter(({ passed }) => !passed);
  const lead = failed.length ? `fails ${failed.map(({ word }) => words(word)).join(", ")}` : row.verdict === "keep" ? "passes every rule" : row.columns.dup_of ? `passes every filter; dropped by the rule ${words(row.verdict)}` : "passes every filter; the verdict has another cause";
  const text = (pairs) => Object.entries(pairs).map(([name, value]) => `${words(name)} ${Array.isArray(value) ? value.join(", ") : Number.isInteger(value) ? count(value) : typeof value === "number" ? +value.toPrecision(6) : value ?? "unknown"}`).join(" · ") || "on";
  const line = ({ word, passed, settings, values }) => el(passed ? "tr" : "tr.failed", {}, el("th", { scope: "row" }, passed ? "✓ " : "✗ ", words(word)),
    el("td", {}, untrusted(text(values), 120)), el("td.soft", {}, untrusted(text(settings), 160)));
  const grid = (list) => el("div.scroll", {}, el("table.rules", {}, el("tbody", {}, list.map(line))));
  const passed = row.rules.filter((rule) => rule.passed);
  return block("Rules", el("p.soft", {}, lead), failed.length ? grid(failed) : null, el("details", {}, el("summary", {}, `${passed.length} passed`), grid(passed)));
}

function duplicates(row) {
  const found = row.duplicates;
  if (!found) return null;
  const mine = found.keeper === row.key;
  const lead = mine ? `${many(found.members.length - 1 + found.more, "row")} dropped in favour of this one` : `dropped in favour of the first of these by the rule ${words(found.rule)}`;
  return block("Duplicates", el("p.soft", {}, lead), el("div.side", {}, found.members.map((member, i) => {
    const shownCard = card(member, ({ _key }) => go({ row: _key, of: "rows" }), { of: "rows", extra: i ? null : el("b", {}, "keeper"), number: i });
    if (member._key === row.key) shownCard.classList.add("open");
    shownCard.append(el("p.facts", {}, [member.image_bytes ? bytes(member.image_bytes) : "", member.characters !== undefined ? `${count(member.characters)} characters` : ""].filter(Boolean).join(" · ")));
    return shownCard;
  })), found.more ? el("p.soft", {}, `and ${count(found.more)} more`) : null);
}

function lineage(row) {
  const pairs = { ...(row.lineage || {}) };
  for (const [i, sample] of (row.samples || []).slice(0, 4).entries()) pairs[row.samples.length > 1 ? `sample ${i + 1}` : "shard"] = `${sample.shard}, byte ${count(sample.offset)}, ${count(sample.size)} bytes`;
  const origin = row.table === "samples" ? row.samples[0].content.origin || {} : {};
  const line = ([name, value]) => el("tr", {}, el("th", { scope: "row" }, words(name)), el("td", {}, value === null || value === "" ? "–" : untrusted(String(value), 400)));
  const to = row.row ? el("p", {}, el("a", { href: address({ row: row.row, of: "rows" }), onclick: (event) => { event.preventDefault(); go({ row: row.row, of: "rows" }); } }, "the input row of this sample")) : null;
  const rowsOf = Object.entries({ ...pairs, ...origin });
  return rowsOf.length ? block("Lineage", to, el("div.scroll", {}, el("table.facts", {}, el("tbody", {}, rowsOf.map(line))))) : null;
}

function columns(row) {
  const list = Object.entries(row.columns).filter(([name]) => name !== "_key" && !name.startsWith("caption"));
  return el("details.columns-of", { open: !["rows", "samples"].includes(row.table) }, el("summary", {}, `All ${list.length} columns`), el("div.scroll", {}, el("table.facts", {}, el("tbody", {},
    list.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, words(name)), el("td", {}, shown(value))))))));
}
