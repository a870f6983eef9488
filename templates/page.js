"use strict";
// The one script of the page: copies text, sorts the table, steps from lesion to lesion, enlarges a picture.
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byHand = (text) => { // where a page opened from disk is given no clipboard
    const area = document.body.appendChild(document.createElement("textarea"));
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  for (const button of all("button[data-copy]")) {
    const label = button.textContent;
    button.addEventListener("click", async () => {
      const text = button.dataset.copy || document.getElementById("copy-text").textContent;
      try { await navigator.clipboard.writeText(text); } catch { byHand(text); }
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = label; }, 2500);
    });
  }
  const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
  for (const button of all("th button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), body = head.closest("table").tBodies[0], column = head.cellIndex;
      const first = head.dataset.first || "ascending", second = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((one, two) => { // what is not known stays last
        const a = key(one, column), b = key(two, column);
        return (a === "") - (b === "") || sign * a.localeCompare(b, "en", { numeric: true });
      }));
    });
  }
  const stops = all(".lesion h2");
  const step = (by) => {
    const here = stops.indexOf(document.activeElement);
    const passed = stops.filter((stop) => stop.getBoundingClientRect().top < 1).length - 1;
    const next = stops[Math.min(Math.max((here < 0 ? passed : here) + by, 0), stops.length - 1)];
    next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: "start" });
  };
  const shrink = () => all(".zoom.large").forEach((picture) => picture.classList.remove("large"));
  for (const picture of all(".zoom")) {
    picture.addEventListener("click", () => { if (!picture.classList.toggle("large")) picture.blur(); });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
    if (event.key === "Escape") shrink();
  });
})();
