// The grid: two stages of a codec against each other as a shaded table, one combination in numbers, and all of them.

const gridView = { number: 0, rows: "", columns: "", fixed: {}, measure: "bd", picked: null };
sorting.grid = ["rate", 1];

const signedOrDash = (value, places) => (isNumber(value) ? signedPercent(value, places) : "–");

/** What a cell can show. `lower`: less is better. */
const MEASURES = new Map([
  ["bd", { label: "BD-rate", value: (row) => row.bd.percent, text: signedOrDash, lower: true }],
  ["rate", { label: "Rate, bpp", value: (row) => row.rate, text: (value) => significant(value), lower: true }],
  ["coder", { label: "Coder’s share", value: (row) => row.coder, text: signedOrDash, lower: true }],
  ["model", { label: "Model’s share", value: (row) => row.model, text: signedOrDash, lower: true }],
  ["encode", { label: "Encode, MPx/s", value: (row) => row.point?.encode_mpx_s, text: speedText, lower: false }],
  ["decode", { label: "Decode, MPx/s", value: (row) => row.point?.decode_mpx_s, text: speedText, lower: false }],
]);

const gridTable = () => group().grids[gridView.number];

/** The quality at which rates of the grid are compared, as text. */
function gridQuality() {
  const quality = gridTable().by[state.metric]?.quality;
  return isNumber(quality) ? `${metric().label} ${significant(quality, 4).replace(/\.0+$/, "")}${metric().unit ? `\u00a0${metric().unit}` : ""}` : "";
}

/** Every measured combination with its place on the axes and its numbers at the compared quality. */
function gridRows() {
  const counted = pointCounts();
  const cells = gridTable().by[state.metric]?.cells || [];
  const rows = gridTable().rows.map(({ series, at }, i) => {
    const [rate, ideal, coder, model] = cells[i] || [];
    return { ...rowOf(series, counted), at, rate, ideal, coder, model };
  });
  return rows.filter((row) => inFamily(row.name));
}

/** Smallest files first: by the rate at the compared quality, else by BD-rate. */
const bySize = (a, b) => compare(a.rate, b.rate, 1) || compare(a.bd.percent, b.bd.percent, 1);

/** The chosen axes, or the last two with several values; [row, column], -1 for none. */
function gridAxes() {
  const { axes } = gridTable();
  const names = axes.map(([name]) => name);
  const several = names.filter((_, k) => axes[k][1].length > 1);
  const free = several.length > 1 ? several : names;
  const columns = names.includes(gridView.columns) ? gridView.columns : free[free.length - 1];
  const left = free.filter((name) => name !== columns);
  const rows = names.includes(gridView.rows) && gridView.rows !== columns ? gridView.rows : left[left.length - 1];
  return [names.indexOf(columns === undefined ? "" : rows), names.indexOf(columns)];
}

/**
 * On every axis the value that is fixed beside the table, or null for any. Where nothing was chosen, the stages with which
 * most of the table was measured: an unfinished grid must not compare a coder after one quantizer with one after another.
 */
function gridFixed(rows, axes) {
  const others = (at) => at.map((value, k) => (axes.includes(k) ? null : value));
  const filled = new Map();
  for (const { at } of [...rows].sort(bySize)) filled.set(String(others(at)), (filled.get(String(others(at))) || 0) + 1);
  const most = Math.max(...filled.values());
  const usual = others([...rows].sort(bySize).find(({ at }) => filled.get(String(others(at))) === most).at);
  const chosen = (name, k) => (name in gridView.fixed ? gridView.fixed[name] : usual[k]);
  return gridTable().axes.map(([name, values], k) => (axes.includes(k) || !(chosen(name, k) in values) ? null : chosen(name, k)));
}

const isWanted = (at, fixed_) => fixed_.every((value, k) => value === null || at[k] === value);

function gridControls(rows, [row, column], fixed_) {
  const { axes } = gridTable();
  const choose = (changes) => (Object.assign(gridView, changes), drawGrid());
  const several = axes.filter(([, values]) => values.length > 1).map(([name]) => [name, name]);
  const measures = [...MEASURES].filter(([, one]) => rows.some((each) => isNumber(one.value(each)))).map(([key, one]) => [key, one.label]);
  if (measures.length && !measures.some(([key]) => key === gridView.measure)) gridView.measure = measures[0][0];
  const [down, across] = [row, column].map((k) => axes[k]?.[0]);
  const stages = axes.map(([name, values], k) => {
    if (k === row || k === column || values.length < 2) return null;
    const options = [["", "smallest"], ...values.map((value, i) => [String(i), String(value)])];
    const pick = (one) => choose({ fixed: { ...gridView.fixed, [name]: one === "" ? null : Number(one) } });
    return field(name, options, fixed_[k] === null ? "" : String(fixed_[k]), pick);
  });
  const focused = document.activeElement?.closest("#grid-controls .field");
  const position = focused ? [...byId("grid-controls").children].indexOf(focused) : -1;
  set(
    byId("grid-controls"),
    group().grids.length > 1 && field("Grid", group().grids.map((one, i) => [String(i), one.codec]), String(gridView.number), (one) => choose({ number: Number(one), picked: null })),
    field("Shown", measures, gridView.measure, (one) => choose({ measure: one }), true),
    several.length > 1 && field("Rows", several, down, (one) => choose({ rows: one, columns: one === across ? down : across })),
    several.length > 1 && field("Columns", several, across, (one) => choose({ columns: one, rows: one === down ? across : down })),
    stages,
  );
  if (position >= 0) byId("grid-controls").children[position]?.querySelector("select")?.focus({ preventScroll: true });
}

