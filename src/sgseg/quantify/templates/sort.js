"use strict";
// Sorts a table by the column whose head is pressed: down, then up. Rows of equal keys keep their order.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const column = head.cellIndex;
    const up = head.getAttribute("aria-sort") === "descending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent;
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const [n, m] = [Number(x), Number(y)];
      const found = isNaN(n) || isNaN(m) ? x.localeCompare(y, "en", { numeric: true }) : n - m;
      return up ? found : -found;
    };
    body.append(...[...body.rows].sort(order));
  });
}
