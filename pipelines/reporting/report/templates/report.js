"use strict";

// Every chart is drawn from the specification beside it. Expressions are interpreted, never compiled:
// the page's policy forbids that.
const options = {
  actions: false,
  ast: true,
  defaultStyle: false,
  renderer: "svg",
  tooltip: { disableDefaultStyle: true },
};
for (const figure of document.querySelectorAll("figure.chart")) {
  const plot = figure.querySelector(".plot");
  vegaEmbed(plot, JSON.parse(figure.querySelector("script").textContent), options).catch((error) => {
    plot.textContent = "This chart cannot be drawn here; its numbers stand in the table.";
    console.error(error);
  });
}

// A click on a column's title sorts by it: numbers largest first, texts from A; the next one turns it.
function sortRows(header) {
  const table = header.closest("table");
  const isNumber = !["text", "word", "prose"].includes(header.className);
  const before = header.getAttribute("aria-sort");
  const isRising = before ? before === "descending" : !isNumber;
  const key = (row) => {
    const cell = row.cells[header.cellIndex];
    return isNumber ? Number(cell.dataset.order ?? NaN) : cell.textContent;
  };
  const compare = (a, b) => (isNumber ? a - b : a.localeCompare(b));
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return isRising ? compare(a, b) : compare(b, a);
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", isRising ? "ascending" : "descending");
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sortRows(button.closest("th")));
}

// On paper there is nothing to open.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
