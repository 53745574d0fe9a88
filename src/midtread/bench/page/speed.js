// Speed against BD-rate: up is smaller files, right is faster; the dotted line joins what nothing else beats in both.

const speedView = { way: "encode" };

/** Names on the Pareto front, slowest first: nothing is both faster and smaller. */
function paretoFront(dots) {
  const front = [];
  for (const dot of [...dots].sort((a, b) => b.speed - a.speed || a.percent - b.percent)) {
    if (!front.length || dot.percent < front[front.length - 1].percent) front.push(dot);
  }
  return front.reverse();
}

function speedDots() {
  const found = [];
  for (const name of lossySeries().filter(shown)) {
    const [point, bd] = [timedPoint(name), bdRate(name)];
    const speed = point && point[`${speedView.way}_mpx_s`];
    if (isNumber(speed) && speed > 0 && isNumber(bd.percent)) found.push({ name, speed, percent: bd.percent, point, bd });
  }
  return found;
}

function drawSpeed() {
  if (isTensor()) return drawFieldSpeed();
  const figure = byId("speed-chart");
  const dots = speedDots();
  const left = lossySeries().filter(shown).filter((name) => !dots.some((dot) => dot.name === name));
  set(byId("speed-missing"), left.length ? `Not in this chart, not timed or without a BD-rate: ${left.join(", ")}.` : "");
  speedNote(dots);
  byId("speed-way").parentElement.hidden = !dots.length;
  if (!dots.length) return set(figure, h("p", { class: "empty" }, "Nothing here was timed."));
  const height = figure.clientWidth >= 700 ? 460 : 400;
  const { svg, width } = canvas(figure, height, `BD-rate against ${speedView.way} speed; arrow keys walk along the codecs`);
  const frame = { left: 58, right: width - 16, top: 30, bottom: height - 44, width, height };
  const speeds = dots.map((dot) => dot.speed);
  const percents = dots.map((dot) => dot.percent);
  const [slow, fast] = [Math.min(...speeds) / 1.6, Math.max(...speeds) * 1.6];
  const pad = 0.1 * (Math.max(...percents) - Math.min(...percents) || 20);
  const [low, high] = [Math.min(...percents) - pad, Math.max(...percents) + pad];
  const x = logarithmic(slow, fast, frame.left, frame.right);
  const y = linear(low, high, frame.top, frame.bottom);
  const most = Math.floor((frame.right - frame.left) / 56);
  const text = (value) => `${value > 0 ? "+" : ""}${tickText(value)} %`;
  svg.append(axes(frame, x, y, logTicks(slow, fast, most), ticks(low, high, 7), `${speedView.way} speed, MPx/s (log)`, `BD-rate against ${state.anchor}, up is smaller`, text));
  if (low < 0 && high > 0) svg.append(g("line", { class: "base", x1: frame.left, x2: frame.right, y1: y(0), y2: y(0) }));
  dots.forEach((dot) => Object.assign(dot, { x: x(dot.speed), y: y(dot.percent), lines: () => speedLines(dot) }));
  const front = paretoFront(dots);
  if (front.length > 1) svg.append(g("path", { class: "front", d: `M${front.map((dot) => `${dot.x.toFixed(1)},${dot.y.toFixed(1)}`).join("L")}` }));
  placeLabels(dots, frame, front);
  drawDots(svg, dots);
  makeLive(svg, dots, frame);
}

/** Markers with their labels. */
function drawDots(svg, dots) {
  for (const dot of dots) {
    const { box, far } = dot.label;
    const part = g("g", { class: `series ${look(dot.name)}`, "data-series": dot.name });
    const reach = Math.max(box.x, Math.min(dot.x, box.x + box.w));
    if (far) part.append(g("path", { class: "lead", d: `M${dot.x},${dot.y}L${reach},${box.y + 8}` }));
    part.append(marker(dot.name, dot.x, dot.y, 5.5), g("text", { class: "label", x: box.x + 1, y: box.y + 11 }, shortName(dot.name)));
    svg.append(part);
  }
}

function speedLines(dot) {
  const { point, bd } = dot;
  return [
    [h("b", {}, bd.isAnchor ? "anchor" : signedPercent(bd.percent)), bd.isAnchor ? "" : ` against ${state.anchor}`],
    ["encode ", h("b", {}, speedText(point.encode_mpx_s)), ", decode ", h("b", {}, speedText(point.decode_mpx_s)), " MPx/s"],
    `timed at ${point.setting}, ${significant(point.rate_bpp)} bpp`,
  ];
}

function speedNote(dots) {
  const threads = distinct(dots.map((dot) => dot.point.threads).filter(isNumber));
  const how = threads.length === 1 ? (threads[0] === 1 ? "one thread" : `${threads[0]} threads`) : "the threads given in the table";
  set(
    byId("speed-note"),
    dots.length
      ? `Megapixels per second with ${how}, at the setting nearest ${DATA.typical_bpp} bpp. The dotted line joins the codecs ` +
          "that no other beats in both speed and size."
      : "",
  );
}

onChange(drawSpeed);
segments(byId("speed-way"), "Direction", [["encode", "Encode"], ["decode", "Decode"]], "encode", (way) => ((speedView.way = way), drawSpeed()));
