// The filter bar: active filters as chips, a form for any column, and a quick search in the text.
import { el, untrusted, words } from "./dom.js";
import { ask, column, go, state, table } from "./state.js";

const OPERATORS = {
  word: ["is", "not", "has", "starts", "none", "some"], text: ["has", "is", "not", "starts", "none", "some"],
  hash: ["is", "not", "starts", "none", "some"], flag: ["is", "not", "none", "some"], number: ["in", "is", "not", "none", "some"],
  numbers: ["in", "is", "none", "some"], words: ["is", "not", "none", "some"], bits: ["is", "not", "none", "some"],
};
const SAID = { is: "is", not: "is not", has: "contains", starts: "starts with", in: "from … to below", none: "has no value", some: "has a value" };
const SIGN = { is: "=", not: "≠", has: "contains", starts: "starts with", none: "has no value", some: "has a value", in: "" };

export function parts(filter) {
  const [name, operator, ...rest] = filter.split(":");
  return [name, operator, rest.join(":")];
}

function chip(filter) {
  const [name, operator, value] = parts(filter);
  const label = operator === "in" ? [` ${value.replace("..", " … ")}`] : [` ${SIGN[operator] ?? operator} `, untrusted(words(value), 40)];
  return el("span.chip", {}, el("b", {}, words(name)), label,
    el("button", { type: "button", title: "remove this filter", "aria-label": `remove ${name} ${value}`,
      onclick: () => go({ f: state.f.filter((each) => each !== filter), row: "" }) }, "×"));
}

export function filterBar() {
  const chips = state.f.map(chip);
  const search = searchBox();
  return el("section.filterbar", { "aria-label": "filters" }, search, adder(),
    chips.length ? el("div.chips", {}, chips, el("button.plain", { type: "button", onclick: () => go({ f: [], row: "" }) }, "clear all")) : null);
}

const searched = () => ["caption", "text", "prediction", "key", "id", "value"].find((name) => column(name) && ["text", "word"].includes(column(name).kind)) || table().key;

function searchBox() {
  const name = searched();
  const input = el("input", { type: "search", name: "search", placeholder: `Search ${words(name)}   /`, "aria-label": `search in ${name}`, maxlength: 500 });
  return el("form.search", { onsubmit: (event) => {
    event.preventDefault();
    if (input.value) go({ view: state.view === "overview" ? "rows" : state.view, f: [...state.f, `${name}:has:${input.value}`], row: "" });
  } }, input);
}

function adder() {
  const names = table().columns.map(({ name }) => name);
  const which = el("select", { name: "column", "aria-label": "column" }, names.map((name) => el("option", { value: name }, words(name))));
  const how = el("select", { name: "operator", "aria-label": "how" });
  const value = el("input", { name: "value", "aria-label": "value", list: "values", autocomplete: "off" });
  const upper = el("input", { name: "upper", "aria-label": "to below", placeholder: "to" });
  const values = el("datalist", { id: "values" });
  which.value = names.includes("verdict") ? "verdict" : names[0];
  const kind = () => column(which.value).kind;
  const shape = () => {
    const operator = how.value;
    value.hidden = operator === "none" || operator === "some";
    upper.hidden = operator !== "in";
    value.placeholder = operator === "in" ? "from" : "value";
  };
  const retype = async () => {
    how.replaceChildren(...OPERATORS[kind()].map((operator) => el("option", { value: operator }, SAID[operator])));
    shape();
    values.replaceChildren();
    if (kind() === "flag") values.replaceChildren(el("option", { value: "true" }), el("option", { value: "false" }));
    if (!["word", "words", "bits"].includes(kind())) return;
    const found = await ask("counts", { table: table().name, by: which.value }).catch(() => []);
    values.replaceChildren(...found.filter(([word]) => word !== null).slice(0, 200).map(([word]) => el("option", { value: word })));
  };
  which.addEventListener("change", retype);
  how.addEventListener("change", shape);
  const form = el("form.add", { onsubmit: (event) => {
    event.preventDefault();
    const range = how.value === "in", bare = value.hidden;
    if (!bare && !value.value && !(range && upper.value)) { value.focus(); return; }
    const text = range ? `${value.value}..${upper.value}` : bare ? "" : value.value;
    go({ f: [...state.f, `${which.value}:${how.value}:${text}`], row: "" });
  } }, which, how, value, upper, values, el("button", { type: "submit" }, "Add filter"));
  const fold = el("details.adder", { ontoggle: () => { if (fold.open && !how.children.length) retype(); } }, el("summary", {}, "Filter by column"), form);
  return fold;
}