/** Shade from the best over the median, without shade, to the worst: one outlier does not make all others alike. */
function shades(values, lower) {
  const sorted = [...values].sort((a, b) => (lower ? a - b : b - a));
  const [best, median, worst] = [sorted[0], sorted[(sorted.length - 1) >> 1], sorted[sorted.length - 1]];
  const middle = median === best || median === worst ? (best + worst) / 2 : median;
  return (value) => {
    const good = lower ? value <= middle : value >= middle;
    const part = Math.abs(value - middle) / (Math.abs((good ? best : worst) - middle) || 1);
    return { class: good ? "good" : "poor", css: { "--part": `${Math.round(85 * part)}%` } };
  };
}

function drawHeat(rows, [row, column], fixed_) {
  const { axes, codec } = gridTable();
  const [down, across] = [row, column].map((k) => axes[k] || ["", [""]]);
  const { value, text, lower, label } = MEASURES.get(gridView.measure);
  const wanted = rows.filter((one) => isWanted(one.at, fixed_));
  const place = (at, i, j) => (row < 0 || at[row] === i) && (column < 0 || at[column] === j);
  const cells = down[1].map((_, i) => across[1].map((__, j) => wanted.filter((one) => place(one.at, i, j)).sort(bySize)[0]));
  const shade = shades(cells.flat().map((one) => one && value(one)).filter(isNumber), lower);
  const refused = DATA.refused.filter((one) => one.codec === codec).map((one) => ({ ...one, at: axes.map(([name, values]) => values.indexOf(one.at[name])) }));
  const empty = (i, j) => {
    const found = refused.find((one) => place(one.at, i, j) && isWanted(one.at, fixed_));
    return h("span", { class: "missing", title: found?.why }, found ? "refused" : "–");
  };
  const cell = (one, i, j) => {
    if (!one) return h("td", {}, empty(i, j));
    const known = isNumber(value(one));
    const look_ = known ? shade(value(one)) : {};
    const pick = () => ((gridView.picked = one.name), drawGrid());
    const name = `${one.name}: ${label} ${known ? text(value(one)) : "none"}`;
    return h("td", {}, h("button", { type: "button", ...look_, "aria-pressed": String(one.name === gridView.picked), "aria-label": name, title: one.name, "data-cell": `${i} ${j}`, onclick: pick }, known ? text(value(one)) : "–"));
  };
  const focused = document.activeElement?.dataset?.cell;
  set(
    byId("heat"),
    h("caption", {}, `${label}${gridView.measure === "rate" ? ` at ${gridQuality()}` : gridView.measure === "bd" ? ` against ${state.anchor}` : ""}`),
    h("thead", {}, h("tr", {}, h("td", {}, [down[0], across[0]].filter(Boolean).join(" ╲ ")), across[1].map((one) => h("th", { scope: "col" }, String(one))))),
    h("tbody", {}, cells.map((line, i) => h("tr", {}, h("th", { scope: "row" }, String(down[1][i])), line.map((one, j) => cell(one, i, j))))),
  );
  if (focused) byId("heat").querySelector(`[data-cell="${focused}"]`)?.focus({ preventScroll: true });
}

/** The rate of a combination, taken apart. */
function shareFacts(row, told) {
  const where = gridQuality();
  const share = (value, whose) => (isNumber(value) ? `${signedPercent(value, 2)} ${whose}` : "not known");
  const rate = [`Rate at ${where}`, isNumber(row.rate) ? `${significant(row.rate, 4)} bpp` : "its curve does not reach this quality"];
  if (!told) return [rate];
  return [
    rate,
    ["Ideal code length there", isNumber(row.ideal) ? `${significant(row.ideal, 4)} bpp` : "not known"],
    ["Coder’s share", share(row.coder, "of the ideal code length")],
    ["Model’s share", share(row.model, "over the best model")],
  ];
}

