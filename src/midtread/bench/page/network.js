// What the networks of learned codecs cost: columns of the ranking, facts of an opened row, stages beside their times.

const kiloMacs = (way) => (isNumber(way?.macs_per_pixel) ? way.macs_per_pixel / 1e3 : null);
const millions = (network) => (isNumber(network?.parameters) ? network.parameters / 1e6 : null);
const weightsMB = (network) => (isNumber(network?.weights_bytes) ? network.weights_bytes / 1e6 : null);

/** Columns of the ranking: none where no series shown has a network. Codecs without one have a dash, and come last. */
function networkColumns() {
  const shownNetworks = lossySeries().map((name) => SERIES.get(name).network).filter(Boolean);
  const column = (key, label, value, meaning) => {
    const cell = (row) => h("td", { class: "number hide-medium" }, significant(value(row.series.network)));
    return shownNetworks.some((one) => isNumber(value(one))) && [key, label, (row) => value(row.series.network), cell, "number hide-medium", meaning];
  };
  const macs = "Multiplications with their additions in convolutions and matrix products, per pixel of the picture";
  return [
    column("macs-encode", ["Encode", "kMAC/px"], (one) => kiloMacs(one?.encode), macs),
    column("macs-decode", ["Decode", "kMAC/px"], (one) => kiloMacs(one?.decode), macs),
    column("parameters", ["Parameters", "million"], millions, "Numbers that were trained, of encoder and decoder"),
    column("weights", ["Weights", "MB"], weightsMB, "Size of the files that hold them"),
    column("energy", ["Energy", "mJ/MPx"], (one) => one?.decode?.mj_per_mpx ?? null, `Of decoding. ${DATA.energy_recipe}`),
  ].filter(Boolean);
}

/** "analysis 5.1 kMAC/px in fp32 · entropy 1.2 in int8" of encoding or decoding, or null. */
function networkStages(way) {
  if (!way?.stages.length) return null;
  return way.stages.map(([name, macs, precision], i) => `${name} ${significant(macs / 1e3)}${i ? "" : " kMAC/px"} in ${precision}`).join(" · ");
}

/** Facts of an opened row of the ranking. */
function networkFacts({ network }) {
  if (!network) return [];
  const { encode, decode } = network;
  const weights = isNumber(network.weights_bytes) ? `, ${bytesText(network.weights_bytes)} of weights` : "";
  const facts = [];
  if (isNumber(network.parameters)) facts.push(["Parameters", `${significant(millions(network))} million${weights}`]);
  facts.push(["Network, encode / decode", `${significant(kiloMacs(encode))} / ${significant(kiloMacs(decode))} kMAC/px`]);
  for (const [name, way] of [["Encode", encode], ["Decode", decode]]) {
    if (networkStages(way)) facts.push([`${name} network by stage`, networkStages(way)]);
  }
  if (!encode) return facts;
  const energy = (values) => `${values.map((value) => significant(value)).join(" / ")} mJ/MPx`;
  facts.push(["Energy of its arithmetic, encode / decode, an estimate", energy([encode.mj_per_mpx, decode.mj_per_mpx])]);
  for (const [name, way] of [["encode", encode], ["decode", decode]]) {
    facts.push([`The same MACs in ${Object.keys(way.as).join(" / ")}, ${name}`, energy(Object.values(way.as))]);
  }
  return facts;
}

/** Times of the stages of a codec that tells them, at the setting that stands for its speed. */
function stageFacts(name) {
  const facts = [];
  for (const way of ["encode", "decode"]) {
    const stages = group().stages[way][name] || [];
    const text = stages.map(([stage, time]) => `${stage} ${significant(time)}`).join(" · ");
    if (text) facts.push([`Stages of ${way === "encode" ? "encoding" : "decoding"}, ms per ${isTensor() ? "million values" : "MPx"}`, text]);
  }
  return facts;
}
