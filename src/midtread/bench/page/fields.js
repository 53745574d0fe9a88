// The board of fields: every codec at one bound, on one field or over all; ratio against speed; the first sentence.

const LOSSLESS = "lossless";
const fieldView = { bound: null, every: true };
sorting.fields = ["ratio", -1];

const partial = (row) => row.fields < row.of;

/** The numbers of this machine over all fields. */
const fieldBoard = () => DATA.fields.find((one) => one.machine === group().machine) || { fields: [], bounds: [], rows: {} };

/** "1e-3" as people write it: 10⁻³. */
function boundText(text) {
  if (text === LOSSLESS) return "lossless";
  const [digits, exponent] = text.split("e");
  const small = [...exponent].map((sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign])).join("");
  return `${digits === "1" ? "" : `${digits} × `}10${small}`;
}

/** A bound as the keys of the board have it: "1e-3". */
const boundKey = (value) => value.toExponential(0).replace("+", "");
const boundOf = (point) => (isNumber(point.bound_of_range) ? boundKey(point.bound_of_range) : null);

/** Rows of the chosen bound: over all fields, or those of the group; `of` is how many fields there are. */
function fieldRows() {
  const board = fieldBoard();
  if (fieldView.every) {
    return (board.rows[fieldView.bound] || []).filter((row) => inFamily(row.series)).map((row) => ({ ...row, name: row.series, of: board.fields.length, against: row.against[state.anchor] }));
  }
  const here = fieldView.bound === LOSSLESS ? group().lossless : group().points.filter((point) => boundOf(point) === fieldView.bound);
  const base = here.find((point) => point.series === state.anchor);
  const rows = here.filter((point) => inFamily(point.series)).map((point) => ({
    ...point, q: point.q || {}, name: point.series, fields: 1, of: 1,
    against: base && 100 * (point.size_bytes / base.size_bytes - 1),
  }));
  return rows.concat(refusals(rows));
}

/** Series that failed on this field at this bound, with the reason. */
function refusals(rows) {
  const known = new Set(rows.map((row) => row.name));
  const wanted = (one) => `${one.dataset} / ${one.item}` === group().dataset && one.machine === group().machine && !known.has(one.series) && inFamily(one.series);
  const at = (one) => (one.setting.includes("=") ? boundKey(Number(one.setting.split("=")[1])) : LOSSLESS) === fieldView.bound;
  return DATA.failures.filter((one) => wanted(one) && at(one)).map((one) => ({ name: one.series, series: one.series, q: {}, fields: 0, of: 1, refused: one.error }));
}

/** The bound and the fields that are shown, where what was chosen is not here. */
function keepBound() {
  const { bounds, fields } = fieldBoard();
  if (!bounds.includes(fieldView.bound)) fieldView.bound = bounds.find((one) => Number(one) === DATA.typical_bound) || bounds[0] || null;
  if (fields.length < 2) fieldView.every = false;
}

function fieldControls() {
  const { bounds, fields } = fieldBoard();
  const redraw = (changes) => (Object.assign(fieldView, changes), drawFields(), drawSpeed(), drawFinding());
  byId("fields-scope").hidden = fields.length < 2;
  segments(byId("fields-scope"), "Fields", [[true, `All ${fields.length} fields`], [false, group().item || group().dataset.split(" / ").pop()]], fieldView.every, (every) => redraw({ every }));
  segments(byId("fields-bound"), "Bound", bounds.map((one) => [one, boundText(one)]), fieldView.bound, (bound) => redraw({ bound }));
}

function overCell(row) {
  const lost = row.violations > 0;
  const worst = row.max_error_over_bound;
  const text = isNumber(worst) ? (worst > 1 ? significant(worst, 6) : fixed(Math.floor(worst * 1e4) / 1e4, worst > 0.99 ? 4 : 3)) : lost ? "∞" : "–";
  return h("td", { class: `number ${lost ? "weak" : ""}`, title: lost ? `${row.violations} values over the bound` : null }, text, lost ? h("small", {}, ` ${row.violations} over`) : null);
}

