// Rate against quality: one curve per series, direct labels at its end, a legend that switches series on and off.

const curveView = { limit: 2, log: true, band: false };

/** Points of a series that have the chosen metric, by rate. */
function curveOf(name) {
  const points = group().points.filter((point) => point.series === name && point.y[state.metric]);
  return points.sort((a, b) => a.rate_bpp - b.rate_bpp);
}

/** Value on the straight line between two points where the curve leaves the chart. */
function crossing(a, b, rate, log) {
  const [from, to, at] = [a.rate_bpp, b.rate_bpp, rate].map((value) => (log ? Math.log(value) : value));
  const share = (at - from) / (to - from || 1);
  return a.y[state.metric][0] + share * (b.y[state.metric][0] - a.y[state.metric][0]);
}

function pointLines(point) {
  const [, q1, q3] = point.y[state.metric];
  const one = metric();
  const drawn = one.decibels ? ` (${significant(point.y[state.metric][0], 4)} dB)` : "";
  const pictures = isTensor() ? `ratio ${significant(point.ratio)}` : `mean of ${countOf(point.pictures)}`;
  return [
    `${point.setting}, ${pictures}`,
    [h("b", {}, `${significant(point.rate_bpp)} ${rateUnit()}`), ` · ${one.label} `, h("b", {}, qualityText(one.name, point.q[one.name])), drawn],
    !isTensor() && isNumber(q1) && isNumber(q3) ? `quartiles ${significant(q1, 4)} to ${significant(q3, 4)}${one.unit ? ` ${one.unit}` : ""}` : null,
    isNumber(speedOf(point, "encode")) ? `encode ${speedText(speedOf(point, "encode"))}, decode ${speedText(speedOf(point, "decode"))} ${speedUnit()}` : null,
  ];
}

function curveScales(curves, frame) {
  const inside = curves.flatMap((curve) => curve.inside);
  const values = inside.map((point) => point.y[state.metric][0]).concat(curves.filter((one) => one.end).map((one) => one.end.value));
  const rates = inside.map((point) => point.rate_bpp);
  const highest = Math.min(curveView.limit, Math.max(...rates, ...curves.filter((one) => one.end?.cut).map(() => curveView.limit)));
  const [low, high] = [Math.min(...rates), highest];
  const cut = curves.some((one) => one.end.cut);
  const pad = 0.05 * (Math.max(...values) - Math.min(...values) || 1);
  const ends = [Math.min(...values) - pad, Math.max(...values) + pad];
  const upward = metric().drawn_better === "higher";
  const y = linear(ends[0], ends[1], upward ? frame.bottom : frame.top, upward ? frame.top : frame.bottom);
  const most = Math.floor((frame.right - frame.left) / 62);
  if (curveView.log) {
    const [from, to] = [low / 1.08, cut ? high : high * 1.02];
    return { x: logarithmic(from, to, frame.left, frame.right), y, xs: logTicks(from, to, most), ys: ticks(ends[0], ends[1], 7) };
  }
  return { x: linear(0, cut ? high : high * 1.02, frame.left, frame.right), y, xs: ticks(0, high, Math.min(10, most)), ys: ticks(ends[0], ends[1], 7) };
}

function drawCurves() {
  const figure = byId("curves-chart");
  const limit = curveView.limit;
  const curves = lossySeries().filter(shown).map((name) => {
    const all = curveOf(name);
    const inside = all.filter((point) => point.rate_bpp <= limit);
    const next = all.find((point) => point.rate_bpp > limit);
    const last = inside[inside.length - 1];
    const end = last && { rate: last.rate_bpp, value: last.y[state.metric][0], cut: false };
    return { name, all, inside, end: next && last ? { rate: limit, value: crossing(last, next, limit, curveView.log), cut: true } : end };
  }).filter((curve) => curve.inside.length);
  drawLegend();
  curvesNote();
  if (!curves.length) {
    return set(figure, h("p", { class: "empty" }, "No curve to draw: every series is switched off, or none has this metric."));
  }
  const roomy = figure.clientWidth >= 700;
  const height = roomy ? 500 : 380;
  const { svg, width } = canvas(figure, height, `${metric().label} against ${rateUnit()}; arrow keys walk along the points`);
  const margin = roomy ? Math.max(...curves.map((curve) => textWidth(shortName(curve.name)))) + 46 : 10;
  const frame = { left: 46, right: width - margin, top: 30, bottom: height - 44, width, height };
  const { x, y, xs, ys } = curveScales(curves, frame);
  const inverted = metric().drawn_better === "lower" ? ", axis upside down: up is better" : "";
  const unit = metric().unit ? `, ${metric().unit}` : "";
  svg.append(axes(frame, x, y, xs, ys, `${isTensor() ? "bits per value" : "bits per pixel"}${curveView.log ? " (log)" : ""}`, `${metric().label}${unit}${inverted}`));
  const clip = g("clipPath", { id: "inside-curves" }, g("rect", { x: frame.left, y: frame.top - 8, width: frame.right - frame.left + (curves.some((curve) => curve.end.cut) ? 0 : 8), height: frame.bottom - frame.top + 8 }));
  svg.append(g("defs", {}, clip));
  const dots = [];
  for (const curve of curves) {
    const at = (point) => [x(point.rate_bpp), y(point.y[state.metric][0])];
    const part = g("g", { class: `series ${look(curve.name)}`, "data-series": curve.name, "clip-path": "url(#inside-curves)" });
    if (curveView.band) part.append(band(curve.all, x, y));
    const path = curve.all.map((point) => at(point).map((one) => one.toFixed(1)).join(",")).join("L");
    part.append(g("path", { class: "curve", d: `M${path}` }));
    for (const point of curve.inside) {
      const [px, py] = at(point);
      part.append(marker(curve.name, px, py));
      dots.push({ name: curve.name, x: px, y: py, lines: () => pointLines(point) });
    }
    svg.append(part);
  }
  if (roomy) endLabels(svg, curves, x, y, frame);
  makeLive(svg, dots, frame);
}

