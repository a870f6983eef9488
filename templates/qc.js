"use strict";
const list = document.getElementById("rows");
const rows = [...list.children];
const controls = [...document.querySelectorAll("[data-filter]")];
const shown = document.getElementById("shown");
const least = document.getElementById("least");
const order = document.getElementById("order");
const fits = (row) => controls.every((control) => {
  const wanted = control.value;
  return !wanted || (` ${row.dataset[control.dataset.filter]} `).includes(` ${wanted} `);
}) && (!least.value || Number(row.dataset.size || -1) >= Number(least.value));
function filter() {
  let count = 0;
  for (const row of rows) {
    const keep = fits(row);
    row.hidden = !keep;
    count += keep;
  }
  shown.textContent = count;
}
function sort() {
  const [key, sign] = order.value.split(":");
  const numbers = ["rank", "size", "lesions"].includes(key);
  const value = (row) => numbers ? Number(row.dataset[key] || -1) : row.dataset[key];
  rows.sort((a, b) => {
    const x = value(a), y = value(b);
    return (x < y ? -1 : x > y ? 1 : 0) * Number(sign);
  });
  list.append(...rows);
}
for (const control of [...controls, least]) control.addEventListener("input", filter);
order.addEventListener("input", sort);
