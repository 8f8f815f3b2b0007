// One row as a card: picture, verdict, words. The same card in every view.
import { count, el, foreign, words } from "./dom.js";
import { output, state, table } from "./state.js";

export const pictureAddress = (of, key, side, n = 0) => `/picture?${new URLSearchParams({ table: of, key, side, n })}`;

export function picture(of, key, side, { n = 0, alt = "" } = {}) {
  const box = el("span.picture");
  const image = el("img", { src: pictureAddress(of, key, side, n), alt: alt || `picture of ${key}`, loading: "lazy", decoding: "async" });
  image.addEventListener("load", () => box.classList.add("there"));
  image.addEventListener("error", async () => {
    const why = await fetch(image.src).then((found) => found.headers.get("x-why")).catch(() => null);
    image.replaceWith(el("span.why", {}, foreign(decodeURIComponent(why || "no picture"))));
  });
  box.append(image);
  return box;
}

// null: there is a picture; a text: why there is none; "": nothing of this kind has pictures here
function unseen(of, row) {
  if (of === "samples") return null;
  if (of !== "rows" || (!(output.pictures && output.curated) && !output.shards)) return "";
  if (output.pictures && output.curated) return null;
  if (row.verdict === "keep") return null;
  return output.curated ? "start with --recipe to see dropped pictures" : "dropped: not in the shards";
}

export function badge(verdict) {
  return verdict === undefined ? null : el(verdict === "keep" ? "span.verdict.keep" : "span.verdict.drop", {}, foreign(words(verdict), 60));
}

// open(row): what a click does; extra: what stands in the head beside the verdict
export function card(row, open, { of = table().name, extra = null, number = 0 } = {}) {
  const why = unseen(of, row);
  const size = row.width ? `${count(row.width)}\u00a0×\u00a0${count(row.height)}` : "";
  const facts = [row.source, row.task, row.kind, row.language, size, row.regions !== undefined ? `${row.regions} regions` : "", row.lines ? `${row.lines} lines` : ""];
  const title = row.fails?.length ? `fails: ${row.fails.map(words).join(", ")}` : "";
  const inside = why === "" ? null : why ? el("span.picture", {}, el("span.why", {}, why)) : picture(of, row._key, 320);
  return el("article.card", { tabindex: number ? -1 : 0, "data-key": row._key, title, "aria-label": `${row.verdict ?? ""} ${row._key}`,
    onclick: () => open(row), onkeydown: (event) => { if (event.key === "Enter" && event.target === event.currentTarget) open(row); } },
  inside,
  el("p.head", {}, badge(row.verdict), extra, row.fails?.length > 1 ? el("span.soft", {}, `fails ${row.fails.length}`) : null),
  row.caption !== undefined ? el("p.caption", {}, row.caption ? foreign(row.caption) : el("i", {}, "no caption")) : null,
  el("p.facts", {}, facts.filter(Boolean).map((fact, i) => [i ? " · " : "", foreign(words(fact), 40)])),
  why === "" && row.caption === undefined ? plainFacts(row) : null);
}

function plainFacts(row) {
  return el("dl.small", {}, Object.entries(row).filter(([name]) => name !== "_key").slice(0, 8).map(([name, value]) =>
    [el("dt", {}, words(name)), el("dd", {}, foreign(String(value ?? "–"), 80))]));
}

export const isOpen = (key) => state.row === key;
