"use strict";
// Tables sort where scripts run, and are plain tables where they do not.
(() => {
  const announcer = document.getElementById("announcer");
  const collator = new Intl.Collator(document.documentElement.lang, { numeric: true });
  const next = { none: "ascending", ascending: "descending", descending: "none" };
  // no break before them
  const arrows = { none: "\u00a0↕", ascending: "\u00a0↑", descending: "\u00a0↓" };
  const words = { ascending: "ascending", descending: "descending", none: "back in its first order" };

  // Numbers as numbers, words as words, and what is missing last, whichever way.
  function compare(a, b, sign) {
    if (a.missing || b.missing) return a.missing - b.missing;
    if (a.number !== null && b.number !== null) return sign * (a.number - b.number);
    return sign * collator.compare(a.text, b.text);
  }

  function keyOf(row, column, isNumber) {
    const cell = row.cells[column];
    const text = cell.textContent.trim();
    const raw = cell.dataset.value ?? (isNumber && text !== "" ? text : undefined);
    const number = raw === undefined || Number.isNaN(Number(raw)) ? null : Number(raw);
    return { row, text, number, missing: number === null && (text === "" || text === "\u2013") };
  }

  function sort(table, rows, column, direction) {
    const wholes = rows.filter((row) => row.className === "whole"); // sums stay below
    const isNumber = table.tHead.rows[table.tHead.rows.length - 1].cells[column].matches(".number");
    const keys = rows.filter((row) => !wholes.includes(row)).map((row) => keyOf(row, column, isNumber));
    const sign = direction === "descending" ? -1 : 1;
    if (direction !== "none") keys.sort((a, b) => compare(a, b, sign));
    table.tBodies[0].append(...keys.map((key) => key.row), ...wholes);
    table.dispatchEvent(new Event("sorted"));
  }

  function mark(headings, chosen, direction) {
    for (const heading of headings) {
      const state = heading === chosen ? direction : "none";
      if (state === "none") heading.removeAttribute("aria-sort");
      else heading.setAttribute("aria-sort", state);
      heading.querySelector(".arrow").textContent = arrows[state];
    }
  }

  function prepare(table) {
    const rows = [...table.tBodies[0].rows];
    const headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    headings.forEach((heading, column) => {
      const name = heading.textContent;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      const arrow = document.createElement("span");
      arrow.className = "arrow";
      arrow.setAttribute("aria-hidden", "true");
      arrow.textContent = arrows.none;
      button.append(arrow);
      heading.append(button);
      button.addEventListener("click", () => {
        const direction = next[heading.getAttribute("aria-sort") ?? "none"];
        sort(table, rows, column, direction);
        mark(headings, heading, direction);
        announcer.textContent =
          direction === "none" ? `Table ${words.none}` : `Sorted by ${name}, ${words[direction]}`;
      });
    });
  }

  // A box is a stop for the keyboard only where there is something to scroll.
  function stops() {
    for (const box of document.querySelectorAll(".scroll, pre.note")) {
      const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      if (scrolls) box.setAttribute("tabindex", "0");
      else box.removeAttribute("tabindex");
    }
  }

  // On paper nothing is folded away.
  addEventListener("beforeprint", () => {
    // but for the parts of the page, which are printed as the reader has them
    const folded = document.querySelectorAll("details:not([open]):not(.part)");
    for (const part of folded) part.open = true;
  });

  // What the contents lead to is there to be read.
  function unfold() {
    const id = decodeURIComponent(location.hash.slice(1));
    const part = id && document.getElementById(id)?.querySelector("details.part");
    if (part) part.open = true;
  }

  unfold();
  addEventListener("hashchange", unfold);
  document.querySelectorAll("table[data-sortable]").forEach(prepare);
  stops();
  addEventListener("resize", stops);
  addEventListener("toggle", stops, true);
})();