function fieldColumns() {
  const table = byId("fields-board");
  const anchored = fieldRows().some((row) => isNumber(row.against));
  const lossy = fieldView.bound !== LOSSLESS;
  const part = (row) => (partial(row) && row.fields ? h("small", { class: "weak", title: "a mean over fewer fields: compare the size on the fields of both" }, ` ${row.fields} of ${row.of}`) : null);
  const name = (row) => nameCell(row.name, null, isOpen(table, row.name), () => toggleRow(row.name, table, drawFields));
  const ratio = (row) => h("td", { class: "number" }, row.refused ? h("span", { class: "missing", title: row.refused }, "refused") : h("b", {}, significant(row.ratio)), part(row));
  const size = (row) => h("td", { class: "number hide-small" }, row.name === state.anchor ? "anchor" : isNumber(row.against) ? signedPercent(row.against) : "–");
  const number = (value, style = "hide-medium") => h("td", { class: `number ${style}` }, value);
  const small = { range_psnr_db: (value) => fixed(value, 1), slice_ssim: (value) => (isNumber(value) ? String(Math.floor(value * 1e4) / 1e4) : "–") };
  const metrics = metricsHere().map((one) => [
    one.name, one.unit && !one.decibels ? [one.label, one.unit] : one.label, (row) => row.q[one.name],
    (row) => number((small[one.name] || ((value) => scientific(value, 2)))(row.q[one.name])), "number hide-medium",
  ]);
  const memory = (row) => Math.max(row.encode_peak_bytes || 0, row.decode_peak_bytes || 0) || null;
  return [
    ["name", "Series", (row) => row.name, name],
    ["ratio", "Ratio", (row) => (partial(row) ? null : row.ratio), ratio, "number"],
    anchored && ["against", ["Size", `vs ${state.anchor}`], (row) => row.against, size, "number hide-small"],
    ["rate", ["Rate", "bits/value"], (row) => row.rate_bpp, (row) => number(significant(row.rate_bpp)), "number hide-medium"],
    lossy && ["over", ["Error", "of bound"], (row) => row.max_error_over_bound, overCell, "number"],
    ...(lossy ? metrics : []),
    ...["encode", "decode"].map((way) => [way, [way === "encode" ? "Encode" : "Decode", "GB/s"], (row) => row[`${way}_gb_s`], (row) => speedCell(row[`${way}_gb_s`]), "number"]),
    ["memory", "Memory", memory, (row) => number(bytesText(memory(row))), "number hide-medium"],
  ].filter(Boolean);
}

/** All that is known of a row, for small screens and for copying. */
function fieldFacts(row) {
  if (row.refused) return [["Refused", row.refused]];
  const facts = [
    ["Ratio", `${significant(row.ratio, 4)}, ${significant(row.rate_bpp, 4)} bits per value`],
    ["Fields", partial(row) ? `${row.fields} of ${row.of}; it refuses the others` : String(row.of)],
  ];
  if (isNumber(row.against)) facts.push([`Size against ${state.anchor}`, row.name === state.anchor ? "the anchor" : signedPercent(row.against)]);
  if (fieldView.bound !== LOSSLESS) {
    facts.push(["Largest error", isNumber(row.max_error_over_bound) ? `${significant(row.max_error_over_bound, 6)} of the bound` : "infinite"]);
    facts.push(["Values over the bound", String(row.violations ?? "–")]);
    for (const one of metricsHere()) facts.push([one.label, qualityText(one.name, row.q[one.name]) === "–" ? "none, or infinite" : qualityText(one.name, row.q[one.name])]);
  }
  const timed = Array.isArray(row.timed) ? row.timed.join(", ") : group().dataset;
  const speed = isNumber(row.encode_gb_s) ? `${speedText(row.encode_gb_s)} / ${speedText(row.decode_gb_s)} GB/s on ${timed}` : "not timed";
  facts.push(["Encode / decode, in memory", speed]);
  facts.push(["Peak memory, encode / decode", `${bytesText(row.encode_peak_bytes)} / ${bytesText(row.decode_peak_bytes)}`]);
  facts.push(["Backend", SERIES.get(row.name).backend]);
  return facts;
}

function drawFields() {
  if (!byId("fields")) return;
  byId("fields").hidden = !isTensor() || !fieldBoard().bounds.length;
  if (byId("fields").hidden) return;
  keepBound();
  fieldControls();
  const table = byId("fields-board");
  const columns = fieldColumns();
  const rows = fieldRows();
  const more = (row) => isOpen(table, row.name) && h("tr", {}, h("td", { class: "details", colspan: columns.length }, terms(fieldFacts(row))));
  sortable(table, "fields", columns, rows, drawFields, more);
  const [one] = fieldBoard().fields;
  set(
    byId("fields-note"),
    fieldView.bound === LOSSLESS ? "Every value came back bit for bit. " : `No value may be off by more than ${boundText(fieldView.bound)} of the range of its field; “Error of bound” is the worst value, and over 1 is a broken promise. `,
    fieldView.every
      ? `Ratios are geometric means over ${fieldBoard().fields.length} fields, metrics medians, speeds those of the timed fields` + (rows.some(partial) ? "; a series that refuses some fields has its ratio from the others, and its size is compared on the fields of both." : ".")
      : `${group().dataset}: ${(JSON.parse(group().shape || "[]")).join(" × ")} ${group().dtype}.`,
    " Select a series for everything known about it.",
  );
}

