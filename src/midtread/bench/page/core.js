// What every other script uses: the data, the chosen state, elements without innerHTML, and how numbers are written.

const DATA = JSON.parse(document.getElementById("data").textContent);
const PICTURES = JSON.parse(document.getElementById("picture-data").textContent);
const SERIES = new Map(DATA.series.map((one) => [one.name, one]));
const METRICS = new Map(DATA.metrics.map((one) => [one.name, one]));

const state = {
  metric: DATA.metrics[0].name,
  anchor: DATA.anchor,
  group: 0, // index into DATA.groups: one dataset on one machine
  family: "", // all
  hidden: new Set(), // series switched off in the legend
  folded: new Set(DATA.folded), // combinations that only the grid shows at first
  lit: null, // series under the pointer
};

const listeners = [];
const onChange = (draw) => listeners.push(draw);

/** Change the state and redraw what depends on it. */
function update(changes) {
  Object.assign(state, changes);
  listeners.forEach((draw) => draw());
}

/** Light up one series everywhere (null: none), without a redraw. */
function light(name) {
  if (state.lit === name) return;
  state.lit = name;
  for (const node of document.querySelectorAll("[data-series]")) {
    node.classList.toggle("dim", name !== null && node.dataset.series !== name);
  }
}

const isTensor = () => group().signal === "tensor";
const rateUnit = () => (isTensor() ? "bits/value" : "bpp");
const speedUnit = () => (isTensor() ? "GB/s" : "MPx/s");
const countOf = (number) => `${number} ${isTensor() ? "field" : "picture"}${number === 1 ? "" : "s"}`;

/** Speed of a point: `way` is encode or decode, `clock` "" (in memory) or "_file"; in `speedUnit()`. */
const speedOf = (point, way, clock = "") => point?.[`${way}${clock}_mpx_s`] ?? point?.[`${way}${clock}_gb_s`];

/** What the setting is nearest to that speeds are given for. */
const typicalText = () => (isTensor() ? `a bound of ${DATA.typical_bound} of the range` : `${DATA.typical_bpp} bpp`);

const byId = (id) => document.getElementById(id);
const group = () => DATA.groups[state.group];
const metric = () => METRICS.get(state.metric);
const inFamily = (name) => !state.family || SERIES.get(name).family === state.family;
const shown = (name) => inFamily(name) && !state.hidden.has(name) && !state.folded.has(name);

/** Lossy series of this group, in the order of the plan. */
function lossySeries() {
  const here = new Set(group().points.map((point) => point.series));
  return DATA.lossy.filter((name) => here.has(name) && inFamily(name));
}

/** The same without the combinations that only the grid shows. */
const rankedSeries = () => lossySeries().filter((name) => !state.folded.has(name));

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "css") Object.entries(value).forEach(([key, one]) => node.style.setProperty(key, one));
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element. Strings become text, so that no name from a file is ever read as markup. */
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
const g = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const set = (node, ...children) => node.replaceChildren(...children.flat(3).filter((child) => child || child === 0));

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A number with `digits` significant digits, never in exponents, with a real minus sign. */
function significant(value, digits = 3) {
  if (!isNumber(value)) return "–";
  const places = value === 0 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(places, 6)).replace("-", "−");
}

/** The same with an exponent where there would be many zeros: errors relative to something. */
function scientific(value, digits = 3) {
  if (!isNumber(value) || value === 0 || Math.abs(value) >= 1e-3) return significant(value, digits);
  const [number, exponent] = value.toExponential(digits - 1).split("e");
  return `${number}e−${exponent.replace("-", "")}`;
}

const fixed = (value, places) => (isNumber(value) ? value.toFixed(places).replace("-", "−") : "–");

function signedPercent(value, places = 1) {
  const rounded = Number(value.toFixed(places));
  return (rounded > 0 ? "+" : "") + fixed(rounded === 0 ? 0 : rounded, places) + " %";
}

const speedText = (value) => (isNumber(value) ? significant(value, value >= 100 ? 3 : 2) : "not timed");

function bytesText(value) {
  if (!isNumber(value)) return "–";
  if (value < 1000) return `${value} bytes`;
  return value < 1e6 ? `${significant(value / 1e3)} kB` : `${significant(value / 1e6)} MB`;
}

/** A value of a metric as it was measured, with its unit where that is also the unit drawn. */
function qualityText(name, value, withUnit = true) {
  if (!isNumber(value)) return "–";
  const one = METRICS.get(name);
  const text = Number.isInteger(value) && one && one.unit !== "dB" && value > 1 ? String(value) : Math.abs(value) >= 10 ? fixed(value, 2) : one && one.decibels && one.better === "higher" ? fixed(value, 4) : scientific(value, 3);
  return withUnit && one && one.unit && !one.decibels ? `${text} ${one.unit}` : text;
}

/** BD-rate of a series against the chosen anchor: {percent, low, high, overlap, used, dropped, pictures, ofMeans, akima} or {why}. */
function bdRate(name, anchor = state.anchor) {
  if (name === anchor) return { percent: 0, isAnchor: true };
  const table = group().bd[state.metric];
  const row = table[anchor];
  if (!row) return { why: "the anchor has no curve here" };
  const found = row[name];
  if (!Array.isArray(found)) return { why: found || "no curve for this metric" };
  const [percent, low, high, overlap, used, dropped, pictures, ofMeans, akima] = found;
  return { percent, low, high, overlap, used, dropped, pictures, ofMeans, akima };
}

/** The timed point whose speeds stand for a series, or null. */
function timedPoint(name) {
  const index = group().speed[name];
  return index === undefined ? null : group().points[index];
}

/** "libavif 1.4.2, libaom 3.14.1" of a longer account of what does the work; the details of a row have all of it. */
const shortBackend = (text) => (text || "").split(/\s*[(;]/)[0];

/** Call `draw` now and whenever the width of `node` changes. */
function onResize(node, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(node.clientWidth - width) > 1) {
      width = node.clientWidth;
      draw();
    }
  }).observe(node);
}

/** A row of buttons of which one is pressed. `options`: [[value, label], ...]. */
function segments(node, label, options, value, choose) {
  node.setAttribute("role", "group");
  node.setAttribute("aria-label", label);
  const press = (chosen) =>
    [...node.children].forEach((button, i) => button.setAttribute("aria-pressed", String(options[i][0] === chosen)));
  set(
    node,
    options.map(([one, text]) =>
      h("button", { type: "button", onclick: () => (press(one), choose(one)) }, text),
    ),
  );
  press(value);
  return press;
}

byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
