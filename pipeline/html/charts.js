"use strict";
// Draws the charts of a report from the data in their elements. Text is never parsed as HTML.
const LEFT = 56, RIGHT = 16;
const number = new Intl.NumberFormat("en-US");
const sum = (list) => list.reduce((total, each) => total + each, 0);
const percent = (part, whole) => (whole ? (100 * part / whole).toFixed(1) + "%" : "–");
// Plotly reads a little HTML in labels: names from the data may not bring any along
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

// a colour of the style sheet as Plotly reads it: light-dark() resolved
const probe = document.body.appendChild(Object.assign(document.createElement("span"), { hidden: true }));
function css(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
const colour = (index) => css(`--series-${index % 12}`);
const faded = (rgb, alpha) => rgb.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);
const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

function plot(box, traces, layout, options = {}) {
  const axis = { gridcolor: css("--line"), linecolor: css("--line"), fixedrange: true, zeroline: false };
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("--soft") };
  const legend = traces.filter((trace) => trace.showlegend !== false).length > 1;
  const margin = { l: LEFT, r: RIGHT, t: 8, b: 40, ...layout.margin };
  Plotly.react(box, traces, {
    font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: false, hovermode: "closest",
    hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { ...font, color: css("--ink") } },
    showlegend: legend, legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", traceorder: "normal" }, ...layout,
    margin: { ...margin, t: legend ? 34 : margin.t }, xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis },
  }, { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false, ...options });
}

// --- bars

const labelWidth = (labels) => Math.min(170, 16 + 7 * Math.max(...labels.map((label) => label.length)));
const labelled = (labels) => ({ autorange: "reversed", tickvals: labels.map((_, i) => i), ticktext: labels.map(plain), showgrid: false });

function drawStacked(box, { labels, series }) {
  const totals = labels.map((_, i) => sum(series.map(({ values }) => values[i])));
  const traces = series.map(({ name, values, colour: index }, i) => ({
    type: "bar", orientation: "h", name: plain(name), x: values, y: labels.map((_, at) => at), marker: { color: colour(index) },
    customdata: labels.map(plain), text: i === series.length - 1 ? totals.map((total) => number.format(total)) : undefined,
    textposition: i === series.length - 1 ? "outside" : undefined, cliponaxis: false,
    hovertemplate: "%{customdata}<br>%{x:,} " + plain(name) + "<extra></extra>",
  }));
  plot(box, traces, { barmode: "stack", bargap: 0.25, margin: { l: labelWidth(labels), r: 56, b: 30 }, yaxis: labelled(labels) });
}

function drawBeforeAfter(box, { labels, before, after }) {
  const trace = (title, counts, fill) => ({
    type: "bar", orientation: "h", name: title, x: counts.map((count) => 100 * count / (sum(counts) || 1)), y: labels.map((_, i) => i),
    marker: { color: fill }, customdata: counts.map((count, i) => `${plain(labels[i])}<br>${number.format(count)} rows`),
    hovertemplate: "%{customdata}, %{x:.1f}% " + title + "<extra></extra>",
  });
  plot(box, [trace("before", before, css("--before")), trace("after", after, colour(0))], {
    barmode: "group", bargap: 0.25, margin: { l: labelWidth(labels), r: 12, b: 30 }, xaxis: { ticksuffix: "%", nticks: 5 }, yaxis: labelled(labels),
  });
}

function drawColumns(box, { labels, values, x_title: xTitle, y_title: yTitle }) {
  plot(box, [{ type: "bar", width: 0.5, x: labels, y: values, text: values.map((n) => number.format(n)), textposition: "outside", cliponaxis: false,
    marker: { color: colour(0) }, hovertemplate: "%{x}: %{y:,}<extra></extra>" }], {
    margin: { t: 22, b: 44 }, xaxis: { type: "category", title: { text: plain(xTitle) } },
    yaxis: { title: { text: plain(yTitle) }, tickformat: ",d", rangemode: "tozero", dtick: Math.max(...values) < 6 ? 1 : undefined },
  });
}

// --- histograms: bin i lies between edges[i - 1] and edges[i]; a position p is the boundary below bin p, fractions are inside

const histogramStates = new Map();  // moved thresholds, chosen source and scale by the chart's name

