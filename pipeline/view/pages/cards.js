// One row as a card with its picture, verdict and text. Every view uses the same card.
import { count, el, untrusted, many, svg, words } from "./dom.js";
import { output, state, table } from "./state.js";

export const pictureAddress = (of, key, side, n = 0) => `/picture?${new URLSearchParams({ table: of, key, side, n })}`;

export function picture(of, key, side, { n = 0, alt = "" } = {}) {
  const fit = el("span.fit"), box = el("span.picture", {}, fit);
  const image = el("img", { src: pictureAddress(of, key, side, n), alt: alt || `picture of ${key}`, loading: "lazy", decoding: "async" });
  image.addEventListener("load", () => box.classList.add("there"));
  image.addEventListener("error", async () => {
    const why = await fetch(image.src).then((found) => found.headers.get("x-why")).catch(() => null);
    fit.replaceWith(el("span.why", {}, untrusted(decodeURIComponent(why || "no picture"))));
  });
  fit.append(image);
  return box;
}

// the colour of the i-th region: a class of the style sheet, which sets --mark
export const colourClass = (i) => `c${i % 8}`;

// polygons over a picture, each of eight numbers that are fractions of its sides
export function outlines(shapes) {
  return svg("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": "true", "stroke-width": shapes.length > 12 ? 0.6 : 1.25 }, ...shapes.map((numbers, i) => svg("polygon", {
    points: numbers.map((each, at) => `${1000 * each}${at % 2 ? " " : ","}`).join(""), class: `outline ${colourClass(i)}`, "vector-effect": "non-scaling-stroke" })));
}

// regions of a prediction over its picture: what the question points at, the expected and the given answer
export const REGION_KINDS = [["asked", "asked about"], ["truth", "expected"], ["answered", "predicted"]];
export function placed(shapes, kinds = REGION_KINDS.map(([kind]) => kind)) {
  const number = kinds.reduce((sum, kind) => sum + (shapes[kind] || []).length, 0);
  return svg("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", role: "img", "aria-label": many(number, "region"), "stroke-width": number > 12 ? 0.8 : 1.75 },
    ...kinds.flatMap((kind) => (shapes[kind] || []).map((numbers) => svg("polygon", { class: `place ${kind}`, points: numbers.map((each, at) => `${1000 * each}${at % 2 ? " " : ","}`).join(""), "vector-effect": "non-scaling-stroke" }))));
}

// null: there is a picture; a text: the reason why there is none; "": rows of this table have no pictures
function unseen(of, row) {
  if (of === "samples" || table(of).predicted) return null;
  if (of !== "rows" || (!output.pictures && !output.shards)) return "";
  if (output.pictures || row.verdict === "keep") return null;
  return output.curated ? "start with --recipe to see pictures of dropped rows" : "a build keeps no pictures of dropped rows";
}

const picturesOf = (row) => Math.max(0, (row.images?.length ?? 1) - 1);
function answered(row) {
  const line = (name, text, kind) => { const n = row[`_${kind}`].length; return el("p.answer", {}, el(`span.tag.${kind}`, {}, name), " ", text ? untrusted(text, 160) : n ? many(n, "region") : el("i", {}, "nothing")); };
  return [line("asked", row._question, "asked"), line("expected", row._wanted, "truth"), line("predicted", row._said, "answered")];
}

export function badge(verdict) {
  return verdict === undefined ? null : el(verdict === "keep" ? "span.verdict.keep" : "span.verdict.drop", {}, untrusted(words(verdict), 60));
}

// open(row) runs on a click; extra is shown next to the verdict
export function card(row, open, { of = table().name, extra = null, number = 0 } = {}) {
  const why = unseen(of, row);
  const size = row.width ? `${count(row.width)}\u00a0×\u00a0${count(row.height)}` : "";
  const predicted = table(of).predicted, last = predicted && Array.isArray(row.images) ? picturesOf(row) : 0;
  const facts = [row.dataset, row.model, row.set, row._score, row.group, row.source, row.task, row.kind, row.language, size, row.regions !== undefined ? many(row.regions, "region") : "", row.lines ? many(row.lines, "line") : ""];
  const title = row.fails?.length ? `fails: ${row.fails.map(words).join(", ")}` : "";
  const wordsAlone = row.images === 0 && row._text;
  const inside = wordsAlone ? el("span.picture.words", {}, untrusted(row._text)) : why === "" ? null : why ? el("span.picture", {}, el("span.why", {}, why)) : picture(of, row._key, 320, { n: last });
  if (predicted) inside.querySelector(".fit").append(placed({ asked: row._asked, truth: row._truth, answered: row._answered }));
  if (row._shapes?.length && inside?.querySelector(".fit")) inside.querySelector(".fit").append(outlines(row._shapes));
  return el("article.card", { role: "button", tabindex: number ? -1 : 0, "data-key": row._key, title, "aria-label": `${row.verdict ?? ""} ${row._key}`,
    onclick: () => open(row), onkeydown: (event) => { if (event.key === "Enter" && event.target === event.currentTarget) open(row); } },
  inside,
  el("p.head", {}, badge(row.verdict), extra, row.fails?.length > 1 ? el("span.soft", {}, `fails ${row.fails.length}`) : null),
  row.caption !== undefined ? el("p.caption", {}, row.caption ? untrusted(row.caption) : el("i", {}, "no caption")) : null,
  predicted ? answered(row) : null,
  row._text && !wordsAlone ? el("p.caption", {}, untrusted(row._text, 160)) : null,
  el("p.facts", {}, facts.filter(Boolean).map((fact, i) => [i ? " · " : "", untrusted(words(fact), 40)])),
  row._from && row.verdict !== "keep" ? el("p.facts", {}, "from ", untrusted(row._from, 80)) : null,
  why === "" && row.caption === undefined ? plainFacts(row) : null);
}

function plainFacts(row) {
  return el("dl.small", {}, Object.entries(row).filter(([name]) => name !== "_key").slice(0, 8).map(([name, value]) =>
    [el("dt", {}, words(name)), el("dd", {}, untrusted(String(value ?? "–"), 80))]));
}

export const isOpen = (key) => state.row === key;
