// Files of Gaussians: the picture behind each layer, ellipses, errors, and how fits of the crop grow.

const gaussianView = { picture: 0 };

function buildGaussians() {
  if (!byId("gaussians")) return;
  const options = PICTURES.gaussians.map((one, i) => [i, one.item]);
  segments(byId("gaussians-picture"), "Picture", options, 0, (picture) => ((gaussianView.picture = picture), drawGaussians()));
  byId("gaussians-picture").hidden = options.length < 2;
  drawGaussians();
}

const gaussianCard = (title, inside, ...text) =>
  h("figure", { class: "card" }, h("figcaption", {}, h("span", { class: "name" }, title)), h("div", { class: "one" }, inside), h("p", {}, text));

function layerCard(layer, i, scene) {
  const last = i === scene.layers.length - 1;
  const title = last ? "The whole file" : `${i ? `First ${i + 1} layers` : "First layer"} of ${scene.layers.length}`;
  const text = `${bytesText(layer.size_bytes)} · ${layer.gaussians} Gaussians · ${fixed(layer.psnr_db, 2)} dB`;
  return gaussianCard(title, avif(layer.data, `${scene.item}, ${title.toLowerCase()}`), text);
}

/** Each Gaussian as the ellipse on which it has fallen to a half. */
function ellipses(scene) {
  const [, , width, height] = scene.crop;
  const shapes = scene.ellipses.map(([x, y, across, along, angle, stroke]) =>
    g("ellipse", { rx: across, ry: along, transform: `translate(${x} ${y}) rotate(${angle})`, stroke }),
  );
  return g("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, shapes);
}

function drawGaussians() {
  const scene = PICTURES.gaussians[gaussianView.picture];
  const whole = scene.layers[scene.layers.length - 1];
  const some = scene.ellipses.length < scene.gaussians ? `the ${scene.ellipses.length} of most energy of ${scene.gaussians}` : `all ${scene.gaussians}`;
  set(
    byId("gaussians"),
    scene.layers.map((layer, i) => layerCard(layer, i, scene)),
    gaussianCard("Gaussians", [avif(whole.data, `${scene.item}, decoded`), ellipses(scene)], `${some} that are centred here; each in the colour that it alone makes of the mean colour`),
    gaussianCard("Error", avif(scene.error, `${scene.item}, error`), "of the whole file, root of the mean square over red, green and blue"),
  );
  const over = h("span", { class: "over" }, h("i", { css: { background: PICTURES.colors.over } }), h("small", {}, `more than ${scene.error_top}`));
  set(byId("gaussians-scale"), scaleBar("Error", PICTURES.colors.error, "0", `${scene.error_top} of 255`, over));
  const [x, y, width, height] = scene.crop;
  set(
    byId("gaussians-note"),
    `${scene.item}, ${scene.series}, ${scene.setting}, ${significant(scene.rate_bpp)} bpp: every beginning of the file that ends behind a layer is ` +
      `a picture. Shown are ${width} × ${height} pixels from (${x}, ${y}); sizes and PSNR (RGB) are those of the cut file and the whole picture.`,
  );
  set(
    byId("fit-note"),
    `The same ${width} × ${height} pixels fitted anew while this page was made, ${scene.fit_seconds} s on one thread for each number of ` +
      "Gaussians; PSNR of the sum before quantization. Seconds hold for that machine. A fit begins with a tenth of its Gaussians and has all of them after half of its time.",
  );
  drawFits();
}

function drawFits() {
  if (!byId("gaussians")) return;
  const { curves, fit_seconds: seconds } = PICTURES.gaussians[gaussianView.picture];
  const label = "PSNR of a fit, dB";
  const height = 300;
  const { svg, width } = canvas(byId("fit-chart"), height, label);
  const names = curves.map((curve) => `${curve.count} Gaussians`);
  const frame = { left: 40, right: width - 16 - Math.max(...names.map(textWidth)), top: 30, bottom: height - 44, width, height };
  const all = curves.flatMap((curve) => curve.points);
  const [low, high] = [Math.min(...all.map(([, db]) => db)), Math.max(...all.map(([, db]) => db))];
  const most = Math.max(seconds, ...all.map(([time]) => time));
  const x = linear(0, most, frame.left, frame.right);
  const y = linear(low - 0.5, high + 0.5, frame.bottom, frame.top);
  svg.append(axes(frame, x, y, ticks(0, most, Math.floor((frame.right - frame.left) / 70)), ticks(low - 0.5, high + 0.5, 5), "seconds", label));
  const labels = curves.map(({ points }, i) => ({ y: y(points[points.length - 1][1]), x: x(points[points.length - 1][0]), name: names[i], i }));
  for (const one of spread(labels, 15, frame.top, frame.bottom)) {
    const path = curves[one.i].points.map(([time, db]) => `${x(time).toFixed(1)},${y(db).toFixed(1)}`).join("L");
    const line = g("path", { class: "curve", d: `M${path}` });
    const end = g("path", { class: "marker", d: SHAPES.circle(3.5), transform: `translate(${one.x.toFixed(1)},${one.y.toFixed(1)})` });
    svg.append(g("g", { class: `series h${one.i + 1}` }, line, end, g("text", { class: "label", x: frame.right + 9, y: one.at + 4 }, one.name)));
  }
}
