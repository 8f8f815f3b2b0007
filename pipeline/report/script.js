"use strict";
// Draws the charts from the page's own data, and recomputes kept shares when a slider moves. Text is never parsed as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#2f6fb0", "#e08a2c", "#4a9d6f", "#b4588f", "#8a7a3f", "#5aa9c9", "#c4574a", "#7a6fc0", "#7f8890", "#a8a437"];
const LEFT = 56, RIGHT = 16;
const number = new Intl.NumberFormat("en-US");
const sum = (list) => list.reduce((total, each) => total + each, 0);
const percent = (part, whole) => (whole ? (100 * part / whole).toFixed(1) + "%" : "–");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Plotly reads a little HTML in labels: names from the data may not bring any along
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const colour = (source) => COLOURS[Math.max(0, data.funnel.sources.indexOf(source)) % COLOURS.length];

function draw(box, traces, layout) {
  const axis = { gridcolor: css("--line"), linecolor: css("--line"), fixedrange: true, zeroline: false };
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("--soft") };
  const whole = {
    font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", barmode: "stack", bargap: 0.25, dragmode: false,
    hovermode: "closest", hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { ...font, color: css("--ink") } },
    margin: { l: LEFT, r: RIGHT, t: 8, b: 40 }, showlegend: traces.length > 1,
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", traceorder: "normal" }, ...layout,
    xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis },
  };
  if (whole.showlegend) whole.margin = { ...whole.margin, t: 34 };
  Plotly.react(box, traces, whole, { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false });
}

function labelWidth(labels) {
  return Math.min(170, 16 + 7 * Math.max(...labels.map((label) => label.length)));
}

function sideways(box, labels, series, layout = {}) {
  const shown = labels.map(plain);
  const traces = series.map(({ name, values, colour: fill, texts }) => ({
    type: "bar", orientation: "h", name: plain(name), x: values, y: shown.map((_, i) => i), marker: { color: fill },
    customdata: shown, text: texts, textposition: texts ? "outside" : undefined, cliponaxis: false,
    hovertemplate: "%{customdata}<br>%{x:,} " + plain(name) + "<extra></extra>", ...(series.style || {}),
  }));
  draw(box, traces, {
    margin: { l: labelWidth(labels), r: 56, t: 8, b: 30 }, ...layout,
    yaxis: { autorange: "reversed", tickvals: shown.map((_, i) => i), ticktext: shown, showgrid: false },
  });
}

function drawFunnel(box) {
  const { sources, rows, steps } = data.funnel;
  const labels = ["rows in", ...steps.map((step) => step.reason.replace(/_/g, " "))];
  const totals = [rows, ...steps.map((step) => step.left)].map((left) => sum(Object.values(left)));
  const series = sources.map((source, i) => ({
    name: source, colour: colour(source), values: [rows[source], ...steps.map((step) => step.left[source])],
    texts: i === sources.length - 1 ? totals.map((total) => number.format(total)) : undefined,
  }));
  sideways(box, labels, series);
}

function drawMix(box, name) {
  const axis = Object.keys(data.mix.dimensions).indexOf(name), labels = data.mix.dimensions[name];
  const before = labels.map(() => 0), after = labels.map(() => 0);
  for (const cell of data.mix.cells) { before[cell[axis]] += cell[4]; after[cell[axis]] += cell[5]; }
  const shares = (counts) => counts.map((count) => 100 * count / (sum(counts) || 1));
  const hover = (counts) => counts.map((count, i) => `${plain(labels[i])}<br>${number.format(count)} rows`);
  const trace = (title, counts, fill) => ({
    type: "bar", orientation: "h", name: title, x: shares(counts), y: labels.map((_, i) => i), marker: { color: fill },
    customdata: hover(counts), hovertemplate: "%{customdata}, %{x:.1f}% " + title + "<extra></extra>",
  });
  draw(box, [trace("before", before, "#b9bec5"), trace("after", after, COLOURS[0])], {
    barmode: "group", margin: { l: labelWidth(labels), r: 12, t: 8, b: 30 }, xaxis: { ticksuffix: "%", nticks: 5 },
    yaxis: { autorange: "reversed", tickvals: labels.map((_, i) => i), ticktext: labels.map(plain), showgrid: false },
  });
}

function drawWords(box, chart) {
  const labels = chart.values.map(({ value, allowed }) => `${allowed ? "✓" : "✗"} ${value}`);
  const totals = chart.values.map(({ rows }) => sum(Object.values(rows)));
  const sources = data.funnel.sources.filter((source) => chart.values.some(({ rows }) => rows[source]));
  const series = sources.map((source, i) => ({
    name: source, colour: colour(source), values: chart.values.map(({ rows }) => rows[source] || 0),
    texts: i === sources.length - 1 ? totals.map((total) => number.format(total)) : undefined,
  }));
  sideways(box, labels, series);
}

