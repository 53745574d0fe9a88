// Downloads from the data inside the page, and the first drawing of everything.

function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

byId("download-csv").addEventListener("click", () => download("points.csv", "text/csv", DATA.csv));
byId("download-json").addEventListener("click", () => {
  const { csv, ...numbers } = DATA;
  download("report.json", "application/json", JSON.stringify(numbers, null, 1));
});

buildViewer();
buildSlices();
buildGaussians();
update({});
onResize(byId("curves-chart"), drawCurves);
onResize(byId("speed-chart"), drawSpeed);
if (byId("slices")) onResize(byId("slices"), drawSpectra);
if (byId("gaussians")) onResize(byId("fit-chart"), drawFits);
