
// One customer: the figures of a row, and what happened, with P(alive) before and after.
(() => {
  const get = (id) => document.getElementById(id);
  const frame = get("one");
  const list = frame && lists.of(frame.dataset.list);
  if (!list) return;
  const known = JSON.parse(frame.dataset.settings);
  const find = document.querySelector(`.tools[data-list="${frame.dataset.list}"] input`);
  const DAYS = { h: 1 / 24, D: 1, W: 7, M: 30.4375 }[known.unit];
  const box = { left: 46, right: 748, top: 16, floor: 196 };
  const made = (tag, attributes = {}, text = "") => {
    const element = document.createElementNS(get("life").namespaceURI, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };
  const plain = (tag, ...children) => {
    const element = document.createElement(tag);
    element.append(...children);
    return element;
  };
  const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

  // Days from the end of the data on as a date, or in words where the end is not known.
  function dated(days) {
    const digits = known.unit === "M" ? 7 : 10;
    if (known.end) return new Date(Date.parse(known.end) + Math.round(days) * 864e5).toISOString().slice(0, digits);
    const size = Math.abs(Math.round(days));
    return days > 0.5 ? `in ${size} days` : days < -0.5 ? `${size} days before` : "end of the data";
  }

  const pairs = (text) => Array.from({ length: text.length / 2 }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 36) / 1000);
  const share = (length, part, parts) => Math.floor((2 * length * part + parts) / (2 * parts));

  // A life in days from the end of the data: where P(alive) was looked at, and the orders.
  function read(row) {
    const [start, now, alive, jumps, orders] = row.dataset.life.split("|");
    const [begin, end] = [Number(start), Number(now)];
    const at = (period) => (period - end) * DAYS;
    const some = pairs(alive);
    const values = some.length > 1 ? some : Array(known.past + known.steps).fill(some[0]);
    const times = values.map((_, i) =>
      i < known.past ? begin + share(end - begin, i, known.past - 1) : end + share(known.ahead, i - known.past + 1, known.steps)
    );
    const bought = orders ? orders.split(",").map((one) => one.split(":")) : [];
    const points = times.map((time, i) => ({ day: at(time), value: values[i], order: 0 }));
    const steps = pairs(jumps);
    const latest = bought.slice(bought.length - steps.length / 2);
    steps.forEach((value, i) => points.push({ day: at(parseInt(latest[i >> 1][0], 36)), value, order: i % 2 ? 2 : -1 }));
    points.sort((a, b) => a.day - b.day || a.order - b.order);
    return {
      points,
      past: values.slice(0, known.past),
      orders: bought.map(([period, total]) => ({ day: at(parseInt(period, 36)), total: total === undefined ? null : Number(total) })),
    };
  }

  function cellOf(row, key) {
    const place = list.columns.findIndex((column) => column.name === key);
    return place < 0 ? null : row.cells[place];
  }

  function windowOf(row) {
    const cell = cellOf(row, "next_order") ?? cellOf(row, "next_order_in");
    if (!cell?.dataset.ends) return null;
    const days = (text) => (known.end ? (Date.parse(text) - Date.parse(known.end)) / 864e5 : Number(text));
    const [from, to] = cell.dataset.ends.split(" ").map(days);
    return { from, to, median: days(cell.dataset.value ?? cell.firstChild.textContent) };
  }

  function draw(row) {
    const svg = get("life");
    const life = read(row);
    const [first, last] = [life.points[0].day, life.points.at(-1).day];
    const x = (day) => box.left + ((day - first) / (last - first || 1)) * (box.right - box.left);
    const y = (value) => box.floor - value * (box.floor - box.top);
    const line = (points) => points.map((point) => `${x(point.day).toFixed(1)},${y(point.value).toFixed(1)}`).join(" ");
    svg.replaceChildren();
    const next = windowOf(row);
    if (next && next.from < last) {
      const [left, right] = [x(Math.max(next.from, first)), x(Math.min(next.to, last))];
      svg.append(made("rect", { class: "window", x: left, y: box.top, width: Math.max(right - left, 1), height: box.floor - box.top }));
      if (next.median < last) svg.append(made("line", { class: "median", x1: x(next.median), x2: x(next.median), y1: box.top, y2: box.floor }));
    }
    for (const value of [0, 0.5, 1]) {
      svg.append(made("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
      svg.append(made("text", { x: box.left - 6, y: y(value) + 4, "text-anchor": "end" }, `${100 * value}\u00a0%`));
    }
    for (let i = 0; i <= 4; i++) {
      const day = first + ((last - first) * i) / 4;
      const anchor = i === 0 ? "start" : i === 4 ? "end" : "middle";
      svg.append(made("text", { x: x(day), y: 232, "text-anchor": anchor }, dated(day)));
    }
    for (const one of life.orders) svg.append(made("line", { class: "order", x1: x(one.day), x2: x(one.day), y1: box.floor + 3, y2: box.floor + 16 }));
    const [before, after] = [life.points.filter((point) => point.day <= 0), life.points.filter((point) => point.day >= 0)];
    svg.append(made("polyline", { class: "alive", points: line(before) }), made("polyline", { class: "alive ahead", points: line(after) }));
    svg.append(made("line", { class: "now", x1: x(0), x2: x(0), y1: box.top - 8, y2: box.floor }));
    const late = x(0) > 600;
    svg.append(made("text", { class: "named", x: x(0) + (late ? -4 : 4), y: box.top - 4, "text-anchor": late ? "end" : "start" }, known.end ? "end of the data" : "now"));
    const pointer = made("line", { class: "pointer", y1: box.top, y2: box.floor, visibility: "hidden" });
    svg.append(pointer);
    const now = life.points.find((point) => point.day === 0 && point.order !== -1);
    svg.setAttribute("aria-label", `P(alive) is ${percent(now.value)} at the end of the data and, without an order, ${percent(life.points.at(-1).value)} at the end of the picture.`);
    const still = `Dashed: if no order comes. ${next ? "Shaded: 80\u00a0% window of the next order; its line is the median. " : ""}${life.orders.length ? "Strokes below: orders." : "The curve begins at the last order; with a log it begins at the first."}`;
    get("pointed").textContent = still;
    svg.onpointermove = (event) => {
      const frame = svg.getBoundingClientRect();
      const day = first + (((event.clientX - frame.left) / frame.width) * 760 - box.left) / (box.right - box.left) * (last - first);
      const near = (points) => points.reduce((best, point) => (Math.abs(point.day - day) < Math.abs(best.day - day) ? point : best));
      const point = near(life.points);
      const order = life.orders.length ? near(life.orders) : null;
      for (const end of ["x1", "x2"]) pointer.setAttribute(end, x(point.day));
      pointer.setAttribute("visibility", "visible");
      const close = order && Math.abs(x(order.day) - x(point.day)) < 4;
      const spent = close && order.total !== null ? ` of ${lists.money(order.total, known.currency)}` : "";
      get("pointed").textContent = `${dated(point.day)}: P(alive) ${percent(point.value)}${close ? `; order${spent}${known.end ? ` on ${dated(order.day)}` : ""}` : ""}`;
    };
    svg.onpointerleave = () => {
      pointer.setAttribute("visibility", "hidden");
      get("pointed").textContent = still;
    };
    get("orders").replaceChildren(
      ...life.orders.map((one) => plain("li", one.total === null ? dated(one.day) : `${dated(one.day)}: ${lists.money(one.total, known.currency)}`))
    );
    get("every").hidden = !life.orders.length;
  }

  // What a cell says, without the small picture in it.
  function said(cell) {
    const copies = [...cell.childNodes].filter((node) => node.nodeName !== "svg").map((node) => node.cloneNode(true));
    for (const copy of copies) if (copy.nodeType === 3) copy.data = copy.data.replace(/[\u2007\u2008]/g, ""); // blanks of columns
    return copies;
  }

  function fill(row) {
    const [figures, rest] = [[], []];
    list.columns.forEach((column, i) => {
      const cell = row.cells[i];
      const text = list.textOf(cell);
      if (i === 0 || column.name === "action" || !text) return;
      const { heading } = column;
      const unit = heading.querySelector(".unit")?.textContent ?? "";
      if (known.figures.includes(column.name)) {
        const value = plain("dd", ...said(cell));
        const inMoney = unit === `(${known.currency})`; // then beside the figure, and not below it
        if (inMoney) value.textContent = lists.money(Number(cell.dataset.value), known.currency);
        value.className = "value";
        const span = value.querySelector(".below");
        const note = plain("dd", unit.slice(1, -1));
        note.className = "note";
        const parts = [plain("dt", heading.dataset.said ?? column.name), value];
        if (span) {
          span.remove();
          parts.push(plain("dd", span.textContent));
          parts.at(-1).className = "interval";
        }
        if (unit && !inMoney) parts.push(note);
        figures.push(plain("div", ...parts));
        figures.at(-1).className = "fact";
      } else {
        rest.push(plain("div", plain("dt", heading.dataset.said ?? column.name), plain("dd", ...said(cell))));
      }
    });
    get("figures").replaceChildren(...figures);
    get("rest").replaceChildren(...rest);
    const todo = cellOf(row, "action");
    get("doing").textContent = todo ? `What one might do: ${list.textOf(todo)}.` : "";
  }

  function open(row) {
    get("one-title").replaceChildren("Customer ", plain("bdi", list.textOf(row.cells[0])));
    fill(row);
    draw(row);
    get("one").hidden = false;
    const svg = get("life");
    const now = Number(svg.querySelector(".now").getAttribute("x1")) / 760;
    svg.parentElement.scrollLeft = now * svg.clientWidth - svg.parentElement.clientWidth / 2;
    get("one").scrollIntoView({ block: "start" });
    get("one-title").focus({ preventScroll: true });
  }

  for (const row of list.rows) {
    const button = plain("button", ...row.cells[0].childNodes);
    button.type = "button";
    button.className = "lead";
    row.cells[0].append(button);
    button.addEventListener("click", () => open(row));
  }
  const alive = list.columns.findIndex((column) => column.name === known.alive);
  // P(alive) so far as a small line beside its figure.
  function spark(row) {
    const cell = row.cells[alive];
    if (!cell || cell.querySelector("svg") || !list.textOf(cell)) return;
    const { past } = read(row);
    const picture = made("svg", { class: "spark", viewBox: "0 0 60 16", "aria-hidden": "true" });
    const points = past.map((value, i) => `${((60 * i) / (past.length - 1)).toFixed(1)},${(15 - 14 * value).toFixed(1)}`);
    picture.append(made("polyline", { points: points.join(" ") }));
    cell.prepend(picture);
  }
  const sketch = (rows) => rows.forEach(spark);
  list.table.addEventListener("shown", (event) => sketch(event.detail));
  sketch(list.rows.filter((row) => !row.hidden));
  list.table.classList.add("short");
  // Enter opens the first customer who was found
  find.addEventListener("keydown", (event) => {
    const first = [...list.table.tBodies[0].rows].find((row) => !row.hidden);
    if (event.key === "Enter" && first) open(first);
  });
  get("close").addEventListener("click", () => {
    get("one").hidden = true;
    find.focus();
  });
})();