function drawSizes(box, sizes) {
  const names = sizes.map(({ from, to }) => (from === to ? `${from}` : `${number.format(from)}–${number.format(to)}`));
  const values = sizes.map(({ clusters }) => clusters);
  draw(box, [{ type: "bar", width: 0.5, x: names, y: values, text: values.map((n) => number.format(n)), textposition: "outside", cliponaxis: false,
    marker: { color: COLOURS[0] }, hovertemplate: "%{x} rows: %{y:,} clusters<extra></extra>" }], {
    margin: { l: LEFT, r: RIGHT, t: 22, b: 44 }, xaxis: { type: "category", title: { text: "rows in the cluster" } },
    yaxis: { title: { text: "clusters" }, tickformat: ",d", rangemode: "tozero", dtick: Math.max(...values) < 6 ? 1 : undefined },
  });
}

// --- histograms: bin i lies between edges[i - 1] and edges[i]; a position p is the boundary below bin p, fractions are inside

const states = new Map();

function position(chart, value, isMaximum) {
  const edge = chart.integer && isMaximum ? value + 1 : value, edges = chart.edges;
  const above = edges.findIndex((each) => each > edge);
  if (above === 0) return 0.5;
  if (above === -1) return edge === edges[edges.length - 1] ? edges.length : edges.length + 0.5;
  return above + (edge - edges[above - 1]) / (edges[above] - edges[above - 1]);
}

function value(chart, place, isMaximum) {
  if (place < 1 || place > chart.edges.length) return null;
  return chart.edges[place - 1] - (chart.integer && isMaximum ? 1 : 0);
}

const within = (counts, low, high) => sum(counts.map((count, bin) => count * Math.max(0, Math.min(bin + 1, high) - Math.max(bin, low))));

function limits(chart, state, source) {
  const [low, high] = chart.bounds[source];
  return [
    state.minimum !== undefined ? state.minimum : low === null ? 0 : position(chart, low, false),
    state.maximum !== undefined ? state.maximum : high === null ? Infinity : position(chart, high, true),
  ];
}

function kept(chart, state, sources) {
  let passes = 0, stays = 0, readable = 0;
  for (const source of sources) {
    const [low, high] = limits(chart, state, source);
    passes += within(chart.every[source] || [], low, high);
    stays += within(chart.alone[source] || [], low, high);
    readable += sum(chart.every[source] || []) + (chart.unmeasured[source] || 0);
  }
  return { passes: Math.round(passes), stays: Math.round(stays), readable, rows: sum(sources.map((source) => data.funnel.rows[source])) };
}

const chosen = (chart, state) => (state.source ? [state.source] : Object.keys(chart.bounds));

function ticks(chart, width) {
  const most = Math.max(3, Math.floor(width / 64)), edges = chart.edges.map((edge, i) => [edge, i + 1]);
  const mantissa = (edge) => edge / 10 ** Math.floor(Math.log10(Math.abs(edge)) + 1e-9);
  const among = (list) => edges.filter(([edge]) => edge === 0 || list.some((each) => Math.abs(mantissa(edge) - each) < 1e-6));
  const linear = chart.edges.length > 2 && Math.abs(chart.edges[2] - 2 * chart.edges[1] + chart.edges[0]) < 1e-9 && chart.edges[chart.edges.length - 1] <= 20;
  const tries = linear ? [edges] : [edges, among([1, 2, 5]), among([1, 3.2]), among([1])];
  let found = tries.find((list) => list.length >= 2 && list.length <= most) || tries[tries.length - 1];
  if (found.length > most || found.length < 2) found = (found.length < 2 ? edges : found).filter((_, i, all) => i % Math.ceil(all.length / most) === 0);
  return found;
}

function short(edge) {
  if (Math.abs(edge) >= 1e6) return +(edge / 1e6).toPrecision(3) + "M";
  return Math.abs(edge) >= 1e3 ? +(edge / 1e3).toPrecision(3) + "k" : String(+edge.toPrecision(4));
}

function binName(chart, bin) {
  const last = chart.edges.length, low = chart.edges[bin - 1], high = chart.edges[bin];
  if (chart.integer) {
    if (bin === 0) return `below ${short(high)}`;
    if (bin === last) return `${number.format(low)} and more`;
    return high - low === 1 ? number.format(low) : `${number.format(low)} to ${number.format(high - 1)}`;
  }
  const right = chart.closed === "right";
  if (bin === 0) return right ? `${short(high)} or less` : `below ${short(high)}`;
  if (bin === last) return right ? `above ${short(low)}` : `${short(low)} and more`;
  return right ? `above ${short(low)} to ${short(high)}` : `${short(low)} to below ${short(high)}`;
}

