// Fields to look at: slices and error maps side by side on one scale, and power spectra of what was decoded.

const sliceView = { field: 0 };

const avif = (data, alt) => h("img", { src: `data:image/avif;base64,${data}`, alt, decoding: "async" });

function buildSlices() {
  if (!byId("slices")) return;
  const options = PICTURES.fields.map((one, i) => [i, one.group.split(" / ").pop()]);
  segments(byId("slices-field"), "Field", options, 0, (field) => ((sliceView.field = field), drawSlices()));
  byId("slices-field").hidden = options.length < 2;
  onChange(drawSlices);
}

/** What is shown of a field, in the order of the plan. */
const shotsOf = (scene) => scene.shots.filter((shot) => inFamily(shot.series)).sort((a, b) => DATA.lossy.indexOf(a.series) - DATA.lossy.indexOf(b.series));

/** A bar of colours with its ends in numbers. */
function scaleBar(title, colors, low, high, more) {
  const bar = h("i", { css: { background: `linear-gradient(90deg, ${colors.join(", ")})` } });
  return h("div", {}, h("span", {}, title), h("small", {}, low), bar, h("small", {}, high), more);
}

/** One reconstruction: slice, error, numbers. */
function sliceCard(shot, scene) {
  const lost = shot.violations > 0;
  const over = isNumber(shot.max_error_over_bound) ? `${significant(shot.max_error_over_bound, 3)} of the bound` : "infinite error";
  return h(
    "figure",
    { class: "card", "data-series": shot.series },
    h("figcaption", {}, h("span", { class: "name" }, swatch(shot.series), shot.series)),
    h("div", { class: "two" }, avif(shot.slice, `${shot.series}, slice`), avif(shot.error, `${shot.series}, error over bound`)),
    h("p", {}, h("b", {}, `ratio ${significant(shot.ratio)}`), ` · ${qualityText("range_psnr_db", shot.metrics.range_psnr_db)} · `, h("span", { class: lost ? "weak" : "" }, lost ? `${shot.violations} values over the bound` : over), offBound(shot, scene)),
  );
}

/** Where a series was not measured at the bound of the others. */
const offBound = (shot, scene) => (Math.abs(shot.bound_of_range / scene.bound_of_range - 1) > 0.01 ? ` · its bound: ${significant(shot.bound_of_range)} of the range` : "");

function drawSlices() {
  const scene = PICTURES.fields[sliceView.field];
  const shots = shotsOf(scene);
  const source = h(
    "figure",
    { class: "card source" },
    h("figcaption", {}, h("span", { class: "name" }, "Original")),
    h("div", { class: "two" }, avif(scene.slice, "Original, slice"), h("span", { class: "blank" }, "|decoded − original| ÷ bound, beside each decoded slice")),
    h("p", {}, `${scene.shape.join(" × ")}`),
  );
  set(byId("slices"), source, shots.map((shot) => sliceCard(shot, scene)));
  set(
    byId("slices-scales"),
    scaleBar("Value", PICTURES.colors.field, `${scientific(scene.low)} or less`, `${scientific(scene.high)} or more`),
    scaleBar("Error", PICTURES.colors.error, "0", "1 bound", h("span", { class: "over" }, h("i", { css: { background: PICTURES.colors.over } }), h("small", {}, "over the bound"))),
  );
  set(
    byId("slices-note"),
    `${scene.group}: the central slice, ${scene.width} × ${scene.height} values of it, at a bound of ${significant(scene.bound_of_range)} of the range; all ` +
      "on the same scales. Noise as large as the bound everywhere is what the bound allows; structure in the error is what an " +
      "analysis may stumble over.",
  );
  drawSpectra();
}

