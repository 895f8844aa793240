
// Lists of customers: searched, filtered, shown a hundred at a time, and saved as CSV.
const lists = (() => {
  const STEP = 100;
  const DASH = "\u2013";
  const all = new Map();

  // Text as it was given, without an interval below it; what holds nothing is empty.
  function textOf(cell) {
    const whole = cell.querySelector("bdi");
    const text = whole ? whole.textContent : [...cell.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("");
    return text === DASH ? "" : text;
  }

  // What a spreadsheet would take for a formula gets an apostrophe; numbers stay what they are.
  function quoted(text, isNumber) {
    const safe = !isNumber && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  // A cell and the ends of its interval, which may be all there is.
  function fields(cell, column) {
    const own = quoted(cell.dataset.value ?? textOf(cell), column.plain);
    const known = (cell.dataset.ends ?? "").split(" ");
    return [...(column.only ? [] : [own]), ...column.ends.map((_, i) => known[i] ?? "")];
  }

  function headed(heading) {
    const name = heading.dataset.key ?? (heading.querySelector("button") ?? heading).firstChild.textContent.trim();
    const plain = heading.matches(".number, .date");
    return { heading, name, plain, ends: (heading.dataset.ends ?? "").split(" ").filter(Boolean), only: heading.dataset.only !== undefined };
  }

  function save(text, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function money(value, currency, digits = Math.abs(value) >= 100 ? 0 : 2) {
    const text = value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return currency.length > 1 ? `${text} ${currency}` : currency + text;
  }

  function prepare(tools) {
    const table = document.getElementById(tools.dataset.list);
    const headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const columns = headings.map(headed);
    const rows = [...table.tBodies[0].rows];
    const search = tools.querySelector("input[type=search]");
    const said = tools.querySelector("output");
    const saving = tools.querySelector("button");
    const more = document.createElement("button");
    const filters = new Map();
    let limit = STEP;

    for (const name of (tools.dataset.filters ?? "").split("\n").filter(Boolean)) {
      const place = columns.findIndex((column) => column.name === name);
      if (place < 0) continue;
      const label = document.createElement("label");
      const select = document.createElement("select");
      label.append(`${headings[place].dataset.said ?? name} `, select);
      select.append(new Option("all", ""));
      const known = [...new Set(rows.map((row) => textOf(row.cells[place])))];
      const order = new Intl.Collator(document.documentElement.lang, { numeric: true });
      for (const one of known.sort(order.compare)) if (one) select.append(new Option(one, one));
      if (select.options.length < 3) continue; // nothing to choose from
      saving.before(label);
      select.addEventListener("change", () => show(STEP));
      filters.set(name, { select, place });
    }

    function chosen() {
      const asked = search.value.trim().toLowerCase();
      const set = [...filters.values()].filter((one) => one.select.value);
      return [...table.tBodies[0].rows].filter(
        (row) =>
          set.every((one) => textOf(row.cells[one.place]) === one.select.value) &&
          textOf(row.cells[0]).toLowerCase().includes(asked)
      );
    }

    function show(most = limit) {
      limit = most;
      const fits = chosen();
      const shown = new Set(fits.slice(0, limit));
      for (const row of rows) row.hidden = !shown.has(row);
      more.hidden = fits.length <= limit;
      more.textContent = `Show ${Math.min(STEP, fits.length - limit)} more`;
      const many = fits.length.toLocaleString("en");
      said.textContent = `${many} of ${rows.length.toLocaleString("en")} customers${fits.length > limit ? `, ${limit} shown` : ""}`;
      table.dispatchEvent(new CustomEvent("shown", { detail: [...shown] }));
    }

    function download() {
      const names = columns.flatMap((column) => [...(column.only ? [] : [column.name]), ...column.ends]);
      const lines = [names.map((name) => quoted(name, false))];
      for (const row of chosen()) lines.push([...row.cells].flatMap((cell, i) => fields(cell, columns[i])));
      save(lines.map((line) => line.join(",")).join("\r\n") + "\r\n", table.dataset.file ?? "customers.csv");
    }

    // Only these filters, and nothing searched for: what a group's name leads to.
    function only(wanted) {
      search.value = "";
      for (const [name, one] of filters) one.select.value = wanted[name] ?? "";
      show(STEP);
      tools.closest("details")?.setAttribute("open", "");
      tools.scrollIntoView({ block: "start" });
      search.focus({ preventScroll: true });
    }

    more.type = "button";
    more.className = "more";
    more.addEventListener("click", () => show(limit + STEP));
    table.parentElement.after(more);
    search.addEventListener("input", () => show(STEP));
    saving.addEventListener("click", download);
    table.addEventListener("sorted", () => show());
    tools.hidden = false;
    const made = { table, rows, columns, filters, show, only, textOf };
    all.set(table.id, made);
    show();
    return made;
  }

  // A group's name leads to its customers.
  function lead(row) {
    const wanted = JSON.parse(row.dataset.only);
    const known = all.get(row.dataset.list);
    const there = known && Object.entries(wanted).every(([name, value]) => {
      const one = known.filters.get(name);
      return one && [...one.select.options].some((option) => option.value === value);
    });
    if (!there) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "lead";
    button.append(...row.cells[0].childNodes);
    row.cells[0].append(button);
    button.addEventListener("click", () => known.only(wanted));
  }

  document.querySelectorAll(".tools[data-list]").forEach(prepare);
  document.querySelectorAll("tr[data-only]").forEach(lead);
  return { of: (id) => all.get(id), money };
})();