function position(chart, value, isMaximum) {
  const edge = chart.integer && isMaximum ? value + 1 : value, edges = chart.edges;
  const above = edges.findIndex((each) => each > edge);
  if (above === 0) return 0.5;
  if (above === -1) return edge === edges[edges.length - 1] ? edges.length : edges.length + 0.5;
  return above + (edge - edges[above - 1]) / (edges[above] - edges[above - 1]);
}

function limits(chart, state, source) {
  const [low, high] = chart.bounds[source];
  return [
    state.minimum !== undefined ? state.minimum : low === null ? 0 : position(chart, low, false),
    state.maximum !== undefined ? state.maximum : high === null ? Infinity : position(chart, high, true),
  ];
}

const shownSources = (chart, state) => (state.source ? [state.source] : Object.keys(chart.bounds));
const sourceColour = (chart, source) => colour(Math.max(0, Object.keys(chart.rows).indexOf(source)));

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

function drawHistogram(box, chart) {
  const state = histogramStates.get(box.dataset.chart) || {}, bins = chart.edges.length + 1, sources = shownSources(chart, state);
  const x = Array.from({ length: bins }, (_, i) => i + 0.5), names = x.map((_, bin) => binName(chart, bin));
  const joined = state.log && sources.length > 1;
  const groups = joined ? [["all sources", x.map((_, bin) => sum(sources.map((source) => (chart.every[source] || [])[bin] || 0))), css("--soft")]]
    : sources.map((source) => [source, chart.every[source] || [], sourceColour(chart, source)]);
  const traces = groups.map(([title, y, fill]) => ({
    type: "bar", name: plain(title), x, y, width: 1, marker: { color: fill, line: { width: 0 } }, customdata: names,
    hovertemplate: "%{customdata}: %{y:,} rows<extra>" + plain(title) + "</extra>",
  }));
  const marks = ticks(chart, box.clientWidth - LEFT - RIGHT);
  plot(box, traces, {
    barmode: "stack", bargap: 0, shapes: thresholdShapes(chart, state, sources, bins), margin: { b: 42 },
    xaxis: { range: [0, bins], tickvals: marks.map(([, at]) => at), ticktext: marks.map(([edge]) => short(edge)), ticks: "outside",
      tickcolor: css("--line"), showgrid: false, title: { text: plain(chart.label) } },
    yaxis: { type: state.log ? "log" : "linear", tickformat: state.log ? "~s" : ",d", dtick: state.log ? 1 : undefined, nticks: 5, rangemode: "tozero" },
  });
}

const upright = (x, style) => ({ type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: style });

function thresholdShapes(chart, state, sources, bins) {
  const all = sources.map((source) => limits(chart, state, source));
  const lows = all.map(([low]) => low), highs = all.map(([, high]) => Math.min(high, bins));
  const shade = (x0, x1) => ({ type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, fillcolor: css("--shade"), line: { width: 0 }, layer: "below" });
  const result = [shade(0, Math.min(...lows)), shade(Math.max(...highs), bins)];
  const inside = (x) => x > 0 && x < bins;
  for (const x of new Set([...lows, ...highs].filter(inside))) result.push(upright(x, { color: css("--drop"), width: 2 }));
  const recipe = sources.flatMap((source) => limits(chart, {}, source)).filter(inside);
  for (const x of new Set(recipe)) if (!lows.includes(x) && !highs.includes(x)) result.push(upright(x, { color: css("--drop"), width: 1, dash: "dot" }));
  return result;
}

// --- curves over steps, and means with error bars

function line(name, x, y, fill, extra = {}) {
  return { type: "scatter", mode: x.length < 3 ? "lines+markers" : "lines", name: plain(name), x, y, connectgaps: false,
    line: { color: fill, width: 1.6 }, hovertemplate: "%{y:.4~g}<extra>" + plain(name) + "</extra>", ...extra };
}

