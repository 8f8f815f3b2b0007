// A picture with its boxes and quads drawn over it. A region lights up together with its shape.
import { el, untrusted, many, svg } from "./dom.js";
import { colourClass, picture } from "./cards.js";

const LISTED = 400;

const corners = (region) => {
  if (region.quad) return region.quad;
  const [x1, y1, x2, y2] = region.box;
  return [x1, y1, x2, y1, x2, y2, x1, y2];
};
const isShape = (region) => {
  const numbers = region.quad || region.box;
  return Array.isArray(numbers) && numbers.length === (region.quad ? 8 : 4) && numbers.every((each) => Number.isFinite(each));
};

export function drawn(of, key, sample) {
  const regions = (sample.content.regions || []).filter(isShape);
  const levels = [...new Set(regions.map(({ level }) => level).filter(Boolean))];
  let level = levels.includes("line") ? "line" : levels[0], n = 0, shown = true;
  const root = el("div.drawn");
  const draw = () => {
    const here = regions.filter((region) => (region.image || 0) === n && (!levels.length || region.level === level));
    const shapes = here.map((region, i) => {
      const numbers = corners(region), points = [];
      for (let at = 0; at < numbers.length; at += 2) points.push(`${1000 * numbers[at]},${1000 * numbers[at + 1]}`);
      const shape = svg("polygon", { points: points.join(" "), class: `outline ${colourClass(i)}`, "vector-effect": "non-scaling-stroke" });
      shape.append(svg("title", {}, document.createTextNode(String(region.phrase ?? "").slice(0, 300))));
      return shape;
    });
    const items = here.slice(0, LISTED).map((region, i) => el(`li.${colourClass(i)}`, { tabindex: i ? -1 : 0 },
      untrusted(region.phrase || "(no phrase)", 160), el("code", {}, (region.quad || region.box).map((each) => (+each).toFixed(3)).join(" "))));
    const light = (i, on) => { shapes[i]?.classList.toggle("lit", on); items[i]?.classList.toggle("lit", on); };
    [...shapes, ...items].forEach((each, at) => {
      const i = at % shapes.length;
      for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false]]) each.addEventListener(event, () => light(i, on));
    });
    const overlay = svg("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", role: "img", "aria-label": many(here.length, "region") });
    if (shown) overlay.append(...shapes);
    const frame = picture(of, key, 2048, { n });
    frame.classList.add("large");
    frame.querySelector(".fit").append(overlay);
    root.replaceChildren(frame, controls(here.length), ...(items.length ? [el("ol.regions", {}, items)] : []),
      ...(here.length > LISTED ? [el("p.soft", {}, `the first ${LISTED} of ${here.length} regions are listed; all are drawn`)] : []));
  };
  const controls = (number) => el("div.controls", {},
    regions.length ? el("label", {}, el("input", { type: "checkbox", checked: shown, onchange: (event) => { shown = event.target.checked; draw(); } }), ` ${many(number, "region")} drawn`) : null,
    levels.length > 1 ? el("label", {}, "level ", el("select", { onchange: (event) => { level = event.target.value; draw(); } }, levels.map((each) => el("option", { value: each, selected: each === level }, each)))) : null,
    sample.images > 1 ? el("label", {}, "image ", el("select", { onchange: (event) => { n = Number(event.target.value); draw(); } }, Array.from({ length: sample.images }, (_, i) => el("option", { value: i, selected: i === n }, String(i + 1))))) : null);
  draw();
  return root;
}

// a training text with its markers highlighted
export function marked(text) {
  return text.split(/(<\/?(?:ref|box|quad|img)>|\(\d+,\d+\)(?:,\(\d+,\d+\))*)/).filter(Boolean).map((piece) =>
    /^<\/?(ref|box|quad|img)>$/.test(piece) ? el("span.marker", {}, piece) : /^\(\d+,\d+\)/.test(piece) ? el("span.numbers", {}, piece) : untrusted(piece, 20000));
}