/** A bar of what a file holds: the code length under the best model, the model's and the coder's additions. */
function shareBar(row) {
  if (!isNumber(row.ideal)) return null;
  const best = isNumber(row.model) ? row.ideal / (1 + row.model / 100) : row.ideal;
  // a coder that does not follow the model may write less than its ideal code length
  const parts = [["best model", best], ["model", row.ideal - best], ["coder", row.rate - row.ideal]].filter(([, bpp]) => bpp !== 0);
  const bar = parts.filter(([, bpp]) => bpp > 0).map(([, bpp]) => h("i", { css: { "flex-grow": (bpp / row.rate).toFixed(4), "flex-basis": "0" } }));
  const text = parts.map(([name, bpp], i) => `${i ? (bpp < 0 ? " − " : " + ") : ""}${name} ${significant(Math.abs(bpp))}`).join("");
  return h("div", { class: `h${row.series.hue}` }, h("div", { class: "stack", "aria-hidden": "true" }, bar), h("small", {}, `${text} = ${significant(row.rate)} bpp`));
}

function drawPicked(row, least, told) {
  const { bd, point } = row;
  const title = h("strong", { class: "name" }, swatch(row.name), h("span", {}, row.name, least && h("small", {}, "the smallest files of the grid")));
  const size = bd.isAnchor ? "the anchor" : isNumber(bd.percent) ? `${signedPercent(bd.percent)} against ${state.anchor}` : bd.why;
  const speed = point ? `${speedText(point.encode_mpx_s)} / ${speedText(point.decode_mpx_s)} MPx/s` : "not timed";
  set(byId("picked"), title, shareBar(row), terms([...shareFacts(row, told), ["BD-rate", size], ["Encode / decode", speed]]));
}

function drawGridBoard(rows, told) {
  const number = (key) => (row) => h("td", { class: "number" }, MEASURES.get(key).text(MEASURES.get(key).value(row)));
  const table = byId("grid-board");
  const columns = [
    ["name", "Combination", (row) => row.name, (row) => nameCell(row.name, null, isOpen(table, row.name), () => toggleRow(row.name, table, drawGrid))],
    ["bd", "BD-rate", (row) => row.bd.percent, (row) => h("td", { class: "number hide-small", title: row.bd.why }, row.bd.isAnchor ? "anchor" : signedOrDash(row.bd.percent)), "number hide-small"],
    ["rate", ["Rate", "bpp"], (row) => row.rate, number("rate"), "number"],
    ["ideal", ["Ideal", "bpp"], (row) => row.ideal, (row) => h("td", { class: "number hide-medium" }, significant(row.ideal)), "number hide-medium"],
    ["coder", "Coder", (row) => row.coder, number("coder"), "number"],
    ["model", "Model", (row) => row.model, number("model"), "number"],
    ["encode", ["Encode", "MPx/s"], (row) => row.point?.encode_mpx_s, (row) => speedCell(row.point?.encode_mpx_s, "hide-small"), "number hide-small"],
    ["decode", ["Decode", "MPx/s"], (row) => row.point?.decode_mpx_s, (row) => speedCell(row.point?.decode_mpx_s, "hide-small"), "number hide-small"],
  ];
  const more = (row) => isOpen(table, row.name) && detailRow(row, columns.length, shareFacts(row, told));
  const known = told ? columns : columns.filter(([key]) => !["ideal", "coder", "model"].includes(key));
  sortable(table, "grid", known, rows, drawGrid, more);
}

function drawGrid() {
  if (!byId("grid")) return;
  gridView.number = Math.min(gridView.number, group().grids.length - 1);
  const rows = gridRows();
  byId("grid").hidden = !rows.length;
  if (!rows.length) return;
  const axes = gridAxes();
  const fixed_ = gridFixed(rows, axes);
  const least = [...rows].sort(bySize)[0];
  const picked = rows.find((one) => one.name === gridView.picked) || least;
  gridView.picked = picked.name;
  gridControls(rows, axes, fixed_);
  drawHeat(rows, axes, fixed_);
  const told = rows.some((row) => isNumber(row.ideal));
  drawPicked(picked, picked === least, told);
  drawGridBoard(rows, told);
  const where = gridQuality();
  const names = gridTable().axes.map(([name]) => name);
  set(
    byId("grid-note"),
    `${rows.length} combinations of ${names.join(" × ")} of the codec ${gridTable().codec}; where a stage is “smallest”, a cell is the one with ` +
      `the smallest files. ${where ? `Rates hold at ${where}, on the mean curves. ` : ""}`,
    told &&
      "The coder’s share is what the file holds beyond the ideal code length under its model: the coder’s own loss, tables and " +
        "headers. The model’s share is that length against the best model’s for the same transform and quantizer.",
  );
}

onChange(drawGrid);