function drawNumbers(box, name, chart) {
  const state = states.get(name), bins = chart.edges.length + 1, sources = chosen(chart, state);
  const x = Array.from({ length: bins }, (_, i) => i + 0.5), names = x.map((_, bin) => binName(chart, bin));
  const joined = state.log && sources.length > 1;
  const groups = joined ? [["all sources", x.map((_, bin) => sum(sources.map((source) => (chart.every[source] || [])[bin] || 0))), css("--soft")]]
    : sources.map((source) => [source, chart.every[source] || [], colour(source)]);
  const traces = groups.map(([title, y, fill]) => ({
    type: "bar", name: plain(title), x, y, width: 1, marker: { color: fill, line: { width: 0 } }, customdata: names,
    hovertemplate: "%{customdata}: %{y:,} rows<extra>" + plain(title) + "</extra>",
  }));
  const marks = ticks(chart, box.clientWidth - LEFT - RIGHT);
  draw(box, traces, {
    bargap: 0, shapes: shapes(chart, state, sources, bins), margin: { l: LEFT, r: RIGHT, t: 8, b: 42 },
    xaxis: { range: [0, bins], tickvals: marks.map(([, at]) => at), ticktext: marks.map(([edge]) => short(edge)), ticks: "outside",
      tickcolor: css("--line"), showgrid: false, title: { text: plain(chart.label) } },
    yaxis: { type: state.log ? "log" : "linear", tickformat: state.log ? "~s" : ",d", dtick: state.log ? 1 : undefined, nticks: 5, rangemode: "tozero" },
  });
}

function shapes(chart, state, sources, bins) {
  const all = sources.map((source) => limits(chart, state, source));
  const lows = all.map(([low]) => low), highs = all.map(([, high]) => Math.min(high, bins));
  const shade = (x0, x1) => ({ type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, fillcolor: css("--shade"), line: { width: 0 }, layer: "below" });
  const line = (x, dash) => ({ type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: { color: css("--drop"), width: dash ? 1 : 2, dash } });
  const result = [shade(0, Math.min(...lows)), shade(Math.max(...highs), bins)];
  const inside = (x) => x > 0 && x < bins;
  for (const x of new Set([...lows, ...highs].filter(inside))) result.push(line(x));
  const recipe = sources.flatMap((source) => limits(chart, {}, source)).filter(inside);
  for (const x of new Set(recipe)) if (!lows.includes(x) && !highs.includes(x)) result.push(line(x, "dot"));
  return result;
}

function tell(form, chart, state) {
  const sources = chosen(chart, state), now = kept(chart, state, sources), before = kept(chart, {}, sources);
  const fraction = ["minimum", "maximum"].some((bound) => state[bound] !== undefined && state[bound] % 1 !== 0);
  const live = form.querySelector(".live"), bold = (text) => Object.assign(document.createElement("b"), { textContent: text });
  const about = fraction ? "about " : "", moved = state.minimum !== undefined || state.maximum !== undefined;
  live.replaceChildren(
    `Passes this rule: ${about}`, bold(percent(now.passes, now.readable)), ` (${number.format(now.passes)} of ${number.format(now.readable)} readable rows). `,
    `Passes every rule: ${about}`, bold(percent(now.stays, now.rows)), ` (${number.format(now.stays)} of ${number.format(now.rows)} rows in, before duplicates)`,
    moved ? `; the recipe: ${percent(before.stays, before.rows)}, so ${now.stays < before.stays ? "−" : "+"}${number.format(Math.abs(now.stays - before.stays))} rows.` : ".",
    fraction ? " The value lies inside a bin: approximate." : "",
  );
  form.elements.reset.disabled = !moved;
}

function showControls(form, chart, state) {
  const source = chosen(chart, state), shared = (bound, at) => {
    const places = new Set(source.map((each) => limits(chart, state, each)[at]));
    return places.size === 1 ? [...places][0] : limits(chart, state, source[0])[at];
  };
  for (const [at, bound] of ["minimum", "maximum"].entries()) {
    const slider = form.elements[bound];
    if (!slider) continue;
    const place = Math.min(shared(bound, at), chart.edges.length + 1), exact = value(chart, place, at === 1);
    const shown = exact === null || chart.integer ? exact : +exact.toPrecision(7);  // what float32 can tell apart
    slider.value = Math.round(place);
    slider.setAttribute("aria-valuetext", shown === null ? "none" : String(shown));
    const box = form.elements[`${bound}-value`];
    if (document.activeElement !== box) box.value = shown === null ? "" : place % 1 ? state[`${bound}-typed`] ?? "" : shown;
    box.placeholder = "none";
  }
}