/** Ratio against speed at the chosen bound; the same rows as the board. */
function drawFieldSpeed() {
  const figure = byId("speed-chart");
  const rows = fieldRows().filter((row) => !row.refused && shown(row.name));
  const dots = rows.map((row) => ({ name: row.name, row, speed: row[`${speedView.way}_gb_s`], percent: -row.ratio })).filter((dot) => isNumber(dot.speed) && dot.speed > 0);
  const left = rows.filter((row) => !dots.some((dot) => dot.row === row)).map((row) => row.name);
  const at = fieldView.bound === LOSSLESS ? "without loss" : `at a bound of ${boundText(fieldView.bound || "1e-3")} of the range`;
  const where = fieldView.every ? "over all fields" : `on ${group().dataset}`;
  set(byId("speed-missing"), left.length && dots.length ? `Not in this chart, not timed here: ${left.join(", ")}.` : "");
  set(byId("speed-note"), dots.length ? `Ratio ${where} ${at}, and gigabytes of the array per second. The dotted line joins the codecs that no other beats in both. The bound is chosen above.` : "");
  byId("speed-way").parentElement.hidden = !dots.length;
  if (!dots.length) return set(figure, h("p", { class: "empty" }, fieldBoard().fields.length > 1 ? "Nothing was timed on this field; all fields together have times." : "Nothing here was timed."));
  const height = figure.clientWidth >= 700 ? 460 : 400;
  const { svg, width } = canvas(figure, height, `Ratio against ${speedView.way} speed; arrow keys walk along the codecs`);
  const frame = { left: 52, right: width - 16, top: 30, bottom: height - 44, width, height };
  const ends = (values, by) => [Math.min(...values) / by, Math.max(...values) * by];
  const [slow, fast] = ends(dots.map((dot) => dot.speed), 1.6);
  const [low, high] = ends(dots.map((dot) => dot.row.ratio), 1.15);
  const x = logarithmic(slow, fast, frame.left, frame.right);
  const y = logarithmic(low, high, frame.bottom, frame.top);
  const most = Math.floor((frame.right - frame.left) / 56);
  svg.append(axes(frame, x, y, logTicks(slow, fast, most), logTicks(low, high, 7), `${speedView.way} speed, GB/s (log)`, "ratio (log), up is smaller"));
  dots.forEach((dot) => Object.assign(dot, { x: x(dot.speed), y: y(dot.row.ratio), lines: () => fieldSpeedLines(dot.row) }));
  const front = paretoFront(dots);
  if (front.length > 1) svg.append(g("path", { class: "front", d: `M${front.map((dot) => `${dot.x.toFixed(1)},${dot.y.toFixed(1)}`).join("L")}` }));
  placeLabels(dots, frame, front);
  drawDots(svg, dots);
  makeLive(svg, dots, frame);
}

const fieldSpeedLines = (row) => [
  ["ratio ", h("b", {}, significant(row.ratio)), `, ${significant(row.rate_bpp)} bits/value`],
  ["encode ", h("b", {}, speedText(row.encode_gb_s)), ", decode ", h("b", {}, speedText(row.decode_gb_s)), " GB/s"],
  partial(row) ? `${row.fields} of ${row.of} fields` : null,
];

/** Who makes the smallest files at the chosen bound, who is fast among the good ones, and whether bounds were kept. */
function drawFieldFinding() {
  keepBound();
  const board = fieldBoard();
  const rows = fieldRows().filter((row) => !row.refused && 2 * row.fields > row.of && isNumber(row.ratio));
  if (!rows.length) return set(byId("finding"), "No codec took most of the fields.");
  const anchored = rows.every((row) => isNumber(row.against));
  const size = (row) => (anchored ? 1 + row.against / 100 : 1 / row.ratio); // on the fields of both, where there is an anchor
  rows.sort((a, b) => size(a) - size(b));
  const strong = (text) => h("strong", {}, text);
  const [first] = rows;
  const at = fieldView.bound === LOSSLESS ? "Without loss" : `Within ${boundText(fieldView.bound)} of the range`;
  const parts = [`${at}, on ${fieldView.every ? `${first.fields} fields` : group().dataset}, `, strong(first.name), ` makes the smallest files: ratio ${significant(first.ratio)}`];
  if (anchored && first.name !== state.anchor) parts.push(`, ${fixed(Math.abs(first.against), 1)}\u00a0% ${first.against < 0 ? "smaller" : "larger"} than `, strong(state.anchor));
  parts.push(". ");
  const quick = rows.filter((row) => isNumber(row.encode_gb_s) && size(row) < 1.5 * size(first)).sort((a, b) => b.encode_gb_s - a.encode_gb_s)[0];
  if (quick === first) parts.push(`Nothing with files at most half larger encodes faster, it does so at ${speedText(quick.encode_gb_s)} GB/s. `);
  else if (quick) parts.push("Of those with files at most half larger, ", strong(quick.name), ` encodes fastest, at ${speedText(quick.encode_gb_s)} GB/s. `);
  const broken = Object.values(board.rows).flat().filter((row) => row.violations > 0);
  parts.push(broken.length ? `Over their bound somewhere: ${distinct(broken.map((row) => row.series)).join(", ")}.` : "No decoded value of any codec is over its bound.");
  return set(byId("finding"), parts);
}

onChange(drawFields);
