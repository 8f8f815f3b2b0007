// What a reader can move in a curation report: thresholds of the filters' histograms, and the crossed table of the mix.
// Runs after charts.js, whose functions it uses.

// the value of a position, as a threshold; null outside of the edges
function thresholdAt(chart, at, isMaximum) {
  if (at < 1 || at > chart.edges.length) return null;
  return chart.edges[at - 1] - (chart.integer && isMaximum ? 1 : 0);
}

const within = (counts, low, high) => sum(counts.map((count, bin) => count * Math.max(0, Math.min(bin + 1, high) - Math.max(bin, low))));

function kept(chart, state, sources) {
  let passes = 0, stays = 0, readable = 0;
  for (const source of sources) {
    const [low, high] = limits(chart, state, source);
    passes += within(chart.every[source] || [], low, high);
    stays += within(chart.alone[source] || [], low, high);
    readable += sum(chart.every[source] || []) + (chart.unmeasured[source] || 0);
  }
  return { passes: Math.round(passes), stays: Math.round(stays), readable, rows: sum(sources.map((source) => chart.rows[source])) };
}

function showKept(form, chart, state) {
  const sources = shownSources(chart, state), now = kept(chart, state, sources), before = kept(chart, {}, sources);
  const insideBin = ["minimum", "maximum"].some((bound) => state[bound] !== undefined && state[bound] % 1 !== 0);
  const bold = (text) => Object.assign(document.createElement("b"), { textContent: text });
  const about = insideBin ? "about " : "", moved = state.minimum !== undefined || state.maximum !== undefined;
  const sign = now.stays < before.stays ? "−" : "+";
  form.querySelector(".live").replaceChildren(
    `Passes this rule: ${about}`, bold(percent(now.passes, now.readable)), ` (${number.format(now.passes)} of ${number.format(now.readable)} readable rows). `,
    `Passes every rule: ${about}`, bold(percent(now.stays, now.rows)), ` (${number.format(now.stays)} of ${number.format(now.rows)} rows in, before duplicates)`,
    moved ? `; with the recipe's thresholds ${percent(before.stays, before.rows)}, a difference of ${sign}${number.format(Math.abs(now.stays - before.stays))} rows.` : ".",
    insideBin ? " The value lies inside a bin, so these figures are approximate." : "",
  );
  form.elements.reset.disabled = !moved;
}

function showControls(form, chart, state) {
  const sources = shownSources(chart, state);
  const shared = (at) => {
    const positions = new Set(sources.map((each) => limits(chart, state, each)[at]));
    return positions.size === 1 ? [...positions][0] : limits(chart, state, sources[0])[at];
  };
  for (const [at, bound] of ["minimum", "maximum"].entries()) {
    const slider = form.elements[bound];
    if (!slider) continue;
    const moved = Math.min(shared(at), chart.edges.length + 1), exact = thresholdAt(chart, moved, at === 1);
    const shown = exact === null || chart.integer ? exact : +exact.toPrecision(7);  // the digits that float32 can tell apart
    slider.value = Math.round(moved);
    slider.setAttribute("aria-valuetext", shown === null ? "none" : String(shown));
    const input = form.elements[`${bound}-value`];
    if (document.activeElement !== input) input.value = shown === null ? "" : moved % 1 ? state[`${bound}-typed`] ?? "" : shown;
    input.placeholder = "none";
  }
}

function typedThreshold(chart, text, bound) {
  if (text === "") return bound === "minimum" ? 0 : chart.edges.length + 1;
  return position(chart, Number(text), bound === "maximum");
}

function connectSliders(form) {
  const box = document.querySelector(`[data-chart="${form.dataset.for}"]`), chart = contentOf(box), state = {};
  histogramStates.set(form.dataset.for, state);
  const update = () => { showControls(form, chart, state); showKept(form, chart, state); if (box.dataset.drawn) draw(box); };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    const field = event.target.name, bound = field.slice(0, 7);
    if (field === "minimum" || field === "maximum") state[field] = Number(event.target.value);
    else if (field.endsWith("-value")) {
      state[`${bound}-typed`] = event.target.value;
      state[bound] = typedThreshold(chart, event.target.value, bound);
    } else if (field === "source") state.source = event.target.selectedIndex ? event.target.value : "";
    else if (field === "log") state.log = event.target.checked;
    update();
  });
  form.elements.reset.addEventListener("click", () => { delete state.minimum; delete state.maximum; update(); });
  update();
}

// --- the crossed table: cells are [position on each dimension..., rows before, rows after]

function crossedCounts(cells, down, across) {
  const counts = new Map();
  for (const cell of cells) {
    const key = `${cell[down]}:${cell[across]}`, [before, after] = counts.get(key) || [0, 0];
    counts.set(key, [before + cell.at(-2), after + cell.at(-1)]);
  }
  return counts;
}

function crossedTable(counts, labels, titles, text, weight, most) {
  const element = (name, content) => Object.assign(document.createElement(name), { textContent: content });
  const table = element("table", ""), head = element("tr", "");
  table.className = "numbers full";
  head.append(element("th", ""), ...titles.map((title) => element("th", title)));
  table.append(element("thead", ""), element("tbody", ""));
  table.tHead.append(head);
  labels.forEach((label, i) => {
    const row = element("tr", ""), first = element("th", label);
    first.scope = "row";
    row.append(first, ...titles.map((_, j) => {
      const pair = counts.get(`${i}:${j}`), cell = element("td", pair ? text(pair) : "");
      cell.className = "heat";
      if (pair) cell.style.setProperty("--heat", (weight(pair) / most).toFixed(3));
      return cell;
    }));
    table.tBodies[0].append(row);
  });
  return table;
}

function connectCrossedTable(box) {
  const { dimensions, cells } = JSON.parse(box.dataset.mix), controls = document.getElementById("cross-controls");
  const [rows, columns, shown] = ["rows", "columns", "cells"].map((name) => controls.querySelector(`[name=${name}]`));
  const names = Object.keys(dimensions), total = sum(cells.map((cell) => cell.at(-1)));
  const update = () => {
    const counts = crossedCounts(cells, names.indexOf(rows.value), names.indexOf(columns.value)), mode = shown.selectedIndex;
    const weight = ([before, after]) => [before ? after / before : 0, after, before, after][mode];
    const text = ([before, after]) => [before ? percent(after, before) : "", percent(after, total), number.format(before), number.format(after)][mode];
    const most = mode === 0 ? 1 : Math.max(1, ...[...counts.values()].map(weight));
    box.replaceChildren(crossedTable(counts, dimensions[rows.value], dimensions[columns.value], text, weight, most));
  };
  controls.addEventListener("input", update);
  update();
}

document.querySelectorAll("form.sliders").forEach(connectSliders);
connectCrossedTable(document.getElementById("cross"));
