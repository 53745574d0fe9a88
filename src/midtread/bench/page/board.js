// The ranking, the lossless table and the table of all points. Any column sorts; a row opens to show the rest.

const sorting = { board: ["bd", 1], lossless: ["rate", 1] };
const opened = new Set();
const unrolled = new Set(); // tables that show all of their rows
const MOST_ROWS = 20;

function nameCell(name, under, open, toggle) {
  const text = h("span", {}, name);
  if (under) text.append(h("small", { class: "under" }, under));
  return h(
    "td",
    {},
    toggle
      ? h("button", { class: "name", type: "button", "aria-expanded": String(open), onclick: toggle }, swatch(name), text)
      : h("span", { class: "name" }, swatch(name), text),
  );
}

function speedCell(value, extra = "") {
  return h("td", { class: `number ${extra}` }, isNumber(value) ? speedText(value) : h("span", { class: "missing" }, "not timed"));
}

function bdCell(bd, low, high) {
  if (bd.why) return h("td", {}, h("span", { class: "missing", title: bd.why }, "no common range"));
  const at = (value) => `${(100 * (Math.max(low, Math.min(high, value)) - low)) / (high - low || 1)}%`;
  const from = Math.min(bd.percent, 0);
  const width = (100 * (Math.min(high, Math.max(bd.percent, 0)) - Math.max(low, from))) / (high - low || 1);
  return h(
    "td",
    { title: bd.isAnchor || !isNumber(bd.ofMeans) ? null : `of the mean curves ${signedPercent(bd.ofMeans)}` },
    h(
      "div",
      { class: "bd" },
      h(
        "span",
        { class: "track", "aria-hidden": bd.isAnchor ? null : "true" },
        bd.isAnchor ? h("span", { class: "tag", css: { right: `calc(100% - ${at(0)} + 6px)` } }, "anchor") : null,
        h("i", { class: bd.percent > 0 ? "worse" : "", css: { left: at(from), width: `${width}%` } }),
        h("u", { css: { left: at(0) } }),
      ),
      h("b", {}, bd.isAnchor ? "0 %" : signedPercent(bd.percent)),
    ),
  );
}

const overlapCell = (bd) =>
  h(
    "td",
    { class: `number hide-medium ${bd.overlap < 0.5 ? "weak" : ""}` },
    bd.isAnchor || bd.why ? "–" : `${fixed(100 * bd.overlap, 0)} %`,
  );

function boardColumns(low, high) {
  const text = (key) => (row) => h("td", { class: "hide-medium" }, row.series[key] || "–");
  const backend = ({ series }) => h("td", { class: "hide-medium backend", title: series.backend }, shortBackend(series.backend) || "–");
  const columns = [
    ["name", "Series", (row) => row.name, (row) => nameCell(row.name, summary(row), isOpen(byId("board"), row.name), () => toggleRow(row.name, byId("board"), drawBoard))],
    ["family", "Family", (row) => row.series.family, text("family"), "hide-medium"],
    ["chroma", "Chroma", (row) => row.series.chroma, text("chroma"), "hide-medium"],
    ["backend", "Backend", (row) => row.series.backend, backend, "hide-medium"],
    ["bd", "BD-rate", (row) => row.bd.percent, (row) => bdCell(row.bd, low, high)],
    ["overlap", "Overlap", (row) => row.bd.overlap, (row) => overlapCell(row.bd), "number hide-medium"],
    ["points", "Points", (row) => row.points, (row) => h("td", { class: "number hide-medium" }, row.points), "number hide-medium"],
    ...["encode", "decode"].map((way) => [way, [way === "encode" ? "Encode" : "Decode", speedUnit()], (row) => speedOf(row.point, way), (row) => speedCell(speedOf(row.point, way)), "number"]),
  ];
  if (isTensor()) columns.splice(2, 1); // no chroma
  const families = new Set(lossySeries().map((name) => SERIES.get(name).family));
  if (families.size < 2) columns.splice(1, 1); // one family: the bar of choices names it
  const networks = networkColumns();
  // they need room: what leaves is in the opened row, too
  const left = networks.length ? columns.filter(([key]) => !["backend", "points"].includes(key)) : columns;
  byId("board").classList.toggle("dense", networks.length > 0);
  return [...left, ...networks];
}

const summary = (row) => [isTensor() ? "" : row.series.chroma, shortBackend(row.series.backend)].filter(Boolean).join(" · ");

const rowKey = (table, name) => `${table.id} ${name}`;
const isOpen = (table, name) => opened.has(rowKey(table, name));

/** Open or close the row of a series in a table that `redraw` draws again. */
function toggleRow(name, table, redraw) {
  isOpen(table, name) ? opened.delete(rowKey(table, name)) : opened.add(rowKey(table, name));
  redraw();
  [...table.querySelectorAll("tr.line")].find((row) => row.dataset.name === name)?.querySelector(".name")?.focus({ preventScroll: true });
}

