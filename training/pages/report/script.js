"use strict";
// Draws the curves from the page's own data when they come into view. Text is never parsed as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#2f6fb0", "#e08a2c", "#4a9d6f", "#b4588f", "#8a7a3f", "#5aa9c9", "#c4574a", "#7a6fc0", "#7f8890", "#a8a437", "#3f8a86", "#d17aa0"];
const PERCENT = ["useful", "mfu", "data_wait"], FROM_ZERO = ["samples_per_second", "tokens_per_second", "memory_gb", "lr", "data_wait", "mfu"];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Plotly reads a little HTML in labels: names from the data may not bring any along
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const faded = (hex, alpha) => `rgba(${[1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(",")},${alpha})`;

function line(name, x, y, colour, extra = {}) {
  return { type: "scatter", mode: x.length < 3 ? "lines+markers" : "lines", name: plain(name), x, y, connectgaps: false,
    line: { color: colour, width: 1.6 }, hovertemplate: "%{y:.4~g}<extra>" + plain(name) + "</extra>", ...extra };
}

function lossTraces(stage) {
  const { step, loss, loss_low: low, loss_high: high, loss_smooth: smooth } = stage, blue = COLOURS[0];
  const [weak, middle] = matchMedia("(prefers-color-scheme: dark)").matches ? [0.34, 0.65] : [0.16, 0.5];
  const edge = { line: { width: 0 }, hoverinfo: "skip", hovertemplate: undefined, showlegend: false };
  const banded = low.some((value, i) => value !== high[i]);
  const band = banded ? [line("lowest", step, low, blue, edge), line("highest", step, high, blue, { ...edge, fill: "tonexty", fillcolor: faded(blue, weak) })] : [];
  const traces = [...band, line(banded ? "mean" : "each step", step, loss, faded(blue, middle), { line: { color: faded(blue, middle), width: 1 } }), line("smoothed", step, smooth, blue, { line: { color: blue, width: 2.2 } })];
  if (stage.skipped.length) {
    const top = Math.max(...loss.filter((value) => value !== null));
    traces.push({ type: "scatter", mode: "markers", name: "skipped", x: stage.skipped, y: stage.skipped.map(() => top), marker: { color: css("--drop"), symbol: "x", size: 8 }, hovertemplate: "step %{x} skipped<extra></extra>" });
  }
  return traces;
}

function traces(stage, name) {
  if (name === "loss") return lossTraces(stage);
  if (name === "by_source" || name === "by_class") return Object.entries(stage[name]).map(([label, y], i) => line(label, stage.step, y, COLOURS[i % COLOURS.length]));
  if (name.startsWith("score:")) {
    const series = stage.scores[name.slice(6)];
    return [line(name.slice(6), series.step, series.value, COLOURS[2], { mode: "lines+markers", marker: { size: 6 } })];
  }
  return [line(name.replace(/_/g, " "), stage.step, stage[name], COLOURS[0])];
}

function draw(box) {
  const cut = box.dataset.chart.indexOf("|"), stage = data.stages[box.dataset.chart.slice(0, cut)], name = box.dataset.chart.slice(cut + 1);
  const shown = traces(stage, name), legend = shown.filter((trace) => trace.showlegend !== false).length > 1;
  const axis = { gridcolor: css("--line"), linecolor: css("--line"), zeroline: false, automargin: true };
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("--soft") };
  const resumes = stage.resumes.map((x) => ({ type: "line", xref: "x", yref: "paper", x0: x - 0.5, x1: x - 0.5, y0: 0, y1: 1, line: { color: css("--soft"), width: 1, dash: "dot" } }));
  const whole = { min: stage.step[0], max: stage.step[stage.step.length - 1] }, pad = Math.max(0.5, 0.015 * (whole.max - whole.min));
  box.dataset.drawn = "yes";
  Plotly.react(box, shown, {
    font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: "zoom", hovermode: "x unified", shapes: resumes,
    hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { ...font, color: css("--ink") } },
    margin: { l: 52, r: 12, t: legend ? 30 : 10, b: 34 }, showlegend: legend,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { ...font, size: 11 } },
    xaxis: { ...axis, range: [whole.min - pad, whole.max + pad], tickformat: ",d", nticks: 7 },
    yaxis: { ...axis, fixedrange: true, nticks: 6, tickformat: PERCENT.includes(name) ? ".1~%" : name === "lr" ? "~e" : undefined,
      rangemode: FROM_ZERO.includes(name) ? "tozero" : "normal", exponentformat: "SI" },
  }, { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: "reset" });
}

const charts = [...document.querySelectorAll("[data-chart]")];
const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) { watcher.unobserve(target); draw(target); }
}, { rootMargin: "600px" });
charts.forEach((box) => watcher.observe(box));
addEventListener("beforeprint", () => charts.forEach(draw));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.filter((box) => box.dataset.drawn).forEach(draw));

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const reading = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) links.get(target.id)?.classList.toggle("here", isIntersecting);
}, { rootMargin: "-15% 0px -80% 0px" });
document.querySelectorAll("section[id]").forEach((part) => reading.observe(part));
