// Curves with error bars, drawn with what the training report's script has: line, css, plain, faded, COLOURS.
function figureTraces(figure) {
  return figure.lines.flatMap((each, i) => {
    const colour = COLOURS[i % COLOURS.length], scale = figure.percent ? 100 : 1, scaled = (values) => values.map((value) => scale * value);
    const words = typeof each.x[0] === "string";
    const main = line(each.name || figure.name, each.x, scaled(each.y), colour, {
      mode: figure.arms && words ? "markers" : "lines+markers", marker: { size: 7, color: colour }, line: { color: colour, width: 1.8 },
      customdata: each.questions, error_y: { type: "data", array: scaled(each.error), color: colour, thickness: 1.4, width: 4 },
      hovertemplate: "%{y:.4~g} ± %{error_y.array:.2~g}, %{customdata} questions<extra>" + plain(each.name) + "</extra>" });
    const seeds = { type: "scatter", mode: "markers", x: each.seeds.flatMap((values, at) => values.map(() => each.x[at])), y: scaled(each.seeds.flat()),
      marker: { symbol: "line-ew-open", size: 9, color: faded(colour, 0.55), line: { width: 1.2, color: faded(colour, 0.55) } }, showlegend: false, hoverinfo: "skip" };
    return [main, seeds];
  });
}

function drawFigure(box) {
  const figure = data.figures[Number(box.dataset.figure)], legend = figure.lines.length > 1;
  const axis = { gridcolor: css("--line"), linecolor: css("--line"), zeroline: false, automargin: true, fixedrange: true };
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("--soft") };
  const words = figure.lines.some((each) => typeof each.x[0] === "string");
  const places = [...new Set(figure.lines.flatMap((each) => each.x))];
  const numbers = words ? { type: "category" } : figure.cost ? { type: "log", dtick: "D2" } : { type: "log", tickvals: places, ticktext: places.map(String) };
  box.dataset.drawn = "yes";
  Plotly.react(box, figureTraces(figure), {
    font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", showlegend: legend,
    hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { ...font, color: css("--ink") } },
    margin: { l: 56, r: 14, t: legend ? 30 : 10, b: 44 }, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { ...font, size: 11 } },
    xaxis: { ...axis, ...numbers, title: figure.cost ? { text: "GFLOP per trained sample" } : undefined },
    yaxis: { ...axis, nticks: 6, rangemode: figure.measure === "loss" ? "normal" : "tozero", title: { text: figure.name } },
  }, { displayModeBar: false, responsive: true });
}

const figureBoxes = [...document.querySelectorAll("[data-figure]")];
const figureWatcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) { figureWatcher.unobserve(target); drawFigure(target); }
}, { rootMargin: "600px" });
figureBoxes.forEach((box) => figureWatcher.observe(box));
addEventListener("beforeprint", () => figureBoxes.forEach(drawFigure));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => figureBoxes.filter((box) => box.dataset.drawn).forEach(drawFigure));