function drawSpectra() {
  if (!byId("slices")) return;
  const scene = PICTURES.fields[sliceView.field];
  const shots = shotsOf(scene);
  const at = (values) => scene.frequency.map((frequency, i) => [frequency, values[i]]).filter(([, value]) => isNumber(value) && value > 0);
  const own = at(scene.power);
  const curves = shots.map((shot) => ({ name: shot.series, points: at(shot.power) }));
  const powers = own.concat(...curves.map((curve) => curve.points)).map(([, power]) => power);
  const most = Math.max(...powers);
  spectrumChart(byId("spectrum-chart"), scene, curves, [Math.max(Math.min(...powers), most * 1e-14) / 2, most * 2], "power P(k) (log)", own);
  const ratios = shots.map((shot) => ({ name: shot.series, points: scene.frequency.map((frequency, i) => [frequency, 100 * (shot.power[i] / scene.power[i] - 1)]).filter(([, value]) => isNumber(value)) }));
  const counted = ratios.flatMap((curve) => curve.points).filter(([k]) => k <= 0.25).map(([, value]) => Math.abs(value)).sort((a, b) => a - b);
  const usual = counted[Math.floor(0.8 * counted.length)] || 0;
  const reach = [2, 5, 10, 20, 50].find((one) => one > usual) || 100; // the rest leaves the chart
  spectrumChart(byId("spectrum-ratio"), scene, ratios, [-reach, reach], "P(k) decoded against original, %", null);
  set(byId("spectra-note"), "Radially averaged power spectra of the whole field, original (thick) and decoded. The band is ± 1 %, which cosmologists ask for; the dotted line is half the Nyquist frequency, up to which the spectrum error counts.");
}

/** Lines over frequency. With `own` a logarithmic scale and the source in ink, without it percent and the band of 1 %. */
function spectrumChart(figure, scene, curves, [low, high], title, own) {
  const height = 330;
  const { svg, width } = canvas(figure, height, title);
  const frame = { left: own ? 58 : 40, right: width - 8, top: 30, bottom: height - 44, width, height };
  const [from, to] = [scene.frequency[0], scene.frequency[scene.frequency.length - 1]];
  const x = logarithmic(from, to, frame.left, frame.right);
  const y = own ? logarithmic(low, high, frame.bottom, frame.top) : linear(low, high, frame.bottom, frame.top);
  const powers = (value) => `10${[...String(Math.round(Math.log10(value)))].map((sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign])).join("")}`;
  const decades = Math.ceil(Math.log10(high / low) / 7) || 1;
  const ys = own ? logTicks(low, high, 1e9).filter((value) => Number.isInteger(Math.log10(value)) || /^1e[+-]?\d+$/.test(value.toExponential(0)) && value.toExponential(5).startsWith("1.00000")).filter((value) => Math.round(Math.log10(value)) % decades === 0) : ticks(low, high, 6);
  svg.append(axes(frame, x, y, logTicks(from, to, Math.floor((frame.right - frame.left) / 60)), ys, "k, cycles per sample (log)", title, own ? powers : tickText));
  const id = `inside-${figure.id}`;
  svg.append(g("defs", {}, g("clipPath", { id }, g("rect", { x: frame.left, y: frame.top, width: frame.right - frame.left, height: frame.bottom - frame.top }))));
  const part = g("g", { "clip-path": `url(#${id})` });
  if (!own) part.append(g("rect", { class: "allowed", x: frame.left, width: frame.right - frame.left, y: y(1), height: y(-1) - y(1) }));
  part.append(g("line", { class: "lead dots", x1: x(0.25), x2: x(0.25), y1: frame.top, y2: frame.bottom }));
  const path = (points) => `M${points.map(([k, value]) => `${x(k).toFixed(1)},${y(own ? value : Math.max(2 * low, Math.min(2 * high, value))).toFixed(1)}`).join("L")}`;
  if (own) part.append(g("path", { class: "own", d: path(own) }));
  for (const curve of curves) part.append(g("g", { class: `series thin ${look(curve.name)}`, "data-series": curve.name }, g("path", { class: "curve", d: curve.points.length ? path(curve.points) : "" })));
  svg.append(part);
}
