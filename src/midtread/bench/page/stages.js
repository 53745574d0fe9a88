// Where the time goes inside a codec, and how much memory it takes; at the setting that stands for its speed.

function stageBar(stages, total) {
  const inside = stages.reduce((sum, [, time]) => sum + time, 0);
  const whole = Math.max(total || 0, inside) || 1;
  const parts = stages.map(([name, time]) => [name, time / whole]);
  const rest = 1 - inside / whole;
  if (rest > 0.005) parts.push(["rest", rest]);
  const text = parts.map(([name, share]) => `${name} ${fixed(100 * share, 0)} %`).join(" · ");
  const bars = parts.map(([name, share], i) =>
    h("i", { class: name === "rest" && i >= stages.length ? "rest" : "", css: { "flex-grow": Math.max(share, 0.002).toFixed(4), "flex-basis": "0" } }),
  );
  return [h("div", { class: "stack", "aria-hidden": "true" }, bars), h("small", {}, text)];
}

function stageCell(row, way) {
  const stages = group().stages[way][row.name];
  const speed = speedOf(row.point, way);
  const total = speed ? 1e3 / speed : null; // stages are in ms per million pixels or values, of fields only their shares count
  const whole = isTensor() && stages ? stages.reduce((sum, [, time]) => sum + time, 0) : total;
  const time = isNumber(total) ? `${significant(total)} ms per ${isTensor() ? "GB" : "MPx"}` : "not timed";
  const work = networkStages(SERIES.get(row.name).network?.[way]);
  return h("td", { class: `h${SERIES.get(row.name).hue}` }, time, stages && stages.length > 1 ? stageBar(stages, whole) : null, work && h("small", { class: "macs" }, work));
}

function drawStages() {
  const rows = rankedSeries().map((name) => ({ name, point: timedPoint(name) })).filter((row) => row.point);
  byId("inside").hidden = !rows.length;
  if (!rows.length || !byId("inside").open) return;
  const memory = (key) => (row) => h("td", { class: "number" }, isNumber(row.point[key]) ? bytesText(row.point[key]) : h("span", { class: "missing" }, "–"));
  const head = [["Series"], ["Encode"], ["Decode"], ["Peak memory, encode", "number"], ["Peak memory, decode", "number"]];
  const body = rows.map((row) =>
    h("tr", {}, nameCell(row.name, row.point.setting), stageCell(row, "encode"), stageCell(row, "decode"), memory("encode_peak_bytes")(row), memory("decode_peak_bytes")(row)),
  );
  set(byId("inside-board"), h("thead", {}, h("tr", {}, head.map(([text, style]) => h("th", { scope: "col", class: style }, text)))), h("tbody", {}, body));
  set(
    byId("inside-note"),
    `Time for a ${isTensor() ? "gigabyte" : "megapixel"}, and for codecs that tell, the shares of their stages. Memory is the ` +
      `largest over the timed ${isTensor() ? "fields" : "pictures"}, beyond what the process held before.`,
  );
}

byId("inside").addEventListener("toggle", drawStages);
onChange(drawStages);
