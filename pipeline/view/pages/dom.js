// Elements and number formats. Text from the data only ever becomes text nodes: nothing is parsed as HTML.

export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [property, each] of Object.entries(value)) element.style.setProperty(property, each);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// text from the data, isolated so that its writing direction stays inside
export function untrusted(text, limit = 300) {
  const whole = text ?? "", cut = whole.length > limit ? whole.slice(0, limit - 1) + "…" : whole;
  return el("bdi", { dir: "auto" }, cut.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, "\ufffd"));
}

const whole = new Intl.NumberFormat("en-US");
export const count = (number) => whole.format(number);
export const percent = (part, all) => (all ? (100 * part / all).toFixed(1) + "%" : "–");
export const words = (name) => String(name).replace(/_/g, " ");
export const many = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : "s"}`;

export function short(number) {
  const size = Math.abs(number);
  if (size >= 1e9) return +(number / 1e9).toPrecision(3) + "B";
  if (size >= 1e6) return +(number / 1e6).toPrecision(3) + "M";
  if (size >= 1e4) return +(number / 1e3).toPrecision(3) + "k";
  return size >= 1000 ? count(Math.round(number)) : String(+number.toPrecision(4));
}

export function bytes(number) {
  if (number >= 1e9) return +(number / 1e9).toPrecision(3) + " GB";
  return number >= 1e6 ? +(number / 1e6).toPrecision(3) + " MB" : +(number / 1e3).toPrecision(3) + " kB";
}

export function shown(value) {
  if (value === null || value === undefined) return el("span.none", {}, "–");
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : String(+value.toPrecision(5));
  if (Array.isArray(value)) return value.length ? untrusted(value.join(", "), 200) : el("span.none", {}, "–");
  if (typeof value === "boolean") return value ? "yes" : "no";
  return untrusted(value, 200);
}