function wire(form) {
  const name = form.dataset.for, [, filter, index] = name.split(":"), chart = data.filters[filter].charts[index];
  const box = document.querySelector(`[data-chart="${name}"]`), state = {};
  states.set(name, state);
  const update = () => { showControls(form, chart, state); tell(form, chart, state); if (box.dataset.drawn) drawNumbers(box, name, chart); };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    const field = event.target.name;
    if (field === "minimum" || field === "maximum") state[field] = Number(event.target.value);
    if (field.endsWith("-value")) {
      const bound = field.slice(0, 7), typed = event.target.value;
      state[`${bound}-typed`] = typed;
      if (typed === "") state[bound] = bound === "minimum" ? 0 : chart.edges.length + 1;
      else state[bound] = position(chart, Number(typed), bound === "maximum");
    }
    if (field === "source") state.source = event.target.selectedIndex ? event.target.value : "";
    if (field === "log") state.log = event.target.checked;
    update();
  });
  form.elements.reset.addEventListener("click", () => { delete state.minimum; delete state.maximum; update(); });
  update();
}

// --- the crossed table of the mix

function cross() {
  const controls = document.getElementById("cross-controls"), names = Object.keys(data.mix.dimensions);
  const [rows, columns, cells] = ["rows", "columns", "cells"].map((name) => controls.querySelector(`[name=${name}]`));
  const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const render = () => {
    const down = names.indexOf(rows.value), across = names.indexOf(columns.value), mode = cells.selectedIndex;
    const counts = new Map();
    let total = 0;
    for (const cell of data.mix.cells) {
      const key = `${cell[down]}:${cell[across]}`, held = counts.get(key) || [0, 0];
      counts.set(key, [held[0] + cell[4], held[1] + cell[5]]);
      total += cell[5];
    }
    const pairs = [...counts.values()], weight = ([before, after]) => [before ? after / before : 0, after, before, after][mode];
    const most = mode === 0 ? 1 : Math.max(1, ...pairs.map(weight));
    const text = ([before, after]) => [before ? percent(after, before) : "", percent(after, total), number.format(before), number.format(after)][mode];
    const labels = data.mix.dimensions[rows.value], titles = data.mix.dimensions[columns.value];
    const head = element("tr", ""), table = element("table", "");
    head.append(element("th", ""), ...titles.map((title) => element("th", title)));
    table.append(element("thead", ""), element("tbody", ""));
    table.tHead.append(head);
    labels.forEach((label, i) => {
      const line = element("tr", ""), first = element("th", label);
      first.scope = "row";
      line.append(first, ...titles.map((_, j) => {
        const pair = counts.get(`${i}:${j}`), cell = element("td", pair ? text(pair) : "");
        if (pair) cell.style.background = `rgba(${css("--heat")}, ${(0.42 * weight(pair) / most).toFixed(3)})`;
        return cell;
      }));
      table.tBodies[0].append(line);
    });
    table.className = "numbers heat";
    document.getElementById("cross").replaceChildren(table);
  };
  controls.addEventListener("input", render);
  render();
}

// --- draw what comes into view; everything before printing, everything again when the colours change

function drawNamed(box) {
  const [kind, first, second] = box.dataset.chart.split(":");
  box.dataset.drawn = "yes";
  if (kind === "funnel") drawFunnel(box);
  else if (kind === "mix") drawMix(box, first);
  else if (kind === "duplicates") drawSizes(box, data.duplicates[first]);
  else if (data.filters[first].charts[second].kind === "words") drawWords(box, data.filters[first].charts[second]);
  else drawNumbers(box, box.dataset.chart, data.filters[first].charts[second]);
}

document.querySelectorAll("form.sliders").forEach(wire);
cross();
const charts = [...document.querySelectorAll("[data-chart]")];
const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) { watcher.unobserve(target); drawNamed(target); }
}, { rootMargin: "600px" });
charts.forEach((box) => watcher.observe(box));
addEventListener("beforeprint", () => charts.forEach(drawNamed));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { cross(); charts.filter((box) => box.dataset.drawn).forEach(drawNamed); });

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const reading = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) links.get(target.id)?.classList.toggle("here", isIntersecting);
}, { rootMargin: "-15% 0px -80% 0px" });
document.querySelectorAll("section[id], article[id]").forEach((part) => reading.observe(part));