/** Missing values come last in either direction. */
function compare(a, b, direction) {
  const [left, right] = [a, b].map((value) => (value === undefined || value === null || Number.isNaN(value) ? null : value));
  if (left === null || right === null) return (left === null) - (right === null);
  if (typeof left === "string") return direction * left.localeCompare(right, "en", { numeric: true });
  return direction * (left - right);
}

/** A column title, its unit set apart. */
const headText = (label) =>
  Array.isArray(label) ? [h("span", {}, label[0]), " ", h("small", {}, label[1])] : h("span", {}, label);

/** Head and body of a sortable table; `columns` hold [key, label, value, cell, class, what it means]. */
function sortable(table, kind, columns, rows, redraw, afterRow = () => null) {
  const [chosen, direction] = sorting[kind];
  const value = (columns.find(([key]) => key === chosen) || columns[0])[2];
  rows.sort((a, b) => compare(value(a), value(b), direction));
  const focused = document.activeElement?.dataset?.sort;
  const head = columns.map(([key, label, , , style, meaning]) => {
    const sort = () => {
      const mostFirst = ["encode", "decode", "overlap", "points"].includes(key);
      sorting[kind] = [key, key === sorting[kind][0] ? -sorting[kind][1] : mostFirst ? -1 : 1];
      redraw();
    };
    const state_ = key === chosen ? (direction > 0 ? "ascending" : "descending") : null;
    const button = h("button", { type: "button", onclick: sort, "data-sort": `${kind}-${key}`, title: meaning }, headText(label));
    return h("th", { scope: "col", class: style, "aria-sort": state_ }, button);
  });
  const whole = rows.length <= MOST_ROWS + 4 || unrolled.has(kind);
  const body = (whole ? rows : rows.slice(0, MOST_ROWS)).map((row) => [
    h(
      "tr",
      {
        class: `line ${row.bd?.isAnchor ? "anchor" : ""}`,
        "data-name": row.name,
        onpointerenter: () => light(row.name),
        onpointerleave: () => light(null),
      },
      columns.map(([, , , cell]) => cell(row)),
    ),
    afterRow(row),
  ]);
  const unroll = h("button", { type: "button", class: "chip plain", onclick: () => (unrolled.add(kind), redraw()) }, `Show all ${rows.length}`);
  const foot = whole ? null : h("tfoot", {}, h("tr", {}, h("td", { colspan: columns.length }, unroll)));
  set(table, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body), foot);
  if (focused) table.querySelector(`[data-sort="${focused}"]`)?.focus({ preventScroll: true });
}

/** Everything known about a series, as a list of terms. */
function factList(row, more = []) {
  const { bd, point, series } = row;
  const quality = (value) => `${significant(value, 4)}${metric().unit ? ` ${metric().unit}` : ""}`;
  const facts = [
    ["Codec", `${series.codec}, ${series.family}`],
    ...(isTensor() ? [] : [["Chroma", series.chroma]]),
    ["Backend", series.backend],
    ...more,
    ["Points of the curve", bd.dropped ? `${row.points}, of which ${bd.dropped} not better than a smaller one and not used` : String(row.points)],
  ];
  if (bd.why) facts.push(["No BD-rate (a: the anchor, b: this series)", bd.why]);
  else if (!bd.isAnchor) {
    const mean = (value) => (isNumber(value) ? signedPercent(value) : "none");
    facts.push([isTensor() ? "BD-rate" : "BD-rate, mean over pictures", `${signedPercent(bd.percent)}, ${countOf(bd.pictures)}`]);
    facts.push(["BD-rate of the mean curves", `${mean(bd.ofMeans)} by PCHIP, ${mean(bd.akima)} by Akima`]);
    facts.push(["Compared over", `${quality(bd.low)} to ${quality(bd.high)}, overlap ${fixed(100 * bd.overlap, 0)} %`]);
  }
  if (point) {
    const both = (clock) => `${speedText(speedOf(point, "encode", clock))} / ${speedText(speedOf(point, "decode", clock))} ${speedUnit()}`;
    facts.push(["Timed at", `${point.setting}, ${significant(point.rate_bpp)} ${rateUnit()}, ${countOf(point.timed)}, ${point.repeats} repeats, threads: ${point.threads}`]);
    facts.push(["Encode / decode, in memory", both("")]);
    facts.push(["Encode / decode, file to file", both("_file")]);
    facts.push(["Peak memory, encode / decode", `${bytesText(point.encode_peak_bytes)} / ${bytesText(point.decode_peak_bytes)}`]);
  } else facts.push(["Speed", "not timed"]);
  return terms([...facts, ...stageFacts(row.name), ...networkFacts(series)]);
}