function bandTraces(steps, { mean, low, high, smooth, skipped }) {
  const blue = colour(0), [weak, middle] = isDark() ? [0.34, 0.65] : [0.16, 0.5];
  const edge = { line: { width: 0 }, hoverinfo: "skip", hovertemplate: undefined, showlegend: false };
  const banded = low.some((value, i) => value !== high[i]);
  const band = banded ? [line("lowest", steps, low, blue, edge), line("highest", steps, high, blue, { ...edge, fill: "tonexty", fillcolor: faded(blue, weak) })] : [];
  const traces = [...band, line(banded ? "mean" : "each step", steps, mean, faded(blue, middle), { line: { color: faded(blue, middle), width: 1 } }),
    line("smoothed", steps, smooth, blue, { line: { color: blue, width: 2.2 } })];
  if (skipped.length) {
    const top = Math.max(...mean.filter((value) => value !== null));
    traces.push({ type: "scatter", mode: "markers", name: "skipped", x: skipped, y: skipped.map(() => top), marker: { color: css("--drop"), symbol: "x", size: 8 }, hovertemplate: "step %{x} skipped<extra></extra>" });
  }
  return traces;
}

function drawCurves(box, { steps, span, lines, band, dotted, scale, markers }) {
  const style = markers ? { mode: "lines+markers", marker: { size: 6 } } : {}, pad = Math.max(0.5, 0.015 * (span[1] - span[0]));
  const traces = [...(band ? bandTraces(steps, band) : []), ...lines.map(({ name, values }, i) => line(name, steps, values, colour(i), style))];
  plot(box, traces, {
    dragmode: "zoom", hovermode: "x unified", margin: { l: 52, r: 12, t: 10, b: 34 },
    shapes: dotted.map((x) => upright(x - 0.5, { color: css("--soft"), width: 1, dash: "dot" })),
    xaxis: { fixedrange: false, automargin: true, range: [span[0] - pad, span[1] + pad], tickformat: ",d", nticks: 7 },
    yaxis: { automargin: true, nticks: 6, tickformat: scale === "percent" ? ".1~%" : scale === "exponent" ? "~e" : undefined,
      rangemode: scale ? "tozero" : "normal", exponentformat: "SI" },
  }, { doubleClick: "reset" });
}

function pointTraces({ name, x, y, error, repeats, counts }, i, { y_title: title, joined }) {
  const fill = colour(i);
  const means = line(name || title, x, y, fill, {
    mode: joined ? "lines+markers" : "markers", marker: { size: 7, color: fill }, line: { color: fill, width: 1.8 }, customdata: counts,
    error_y: { type: "data", array: error, color: fill, thickness: 1.4, width: 4 },
    hovertemplate: "%{y:.4~g} ± %{error_y.array:.2~g}, %{customdata} questions<extra>" + plain(name) + "</extra>" });
  const marker = { symbol: "line-ew-open", size: 9, color: faded(fill, 0.55), line: { width: 1.2, color: faded(fill, 0.55) } };
  return [means, { type: "scatter", mode: "markers", x: repeats.flatMap((values, at) => values.map(() => x[at])), y: repeats.flat(), marker, showlegend: false, hoverinfo: "skip" }];
}

function drawPoints(box, chart) {
  const places = [...new Set(chart.lines.flatMap(({ x }) => x))];
  const axis = places.some((each) => typeof each === "string") ? { type: "category" }
    : chart.x_title ? { type: "log", dtick: "D2" } : { type: "log", tickvals: places, ticktext: places.map(String) };
  plot(box, chart.lines.flatMap((each, i) => pointTraces(each, i, chart)), {
    margin: { t: 10, r: 14, b: 44 }, xaxis: { automargin: true, ...axis, title: chart.x_title ? { text: plain(chart.x_title) } : undefined },
    yaxis: { automargin: true, nticks: 6, rangemode: chart.from_zero ? "tozero" : "normal", title: { text: plain(chart.y_title) } },
  });
}

// --- draw what comes into view; everything before printing, everything again when the colours change

const DRAWERS = { stacked: drawStacked, before_after: drawBeforeAfter, columns: drawColumns, histogram: drawHistogram, curves: drawCurves, points: drawPoints };
const contentOf = (box) => JSON.parse(box.dataset.content);
const chartBoxes = [...document.querySelectorAll("[data-chart]")];

function draw(box) {
  const content = contentOf(box);
  box.dataset.drawn = "yes";
  DRAWERS[content.kind](box, content);
}

const inView = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) { inView.unobserve(target); draw(target); }
}, { rootMargin: "600px" });
chartBoxes.forEach((box) => inView.observe(box));
addEventListener("beforeprint", () => chartBoxes.forEach(draw));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chartBoxes.filter((box) => box.dataset.drawn).forEach(draw));