function band(points, x, y) {
  const known = points.filter((point) => point.y[state.metric].every(isNumber));
  const side = (index) => known.map((point) => `${x(point.rate_bpp).toFixed(1)},${y(point.y[state.metric][index]).toFixed(1)}`);
  return g("path", { class: "band", d: known.length ? `M${[...side(1), ...side(2).reverse()].join("L")}z` : "" });
}

function endLabels(svg, curves, x, y, frame) {
  const labels = curves.map((curve) => ({ name: curve.name, x: x(curve.end.rate), y: y(curve.end.value) }));
  for (const label of spread(labels, 16, frame.top, frame.bottom)) {
    const part = g("g", { class: `series ${look(label.name)}`, "data-series": label.name, "aria-hidden": "true" });
    const [from, to] = [Math.max(label.x + 7, frame.right + 2), frame.right + 22];
    if (label.x < frame.right - 8) part.append(g("path", { class: "lead dots", d: `M${label.x + 7},${label.y}L${from},${label.y}` }));
    part.append(g("path", { class: "lead", d: `M${from},${label.y}C${from + 12},${label.y} ${to - 12},${label.at} ${to},${label.at}` }));
    part.append(marker(label.name, to + 6, label.at, 3.6), g("text", { class: "label", x: to + 15, y: label.at + 4 }, shortName(label.name)));
    svg.append(part);
  }
}

function drawLegend() {
  const all = lossySeries();
  const names = rankedSeries();
  const focused = document.activeElement?.dataset?.chip;
  const toggle = (name) => {
    const hidden = new Set(state.hidden);
    hidden.has(name) ? hidden.delete(name) : hidden.add(name);
    update({ hidden });
  };
  const chips = names.map((name) =>
    h(
      "button",
      {
        type: "button", class: "chip", "data-chip": name, "aria-pressed": String(!state.hidden.has(name)),
        onclick: () => toggle(name), onpointerenter: () => shown(name) && light(name), onpointerleave: () => light(null),
      },
      swatch(name),
      name,
    ),
  );
  const every = h("button", { type: "button", class: "chip plain", "data-chip": " all", onclick: () => update({ hidden: new Set(), folded: new Set() }) }, names.length < all.length ? `All ${all.length}` : "All");
  const none = h("button", { type: "button", class: "chip plain", "data-chip": " none", onclick: () => update({ hidden: new Set(names) }) }, "None");
  set(byId("legend"), chips, names.length > 2 ? [every, none] : null);
  if (focused) [...byId("legend").children].find((chip) => chip.dataset.chip === focused)?.focus({ preventScroll: true });
}

function curvesNote() {
  const better = metric().drawn_better === "higher" ? "Higher" : "Lower";
  set(
    byId("curves-note"),
    (isTensor()
      ? `Each point is one bound of a codec on ${group().dataset}. `
      : `Each point is one setting of a codec: mean rate and mean of the per-picture values over ${countOf(group().pictures)}. `) +
      `${better} is better, and up and to the left is better in the chart.`,
  );
}

/** Offer "up to 2 bpp" only where something lies beyond it and something within. */
function curveControls() {
  const rates = group().points.map((point) => point.rate_bpp);
  const cut = !isTensor() && rates.some((rate) => rate > 2) && rates.some((rate) => rate <= 2);
  byId("curves-range").hidden = !cut;
  byId("curves-band").parentElement.hidden = isTensor();
  if (!cut) curveView.limit = Infinity;
}

onChange(() => (curveControls(), drawCurves()));
segments(byId("curves-range"), "Range of rates", [[2, "Up to 2 bpp"], [Infinity, "All rates"]], 2, (limit) => ((curveView.limit = limit), drawCurves()));
segments(byId("curves-scale"), "Scale of the rate", [[true, "Log rate"], [false, "Linear"]], true, (log) => ((curveView.log = log), drawCurves()));
byId("curves-band").addEventListener("change", (event) => ((curveView.band = event.target.checked), drawCurves()));