const terms = (facts) => h("dl", {}, facts.map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text || "–"))));

const detailRow = (row, span, more) => h("tr", {}, h("td", { class: "details", colspan: span }, factList(row, more)));

/** How many points of each series have the chosen metric. */
function pointCounts() {
  const counted = new Map();
  for (const point of group().points) {
    if (point.y[state.metric]) counted.set(point.series, (counted.get(point.series) || 0) + 1);
  }
  return counted;
}

/** A series with what its row in a table needs. */
const rowOf = (name, counted) => ({ name, series: SERIES.get(name), bd: bdRate(name), point: timedPoint(name), points: counted.get(name) || 0 });

function drawBoard() {
  const lossy = group().points.length > 0;
  byId("board").hidden = byId("ranking-note").hidden = byId("curves").hidden = !lossy;
  if (!lossy) return;
  const counted = pointCounts();
  const rows = rankedSeries().map((name) => rowOf(name, counted));
  const left = lossySeries().length - rows.length;
  const percents = rows.map((row) => row.bd.percent).filter(isNumber);
  const columns = boardColumns(Math.max(-100, Math.min(0, ...percents)), Math.min(100, Math.max(0, ...percents)));
  sortable(byId("board"), "board", columns, rows, drawBoard, (row) => isOpen(byId("board"), row.name) && detailRow(row, columns.length));
  set(
    byId("ranking-note"),
    `File size against ${state.anchor} at equal ${metric().label}: negative is smaller. Speeds are for the setting nearest ` +
      `${typicalText()}. Select a series for everything known about it.` +
      (left ? ` Of the grid, only the smallest for each value of its first stage is here; ${left} more are in the grid.` : ""),
  );
}

function drawLossless() {
  const rows = group().lossless.filter((row) => inFamily(row.series)).map((row) => ({ ...row, name: row.series }));
  byId("lossless").hidden = !rows.length;
  const png = rows.some((row) => isNumber(row.percent_of_png));
  const size = (row) => h("td", { class: "number" }, isNumber(row.percent_of_png) ? signedPercent(row.percent_of_png - 100) : "–");
  const columns = [
    ["name", "Series", (row) => row.name, (row) => nameCell(row.name, null)],
    ["setting", "Setting", (row) => row.setting, (row) => h("td", { class: "hide-small" }, row.setting || "–"), "hide-small"],
    ["rate", ["Rate", rateUnit()], (row) => row.rate_bpp, (row) => h("td", { class: "number" }, fixed(row.rate_bpp, 2)), "number"],
    ["ratio", "Ratio", (row) => row.ratio, (row) => h("td", { class: "number" }, significant(row.ratio)), "number"],
    ["png", ["Size", "vs PNG"], (row) => row.percent_of_png, size, "number"],
    ...["encode", "decode"].map((way) => [way, [way === "encode" ? "Encode" : "Decode", speedUnit()], (row) => speedOf(row, way), (row) => speedCell(speedOf(row, way)), "number"]),
  ];
  const without = [png ? "" : "png", isTensor() ? "" : "ratio"];
  sortable(byId("lossless-board"), "lossless", columns.filter(([key]) => !without.includes(key)), rows, drawLossless);
  set(
    byId("lossless-note"),
    `Every ${isTensor() ? "value" : "picture"} came back bit for bit. ` + (png ? "PNG is the smallest of the PNG settings on the same pictures." : ""),
  );
}

function drawPoints() {
  if (!byId("points-details").open) return;
  const label = metric().label + (metric().decibels ? "" : metric().unit && `, ${metric().unit}`);
  const ideal = group().points.some((point) => isNumber(point.ideal_bpp)) ? ["Ideal bpp"] : [];
  const head = ["Series", "Setting", rateUnit(), ...ideal, label, "Quartiles as drawn", `Encode ${speedUnit()}`, `Decode ${speedUnit()}`];
  const rows = group().points.filter((point) => inFamily(point.series));
  const cells = (point) => {
    const drawn = point.y[state.metric];
    const spread = drawn ? `${significant(drawn[1], 4)} to ${significant(drawn[2], 4)}` : "–";
    const texts = [point.series, point.setting, significant(point.rate_bpp, 4), ...ideal.map(() => significant(point.ideal_bpp, 4))];
    texts.push(qualityText(state.metric, point.q[state.metric]));
    return [...texts, spread, speedText(speedOf(point, "encode")), speedText(speedOf(point, "decode"))].map((text) => h("td", {}, text));
  };
  set(
    byId("points-board"),
    h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map((point) => h("tr", {}, cells(point)))),
  );
}

byId("points-details").addEventListener("toggle", drawPoints);
onChange(drawBoard);
onChange(drawLossless);
onChange(drawPoints);
