
// The manager's page: sliders of the payback curve, and what charts say at a month.
(() => {
  const get = (id) => document.getElementById(id);

  // While there is a pointer, the caption tells the month that it is at.
  function point(svg, caption, { left, right, top, floor }, last, say) {
    const still = caption.textContent;
    const line = document.createElementNS(svg.namespaceURI, "line");
    for (const [key, value] of Object.entries({ class: "pointer", y1: top, y2: floor, visibility: "hidden" })) line.setAttribute(key, value);
    svg.append(line);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const share = (((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width - left) / (right - left);
      const month = Math.round(Math.min(Math.max(share, 0), 1) * last());
      const at = left + (month / last()) * (right - left);
      for (const end of ["x1", "x2"]) line.setAttribute(end, at);
      line.setAttribute("visibility", "visible");
      caption.textContent = `After ${month} month${month === 1 ? "" : "s"}: ${say(month)}.`;
    });
    svg.addEventListener("pointerleave", () => {
      line.setAttribute("visibility", "hidden");
      caption.textContent = still;
    });
  }

  // Cohorts: what each has brought by then, or is expected to.
  function cohorts(svg) {
    const known = JSON.parse(svg.dataset.chart);
    const amount = (value) => (known.value ? lists.money(value, known.currency) : value.toFixed(1));
    const told = (line, month) => {
      const mean = `${line.cohort} ${amount(line.mean[month])}`;
      if (month <= line.known) return mean;
      return `${mean} expected (${amount(line.lower[month])} to ${amount(line.upper[month])})`;
    };
    point(svg, get("cohorts-said"), known, () => known.months, (month) => known.lines.map((line) => told(line, month)).join("; "));
  }

  function payback(svg) {
    const known = JSON.parse(svg.dataset.curve);
    const name = svg.namespaceURI;
    const [cac, margin, months] = ["cac", "margin", "months"].map(get);
    const sign = known.currency.length > 1 ? "" : known.currency; // a name takes more room than there is
    const money = (value, digits) => lists.money(value, known.currency, digits);
    const add = (tag, attributes, text = "") => {
      const made = document.createElementNS(name, tag);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      made.textContent = text;
      get("payback-axes").append(made);
    };

    // the first month, and part of one, at which the cost is made up for
    function when(cost, share) {
      const at = known.revenue.findIndex((value) => value * share >= cost);
      if (at < 0) return `Not paid back within ${known.revenue.length - 1} months`;
      if (at === 0) return "Paid back by the first order";
      const [low, high] = [known.revenue[at - 1], known.revenue[at]];
      const part = (cost / share - low) / (high - low);
      return `Paid back after ${Math.max(at - 1 + part, 0.1).toFixed(1)} months`;
    }

    function draw() {
      const [cost, share, last] = [Number(cac.value), Number(margin.value) / 100, Number(months.value)];
      const scaled = (values) => values.slice(0, last + 1).map((value, i) => share * (value ?? known.revenue[i]));
      const [worth, lower, upper] = [known.revenue, known.lower, known.upper].map(scaled);
      const top = Math.max(...upper, cost, 1e-9) * known.room;
      const x = (month) => known.left + (month / last) * (known.right - known.left);
      const y = (value) => known.floor - (value / top) * (known.floor - known.top);
      const points = (values) => values.map((value, month) => `${x(month).toFixed(1)},${y(value).toFixed(1)}`);
      get("payback-line").setAttribute("points", points(worth).join(" "));
      get("payback-band").setAttribute("points", [...points(lower), ...points(upper).reverse()].join(" "));
      for (const end of ["y1", "y2"]) get("payback-cost").setAttribute(end, y(cost));
      get("payback-name").setAttribute("y", y(cost) - 5);
      get("payback-axes").replaceChildren();
      const size = 10 ** Math.floor(Math.log10(top / 3));
      const round = size * [5, 2, 1].find((one) => size * one <= top / 3);
      const [unit, letter] = [[1e6, "m"], [1e3, "k"], [1, ""]].find(([one]) => top >= one * 10 || one === 1);
      for (let mark = 0; mark <= top; mark += round) {
        const at = y(mark);
        add("line", { class: "grid", x1: known.left, x2: known.right, y1: at, y2: at });
        add("text", { x: known.left - 6, y: at + 4, "text-anchor": "end" }, lists.money(mark / unit, sign, round >= unit ? 0 : 2) + (mark ? letter : ""));
      }
      const step = last > 12 ? 6 : Math.max(1, Math.floor(last / 6));
      for (let k = 0; k <= last; k += step) add("text", { x: x(k), y: known.floor + 19, "text-anchor": "middle" }, String(k));
      get("cac-said").textContent = money(cost);
      get("margin-said").textContent = `${margin.value}\u00a0%`;
      get("months-said").textContent = months.value;
      const today = known.today.length ? share * known.today[last] : worth[last];
      const ratio = cost > 0 ? `, ${(today / cost).toFixed(1)} times the cost` : "";
      const spoken = (value) => money(value, value >= 10 ? 0 : 2);
      const discounted = known.today.length ? `, worth ${spoken(today)} today` : "";
      const said = `${when(cost, share)}. In ${last} month${last > 1 ? "s" : ""} a new customer brings ${spoken(worth[last])}${discounted}${ratio}, and may cost at most that.`;
      get("payback-said").textContent = said;
      svg.setAttribute("aria-label", said);
    }

    for (const input of [cac, margin, months]) input.addEventListener("input", draw);
    document.querySelector(".controls").hidden = false;
    draw();
    point(svg, get("payback-pointed"), known, () => Number(months.value), (month) => {
      const [worth, lower, upper] = [known.revenue, known.lower, known.upper].map((values) => money((values[month] ?? known.revenue[month]) * (Number(margin.value) / 100)));
      return lower === upper ? worth : `${worth} (${lower} to ${upper})`;
    });
  }

  const curve = get("payback");
  if (curve) payback(curve);
  const lines = document.querySelector("svg[data-chart]");
  if (lines) cohorts(lines);
})();
