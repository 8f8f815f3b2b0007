// One row as a card: picture, verdict, words. The same card in every view.
import { count, el, foreign, many, svg, words } from "./dom.js";
import { output, state, table } from "./state.js";

export const pictureAddress = (of, key, side, n = 0) => `/picture?${new URLSearchParams({ table: of, key, side, n })}`;

export function picture(of, key, side, { n = 0, alt = "" } = {}) {
  const fit = el("span.fit"), box = el("span.picture", {}, fit);
  const image = el("img", { src: pictureAddress(of, key, side, n), alt: alt || `picture of ${key}`, loading: "lazy", decoding: "async" });
  image.addEventListener("load", () => box.classList.add("there"));
  image.addEventListener("error", async () => {
    const why = await fetch(image.src).then((found) => found.headers.get("x-why")).catch(() => null);
    fit.replaceWith(el("span.why", {}, foreign(decodeURIComponent(why || "no picture"))));
  });
  fit.append(image);
  return box;
}

export const COLOURS = ["#e6194b", "#0082c8", "#f58231", "#3cb44b", "#911eb4", "#008080", "#d6006e", "#9a6324"];

// polygons over a picture: eight numbers each, fractions of its sides
export function outlines(shapes) {
  return svg("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": "true", "stroke-width": shapes.length > 12 ? 0.6 : 1.25 }, ...shapes.map((numbers, i) => svg("polygon", {
    points: numbers.map((each, at) => `${1000 * each}${at % 2 ? " " : ","}`).join(""), "vector-effect": "non-scaling-stroke", stroke: COLOURS[i % COLOURS.length], fill: "none" })));
}

// places of a prediction over its picture: what the question points at, what was wanted, what was answered
export const PLACES = [["asked", "asked about"], ["truth", "wanted"], ["answered", "predicted"]];
export function placed(shapes, kinds = PLACES.map(([kind]) => kind)) {
  const number = kinds.reduce((sum, kind) => sum + (shapes[kind] || []).length, 0);
  return svg("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", role: "img", "aria-label": many(number, "place"), "stroke-width": number > 12 ? 0.8 : 1.75 },
    ...kinds.flatMap((kind) => (shapes[kind] || []).map((numbers) => svg("polygon", { class: `place ${kind}`, points: numbers.map((each, at) => `${1000 * each}${at % 2 ? " " : ","}`).join(""), "vector-effect": "non-scaling-stroke" }))));
}

// null: there is a picture; a text: why there is none; "": nothing of this kind has pictures here
function unseen(of, row) {
  if (of === "samples" || table(of).predicted) return null;
  if (of !== "rows" || (!output.pictures && !output.shards)) return "";
  if (output.pictures || row.verdict === "keep") return null;
  return output.curated ? "start with --recipe to see dropped pictures" : "a build keeps no picture of a dropped row";
}

const picturesOf = (row) => Math.max(0, (row.images?.length ?? 1) - 1);
function answered(row) {
  const line = (name, text, kind) => { const n = row[`_${kind}`].length; return el("p.answer", {}, el(`span.tag.${kind}`, {}, name), " ", text ? foreign(text, 160) : n ? many(n, "place") : el("i", {}, "nothing")); };
  return [line("asked", row._question, "asked"), line("wanted", row._wanted, "truth"), line("predicted", row._said, "answered")];
}

export function badge(verdict) {
  return verdict === undefined ? null : el(verdict === "keep" ? "span.verdict.keep" : "span.verdict.drop", {}, foreign(words(verdict), 60));
}

// open(row): what a click does; extra: what stands in the head beside the verdict
export function card(row, open, { of = table().name, extra = null, number = 0 } = {}) {
  const why = unseen(of, row);
  const size = row.width ? `${count(row.width)}\u00a0×\u00a0${count(row.height)}` : "";
  const predicted = table(of).predicted, last = predicted && Array.isArray(row.images) ? picturesOf(row) : 0;
  const facts = [row.dataset, row.model, row.set, row._score, row.group, row.source, row.task, row.kind, row.language, size, row.regions !== undefined ? many(row.regions, "region") : "", row.lines ? many(row.lines, "line") : ""];
  const title = row.fails?.length ? `fails: ${row.fails.map(words).join(", ")}` : "";
  const wordsAlone = row.images === 0 && row._text;
  const inside = wordsAlone ? el("span.picture.words", {}, foreign(row._text)) : why === "" ? null : why ? el("span.picture", {}, el("span.why", {}, why)) : picture(of, row._key, 320, { n: last });
  if (predicted) inside.querySelector(".fit").append(placed({ asked: row._asked, truth: row._truth, answered: row._answered }));
  if (row._shapes?.length && inside?.querySelector(".fit")) inside.querySelector(".fit").append(outlines(row._shapes));
  return el("article.card", { role: "button", tabindex: number ? -1 : 0, "data-key": row._key, title, "aria-label": `${row.verdict ?? ""} ${row._key}`,
    onclick: () => open(row), onkeydown: (event) => { if (event.key === "Enter" && event.target === event.currentTarget) open(row); } },
  inside,
  el("p.head", {}, badge(row.verdict), extra, row.fails?.length > 1 ? el("span.soft", {}, `fails ${row.fails.length}`) : null),
  row.caption !== undefined ? el("p.caption", {}, row.caption ? foreign(row.caption) : el("i", {}, "no caption")) : null,
  predicted ? answered(row) : null,
  row._text && !wordsAlone ? el("p.caption", {}, foreign(row._text, 160)) : null,
  el("p.facts", {}, facts.filter(Boolean).map((fact, i) => [i ? " · " : "", foreign(words(fact), 40)])),
  row._from && row.verdict !== "keep" ? el("p.facts", {}, "from ", foreign(row._from, 80)) : null,
  why === "" && row.caption === undefined ? plainFacts(row) : null);
}

function plainFacts(row) {
  return el("dl.small", {}, Object.entries(row).filter(([name]) => name !== "_key").slice(0, 8).map(([name, value]) =>
    [el("dt", {}, words(name)), el("dd", {}, foreign(String(value ?? "–"), 80))]));
}

export const isOpen = (key) => state.row === key;
