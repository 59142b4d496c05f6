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

// The page says how old its numbers are when it is read, and warns if polls should have come since.
const minute = 60, hour = 3600, day = 86400;
function writeAge(seconds) {
  if (seconds < hour) return `${Math.floor(seconds / minute)} min`;
  if (seconds < 2 * day) return `${Math.floor(seconds / hour)} h`;
  return `${Math.floor(seconds / day)} days`;
}
const asOf = document.querySelector("time[data-stale-after]");
const age = asOf ? (Date.now() - Date.parse(asOf.dateTime)) / 1000 : -1;
if (age >= minute) {
  document.getElementById("age").textContent = `${writeAge(age)} ago`;
  if (age > Number(asOf.dataset.staleAfter)) {
    const old = document.getElementById("old");
    old.textContent = `These numbers are ${writeAge(age)} old. Make a new report, or see why no poll was loaded since.`;
    old.hidden = false;
  }
}

// Long tables begin folded; without scripts all of them is there.
for (const table of document.querySelectorAll("table")) {
  const rows = table.tBodies[0].rows.length;
  if (rows <= 10) continue;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "more";
  const fold = (folded) => {
    table.classList.toggle("folded", folded);
    button.textContent = folded ? `Show all ${rows} rows` : "Show the first rows";
    button.setAttribute("aria-expanded", String(!folded));
  };
  button.addEventListener("click", () => fold(!table.classList.contains("folded")));
  fold(true);
  table.parentElement.after(button);
}

// On paper there is nothing to open.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
